package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
)

// benchResult is what these tests read of it.
type benchResult struct {
	StartUp *bench.StartUp `json:"start_up"`
}

// benchJSON runs bench --json for a moment.
func benchJSON(t *testing.T, args ...string) benchResult {
	t.Helper()
	args = append([]string{"bench", "--json", "--model", "logistic", "--rounds", "1", "--seconds", ".01"}, args...)
	stdout, stderr, code := run(t, args...)
	if code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
		t.Skip("skipped, no Vulkan device: ", stderr)
	}
	var v struct{ Result benchResult }
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 0 || v.Result.StartUp == nil {
		t.Fatalf("%v: exit code %d, %v: %s\n%s", args, code, err, stderr, stdout)
	}
	return v.Result
}

// The start-up is in the table and in the JSON. The CPU has no pipeline cache.
func TestBenchStartUp(t *testing.T) {
	u := benchJSON(t, "--cpu", "--no-profile").StartUp
	if !(u.Backend > 0 && u.Program > 0 && u.Step > 0 && u.Total > u.Step) || u.PipelineCache != "" {
		t.Errorf("start-up on the CPU: %+v", *u)
	}
	stdout, stderr, code := run(t, "bench", "--cpu", "--no-profile", "--model", "logistic", "--rounds", "1", "--seconds", ".01")
	if code != 0 || !strings.Contains(stdout, "start-up: the first step done after ") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
}

// The first process on a device leaves its pipelines to the next.
func TestBenchPipelineCache(t *testing.T) {
	cache := t.TempDir()
	for _, variable := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} { // os.UserCacheDir, wherever it looks
		t.Setenv(variable, cache)
	}
	for _, want := range []string{"cold", "warm"} {
		if u := benchJSON(t, "--device", "0", "--no-profile").StartUp; u.PipelineCache != want {
			t.Errorf("the pipeline cache is %q, want %q", u.PipelineCache, want)
		}
	}
}
