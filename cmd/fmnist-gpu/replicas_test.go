package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// Runs that have not begun cannot be resumed: they have no folder.
func TestHowToResume(t *testing.T) {
	c := study.DefaultConfig()
	c.Out = t.TempDir()
	runs, err := c.Replicas(3)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(c.Out, runs[0].Name, trainer.ArgsFile), "")
	got, begun := howToResume(runs), filepath.Join(c.Out, "fashioncnn-seed42")
	if want := "resume with: fmnist-gpu train --resume " + begun + "; not begun, to be trained anew: seeds 43 44"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := howToResume(runs[1:]); strings.Contains(got, "resume") {
		t.Errorf("none has begun: %q", got)
	}
}
