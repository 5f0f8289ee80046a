package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
)

// runBenchFor runs bench for a moment and returns what it printed.
func runBenchFor(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"bench", "--model", "logistic", "--rounds", "1", "--seconds", ".01"}, args...)
	stdout, stderr, code := run(t, args...)
	if code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
		t.Skip("skipped, no Vulkan device: ", stderr)
	}
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s\n%s", args, code, stderr, stdout)
	}
	return stdout
}

// benchStartUp returns the start-up that bench --json reports.
func benchStartUp(t *testing.T, args ...string) bench.StartUp {
	t.Helper()
	stdout := runBenchFor(t, append(args, "--json", "--no-profile")...)
	var v struct {
		Result struct {
			StartUp *bench.StartUp `json:"start_up"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v.Result.StartUp == nil {
		t.Fatalf("%v: no start-up (%v) in\n%s", args, err, stdout)
	}
	return *v.Result.StartUp
}

// The start-up is in the table and in the JSON. The CPU has no pipeline cache.
func TestBenchStartUp(t *testing.T) {
	u := benchStartUp(t, "--cpu")
	if !(u.Backend > 0 && u.Program > 0 && u.Step > 0 && u.Total > u.Step) || u.PipelineCache != "" {
		t.Errorf("start-up on the CPU: %+v", u)
	}
	if stdout := runBenchFor(t, "--cpu", "--no-profile"); !strings.Contains(stdout, "start-up: first step completed after ") {
		t.Errorf("no start-up in\n%s", stdout)
	}
}
