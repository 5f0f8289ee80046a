// Command check passes manifests of Jobs to the validation of Kubernetes' API server.
package main

import (
	"context"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/registry/batch/job"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
			continue
		}
		fmt.Println(path + ": valid")
	}
	if failed {
		os.Exit(1)
	}
}

// check does what the API server does before it stores a Job: it decodes strictly, sets
// the defaults and validates.
func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	codecs := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDecoder(batch.SchemeGroupVersion).Decode(text, nil, nil)
	if err != nil {
		return err
	}
	j, ok := object.(*batch.Job)
	if !ok {
		return fmt.Errorf("it describes a %T", object)
	}
	j.Namespace, j.UID = metav1.NamespaceDefault, "1"
	ctx := request.WithNamespace(context.Background(), j.Namespace)
	job.Strategy.PrepareForCreate(ctx, j)
	if list := job.Strategy.Validate(ctx, j); len(list) > 0 {
		return list.ToAggregate()
	}
	if warnings := job.Strategy.WarningsOnCreate(ctx, j); len(warnings) > 0 {
		return fmt.Errorf("warnings: %q", warnings)
	}
	return nil
}
