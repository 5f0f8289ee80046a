package kubernetes

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

var update = flag.Bool("update", false, "write testdata; then run make check-manifests")

// onGPU returns a Job.
func onGPU() Job {
	return Job{Name: "rates", Image: "registry.example.org/fmnist-gpu:v1", Claim: "studies", Arguments: []string{"experiment", "run-job"},
		Jobs: 100, AtOnce: 8, GPU: "nvidia.com/gpu", CPU: "1", Memory: "2Gi"}
}

// Manifests are those that the API server's own validation accepts: see check.
func TestManifest(t *testing.T) {
	cpu := onGPU()
	cpu.Jobs, cpu.AtOnce, cpu.GPU, cpu.CPU, cpu.Memory, cpu.User, cpu.Group = 1, 1, "", "500m", "1.5Gi", 1000, 100
	for name, j := range map[string]Job{"gpu": onGPU(), "cpu": cpu} {
		got, err := j.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".yaml")
		if *update {
			if err := os.WriteFile(path, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s (%v):\n%s", path, err, got)
		}
	}
}

func TestManifestRefuses(t *testing.T) {
	for say, change := range map[string]func(j *Job){
		`the name of the Job is "Rates": want lower-case`: func(j *Job) { j.Name = "Rates" },
		"at most 57":         func(j *Job) { j.Name = strings.Repeat("a", 58) },
		"the image is empty": func(j *Job) { j.Image = "" },
		`the claim is "a/b"`: func(j *Job) { j.Claim = "a/b" },
		`the GPU's resource is 1: want a resource such as nvidia.com/gpu`: func(j *Job) { j.GPU = "1" },
		`the CPU request is "two"`:                                        func(j *Job) { j.CPU = "two" },
		`the memory request is "2 GB": want a quantity such as 2Gi`:       func(j *Job) { j.Memory = "2 GB" },
	} {
		j := onGPU()
		change(&j)
		if _, err := j.Manifest(); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want a usage error with %q", err, say)
		}
	}
}

func TestName(t *testing.T) {
	for experiment, want := range map[string]string{"rates": "rates", "My Rates_2": "my-rates-2", "übung": "bung", "--": "experiment", strings.Repeat("ab_", 30): strings.TrimSuffix(strings.Repeat("ab-", 19), "-")} {
		j := onGPU()
		if j.Name = Name(experiment); j.Name != want || j.Check() != nil {
			t.Errorf("%s: %s (%v), want %s", experiment, j.Name, j.Check(), want)
		}
	}
}

func TestInVolume(t *testing.T) {
	for folder, want := range map[string]string{"": "/volume", "a/b": "/volume/a/b", "/etc": "", "a/../../b": "", "..": "", "a..b": "/volume/a..b"} {
		if got, err := InVolume(folder); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", folder, got, err)
		}
	}
}
