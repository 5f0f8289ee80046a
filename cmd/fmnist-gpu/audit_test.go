package main

import (
	"encoding/json"
	"errors"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// A dataset of one's own is audited, and its twins are left out of a model's accuracy.
func TestDataAudit(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, network, runs, out := filepath.Join(dir, "pictures"), filepath.Join(dir, "net.yaml"), filepath.Join(dir, "runs"), filepath.Join(dir, "audit")
	writeClassFolders(t, pictures, 12, 24, color.White)
	writeFile(t, network, tinyCNN)
	args := []string{"data", "audit", "--cpu", "--dataset", pictures, "--model", network, "--folds", "2", "--epochs", "2", "--batch-size", "8", "--out", out}
	var summary auditSummary
	if err := json.Unmarshal([]byte(wantSuccess(t, append(args, "--json")...)), &summary); err != nil {
		t.Fatal(err)
	}
	if len(summary.Labels) != 2 || summary.Labels[0].Images != 60 || summary.Labels[1].Images != 12 {
		t.Errorf("the audit judged %+v, want 60 and 12 images", summary.Labels)
	}
	for _, name := range []string{"audit.json", "twins.csv", "suspects.csv"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	twins := filepath.Join(out, "twins.csv")
	text, err := os.ReadFile(twins)
	if err != nil {
		t.Fatal(err)
	}
	header, _, ok := strings.Cut(string(text), ",file_a,file_b\n")
	if !ok {
		t.Errorf("the list begins with %.100q", text)
	}
	writeFile(t, twins, header+"\ntrain,3,0,test,2,0,0.01,false\ntrain,4,0,test,2,0,0.01,false\ntrain,1,0,train,2,0,0,true\n")

	wantSuccess(t, append(quickly, "--dataset", pictures, "--model", network, "--out", runs)...)
	eval := []string{"eval", "--cpu", "--checkpoint", filepath.Join(runs, "net"), "--dataset", pictures, "--without", twins}
	printed := []byte(wantSuccess(t, append(eval, "--json")...))
	var m metrics.Metrics
	var without struct {
		Rest remainder `json:"without_seen_in_training"`
	}
	if err := errors.Join(json.Unmarshal(printed, &m), json.Unmarshal(printed, &without)); err != nil {
		t.Fatal(err)
	}
	if rest := without.Rest; m.Images != 12 || rest.Images != 11 || !(rest.Accuracy > 0 && rest.Accuracy <= 1) {
		t.Errorf("%d images, and %+v without the one that has twins", m.Images, rest)
	}
	if got := wantSuccess(t, eval...); !strings.Contains(got, "a twin among the training images (1): accuracy") {
		t.Errorf("eval prints %q", got)
	}
	one := slices.Clone(eval[:len(eval)-2])
	e := evaluated(t, append(one[2:], "--ensemble", filepath.Join(runs, "net", "weights", "last.safetensors"), "--tta", "flip")...)
	if e.Images != 12 || e.Parameters != 2*m.Parameters || e.FLOPsPerImage != 4*m.FLOPsPerImage {
		t.Errorf("an ensemble of two with two views: %d images, %d parameters and %d FLOPs; a model alone: %d and %d", e.Images, e.Parameters, e.FLOPsPerImage, m.Parameters, m.FLOPsPerImage)
	}
	wantFailure(t, append(eval, "--ensemble", filepath.Join(dir, "nothing")), exitBadFile, "nothing")
	wantFailure(t, append(eval, "--tta", "twice"), exitUsage, "--tta", "flip-shift")
	writeFile(t, twins, header+"\ntrain,3,0,test,2000,0,0.01,false\n")
	wantFailure(t, eval, exitBadFile, "test image 2000", "another dataset")
	writeFile(t, twins, header+"\ntrain,3,0,test,2,1,0.01,false\n")
	wantFailure(t, eval, exitBadFile, "test image 2 is of class 1 in the list", "another dataset")
	writeFile(t, twins, header+",file_a,file_b\ntrain,3,0,test,2,0,0.01,false,a/1.png,gone.png\n")
	wantFailure(t, eval, exitBadFile, "test image 2 is gone.png in the list", "of other pictures")
	writeFile(t, twins, "index\n")
	wantFailure(t, eval, exitBadFile, "--without", "is not a list of twins")
	wantFailure(t, append(args, "--distance", "1"), exitUsage, "--distance")
	wantSuccess(t, append(args, "--folds", "0")...)
	for _, name := range []string{"suspects.csv", "suspects.png"} { // of another audit
		if _, err := os.Stat(filepath.Join(out, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want no such file", name, err)
		}
	}
}
