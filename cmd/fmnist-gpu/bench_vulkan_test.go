//go:build cgo

package main

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
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

// A cache folder that cannot be written is told with its remedy.
func TestBenchTuneWithoutCache(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: the folder for caches has a variable of its own on Linux only")
	}
	runBenchFor(t, "--device", testDevice(), "--no-profile") // or skip
	args := []string{"bench", "--device", testDevice(), "--model", "logistic", "--tune", "--no-profile"}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MESA_SHADER_CACHE_DISABLE", "true") // or the driver complains too
	t.Setenv("XDG_CACHE_HOME", file)
	wantFailure(t, args, exitFailed, "cannot keep the tuning in "+file, "another folder for caches with $XDG_CACHE_HOME")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	wantFailure(t, args, exitFailed, "--tune has no folder to keep its results in", "with $XDG_CACHE_HOME")
}
