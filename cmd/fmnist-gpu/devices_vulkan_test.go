//go:build cgo

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// firstLine runs the program, which must succeed, and returns its first line.
func firstLine(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, args...)
	if code != 0 {
		t.Errorf("%v: exit code %d: %s", args, code, stderr)
	}
	line, _, _ := strings.Cut(stdout, "\n")
	return line
}

// If no GPU works, every command that computes uses the CPU, and its first line says
// so with the reason. With --device, the exit code is 3.
func TestWithoutUsableGPU(t *testing.T) {
	datasettest.Full(t)
	damaged := filepath.Join(t.TempDir(), "damaged.json")
	if err := os.WriteFile(damaged, []byte("not json"), 0o666); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, stderr, code := run(t, "train", "--cpu", "--model", "logistic", "--max-steps", "1", "--out", out, "--name", "r"); code != 0 {
		t.Fatal(stderr)
	}
	experiment := filepath.Join(out, "e.yaml")
	if err := os.WriteFile(experiment, []byte("base: {model: logistic, max-steps: 1, epochs: 1}\ngrid: {lr: [0.1, 0.2]}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{
		{"eval", "--checkpoint", filepath.Join(out, "r")},
		{"bench", "--model", "logistic", "--seconds", "0.01", "--rounds", "1", "--no-profile"},
		{"train", "--model", "logistic", "--max-steps", "1", "--out"},
		{"experiment", experiment, "--out"},
	}
	if testing.Short() {
		commands = commands[:2] // those that draw no pictures
	}
	gpu := gputest.Driver{Name: "GTX", Type: "discrete", Faults: map[string]int32{"vkCreateDevice": -2}}
	nothing := gputest.Driver{Faults: map[string]int32{"vkEnumeratePhysicalDevices": -3}}
	for name, c := range map[string]struct{ manifest, says string }{
		"GPU out of memory": {gpu.Build(t), "device 0 (GTX) cannot be used: out of memory"},
		"no GPU":            {nothing.Build(t), "find no device"},
		"damaged manifest":  {damaged, damaged + ", which is not valid JSON"},
		"no driver":         {filepath.Join(out, "none.json"), "VK_ERROR_INCOMPATIBLE_DRIVER"},
	} {
		t.Run(name, func(t *testing.T) {
			gputest.Use(t, c.manifest)
			for _, args := range commands {
				for _, device := range [][]string{nil, {"--device", "0"}} {
					args := slices.Clone(args)
					if args[len(args)-1] == "--out" {
						args = append(args, t.TempDir())
					}
					if device != nil {
						wantFailure(t, append(args, device...), exitNoDevice, c.says)
					} else if line := firstLine(t, args...); !strings.HasPrefix(line, "device: ") || !strings.Contains(line, "CPU") || !strings.Contains(line, c.says) {
						t.Errorf("%v: the first line is %q, want the CPU and %q", args, line, c.says)
					}
				}
			}
			stdout, stderr, code := run(t, "devices", "--json")
			var v struct{ Devices, Problems []any }
			if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 0 || len(v.Devices)+len(v.Problems) != 1 {
				t.Errorf("devices --json: exit code %d, %v, %s\n%s", code, err, stderr, stdout)
			}
			if stdout, stderr, code := run(t, "devices"); code != 0 || !strings.Contains(stdout, "CPU") {
				t.Errorf("devices: exit code %d, %s\n%s", code, stderr, stdout)
			}
		})
	}
}

// The next GPU replaces one that does not work, also for several trainings at a time.
func TestNextGPU(t *testing.T) {
	datasettest.Full(t)
	broken := gputest.Driver{Name: "GTX", Type: "discrete", UUIDByte: 1, Faults: map[string]int32{"vkCreateDevice": -3}}
	works := gputest.Driver{Name: "Arc", Type: "integrated", UUIDByte: 2}
	gputest.Use(t, broken.Build(t), works.Build(t))
	out := t.TempDir()
	experiment := filepath.Join(out, "e.yaml")
	if err := os.WriteFile(experiment, []byte("base: {model: logistic, max-steps: 1, epochs: 1}\ngrid: {lr: [0.1, 0.2]}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"bench", "--model", "logistic", "--seconds", "0.01", "--rounds", "1", "--no-profile"},
		{"experiment", experiment, "--parallel", "2", "--out", filepath.Join(out, "e")},
	} {
		if line := firstLine(t, args...); !strings.HasPrefix(line, "device: Arc (Vulkan)") || !strings.Contains(line, "device 0 (GTX) cannot be used") {
			t.Errorf("the first line is %q, want Arc, and why not GTX", line)
		}
	}
	wantFailure(t, []string{"train", "--device", "GTX"}, exitNoDevice, "device 0 (GTX) cannot be used")
}
