//go:build cgo

package main

import (
	"cmp"
	"os"
	"regexp"
	"testing"
)

// testDevice is the Vulkan device that tests run on.
func testDevice() string { return cmp.Or(os.Getenv("FMNIST_DEVICE"), "0") }

// The first process on a device leaves its pipelines to the next.
func TestBenchPipelineCache(t *testing.T) {
	cache := t.TempDir()
	for _, variable := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} { // os.UserCacheDir, wherever it looks
		t.Setenv(variable, cache)
	}
	for _, want := range []string{"cold", "warm"} {
		if u := benchStartUp(t, "--device", testDevice()); u.PipelineCache != want {
			t.Errorf("the pipeline cache is %q, want %q", u.PipelineCache, want)
		}
	}
}

// A device with timestamps reports how long it was idle within a step, which is more
// than 0 because of barriers.
func TestBenchBetweenDispatches(t *testing.T) {
	stdout := runBenchFor(t, "--device", testDevice())
	// How long depends on what else the machine does; on a busy one it can round to 0.
	if !regexp.MustCompile(` \d+\.\d µs between dispatches `).MatchString(stdout) {
		t.Errorf("no time between dispatches in\n%s", stdout)
	}
}
