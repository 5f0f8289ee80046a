package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory/hostmemorytest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

// Where memory is limited, the program trains with the batch that it advises, and replicas
// take turns if they do not fit beside each other.
func TestAdvisedBatchFits(t *testing.T) {
	if kerneltest.RaceEnabled {
		t.Skip("skipped: the race detector takes memory of its own")
	}
	letters := t.TempDir()
	writeLetters(t, letters, 800, 78)
	group, _ := hostmemorytest.Group(t, 200<<20)
	train := func(args ...string) (stderr string, code int) {
		c := program(t, append([]string{"train", "--cpu", "--threads", "2", "--dataset", letters, "--epochs", "1", "--out", t.TempDir(), "--quiet"}, args...)...)
		c.Args = append([]string{"sh", "-c", "echo $$ >" + group + `/cgroup.procs; exec "$0" "$@"`, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
		var text strings.Builder
		c.Stderr = &text
		if err := c.Run(); err != nil && c.ProcessState == nil {
			t.Fatal(err)
		}
		return text.String(), c.ProcessState.ExitCode()
	}
	stderr, code := train("--batch-size", "700")
	advice := regexp.MustCompile(`a batch-size of 700 does not fit on the device, but ([0-9]+) would`).FindStringSubmatch(stderr)
	if code != exitFailed || advice == nil {
		t.Fatalf("exit code %d, %q, want the batch that fits", code, stderr)
	}
	for _, args := range [][]string{
		{"--batch-size", advice[1]},
		{"--batch-size", advice[1], "--replicas", "2"},
	} {
		if stderr, code := train(args...); code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}
