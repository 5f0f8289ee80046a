// Package kubernetes writes the manifest of an Indexed Job, by which Kubernetes does the
// jobs of an experiment's folder, one in each Pod. It does not talk to a cluster.
package kubernetes

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Job describes the Indexed Job of an experiment's folder.
type Job struct {
	Name  string // see [Name]
	Image string // of containers, with this program as the entry point
	Claim string // PersistentVolumeClaim of the volume that holds the folder
	// Arguments make the program do the job of its Pod's index.
	Arguments []string
	Jobs      int    // in the folder
	AtOnce    int    // the most Pods at a time
	GPU       string // resource of which each Pod gets one, such as nvidia.com/gpu; "" for none
	CPU       string // quantity that each Pod asks for
	Memory    string // quantity that each Pod asks for, and its limit
	// User and Group own the folder: Pods write there as these. 0 or less leaves both to
	// the image.
	User, Group int
}

// volumePath is where Pods find the volume.
const volumePath = "/volume"

// InVolume returns the path that a folder of the volume, "" for its root, has in Pods. A
// folder outside the volume is [trainer.ErrUsage].
func InVolume(folder string) (string, error) {
	if path.IsAbs(folder) || strings.Contains("/"+folder+"/", "/../") {
		return "", setting.Errorf("the folder in the volume is %s: want a relative path without ..", setting.Shown(folder))
	}
	return path.Join(volumePath, folder), nil
}

// retries is how often Kubernetes starts a job again that has failed by itself.
const retries = 3

// grace is how many seconds a Pod that Kubernetes ends has to save.
const grace = 60

// Name returns a name for an experiment's Job: a DNS label with room for an index.
func Name(experiment string) string {
	name := notLabel.ReplaceAllString(strings.ToLower(experiment), "-")
	name = strings.Trim(name[:min(len(name), longestName)], "-")
	if name == "" {
		return "experiment"
	}
	return name
}

// longestName leaves room for "-" and an index of five digits in the 63 characters of a
// host's name.
const longestName = 57

var (
	notLabel  = regexp.MustCompile(`[^a-z0-9]+`)
	label     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	claimName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	image     = regexp.MustCompile(`^\S+$`)
	resource  = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	quantity  = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$`)
)

// Check returns an error ([trainer.ErrUsage]) that names the first part that Kubernetes
// would refuse.
func (j Job) Check() error {
	for _, part := range []struct {
		what, value, want string
		fits              bool
	}{
		{"the name of the Job", j.Name, fmt.Sprintf("lower-case letters, digits and dashes, at most %d", longestName), label.MatchString(j.Name) && len(j.Name) <= longestName},
		{"the image", j.Image, "the name of an image, such as registry.example.org/fmnist-gpu:v1", image.MatchString(j.Image)},
		{"the claim", j.Claim, "the name of a PersistentVolumeClaim", claimName.MatchString(j.Claim)},
		{"the GPU's resource", j.GPU, "a resource such as nvidia.com/gpu or amd.com/gpu", j.GPU == "" || resource.MatchString(j.GPU)},
		{"the CPU request", j.CPU, "a quantity such as 2 or 500m", quantity.MatchString(j.CPU)},
		{"the memory request", j.Memory, "a quantity such as 2Gi", quantity.MatchString(j.Memory)},
	} {
		if !part.fits {
			return setting.Errorf("%s is %s: want %s", part.what, setting.Shown(part.value), part.want)
		}
	}
	return nil
}

// Manifest returns the Job in YAML. The error is that of [Job.Check].
func (j Job) Manifest() ([]byte, error) {
	if err := j.Check(); err != nil {
		return nil, err
	}
	return yaml.Marshal(manifest{
		APIVersion: "batch/v1", Kind: "Job",
		Metadata: metadata{Name: j.Name, Labels: j.labels()},
		Spec: jobSpec{
			CompletionMode: "Indexed", Completions: j.Jobs, Parallelism: j.AtOnce, BackoffLimitPerIndex: retries,
			PodFailurePolicy: failurePolicy{[]failureRule{
				{Action: "Ignore", OnPodConditions: []condition{{Type: "DisruptionTarget"}}}, // the node was drained, or another Pod took its place
				{Action: "FailIndex", OnExitCodes: &exitCodes{container, "In", []int{wrongUsage, diverges}}},
			}},
			Template: podTemplate{metadata{Labels: j.labels()}, j.pod()},
		},
	})
}

// Write writes the manifest to a file, which it replaces at once.
func (j Job) Write(path string) error {
	text, err := j.Manifest()
	if err != nil {
		return err
	}
	return atomicfile.Write(path, text)
}

// The program's exit codes where no other try would end otherwise: wrong usage, and a
// training that diverges each time.
const (
	wrongUsage = 2
	diverges   = 5
)

// container names the Pod's container.
const container = "worker"

func (j Job) labels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "fmnist-gpu", "app.kubernetes.io/instance": j.Name}
}

func (j Job) pod() podSpec {
	const volumeName = "volume"
	memory := map[string]string{"memory": j.Memory}
	need := resources{Requests: map[string]string{"cpu": j.CPU, "memory": j.Memory}, Limits: memory}
	if j.GPU != "" {
		need.Limits[j.GPU] = "1" // which is the request, too
	}
	p := podSpec{
		RestartPolicy: "Never", TerminationGracePeriodSeconds: grace,
		Containers: []containerSpec{{
			Name: container, Image: j.Image, Args: j.Arguments,
			Resources:       need,
			VolumeMounts:    []mount{{volumeName, volumePath}},
			SecurityContext: containerSecurity{Capabilities: capabilities{Drop: []string{"ALL"}}},
		}},
		Volumes:         []volume{{volumeName, claim{j.Claim}}},
		SecurityContext: podSecurity{SeccompProfile: seccomp{"RuntimeDefault"}},
	}
	if j.User > 0 {
		p.SecurityContext.RunAsNonRoot, p.SecurityContext.RunAsUser = true, j.User
		p.SecurityContext.RunAsGroup, p.SecurityContext.FSGroup = j.Group, j.Group
	}
	return p
}
