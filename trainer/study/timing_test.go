package study

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// How long jobs take is known once one of each network has trained an epoch, unless all
// of that network have failed.
func TestTiming(t *testing.T) {
	e, err := ParseExperiment("e.yaml", []byte("grid: {model: [fashioncnn, logistic], epochs: [2, 5], seed: 0-1}"))
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := e.WriteJobs(t.TempDir(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	timing, err := jobs.Timing()
	if err != nil {
		t.Fatal(err)
	}
	want := func(seconds float64, unknown ...int) {
		t.Helper()
		if s, u := timing.Longest(); s != seconds || !slices.Equal(u, unknown) {
			t.Errorf("%g s, unknown %v, want %g s, unknown %v", s, u, seconds, unknown)
		}
	}
	train := func(i int, seconds string) {
		t.Helper()
		if err := os.MkdirAll(jobs.Run(i), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(jobs.Run(i), trainer.ResultsFile), []byte("epoch,seconds\n1,"+seconds+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	fail := func(i int) {
		t.Helper()
		if err := jobs.RecordFailure(i, &JobFailure{Error: "diverged"}); err != nil {
			t.Fatal(err)
		}
	}
	want(0, 0, 4)
	fail(0)
	want(0, 1, 4)
	train(3, "7.5")
	want(5*7.5, 4)
	train(5, "0.000")
	want(5 * 7.5)

	if err := os.RemoveAll(jobs.Run(5)); err != nil {
		t.Fatal(err)
	}
	for i := 4; i < 8; i++ {
		fail(i)
	}
	want(5 * 7.5)
}
