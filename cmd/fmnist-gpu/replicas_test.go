package main

import (
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// Runs that have not begun cannot be resumed: they have no folder.
func TestHowToResume(t *testing.T) {
	c := study.DefaultConfig()
	c.Out = filepath.Join(t.TempDir(), "my runs")
	runs, err := c.Replicas(3)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(c.Out, runs[0].Name, trainer.ArgsFile), "")
	got, begun := howToResume(runs), filepath.Join(c.Out, "fashioncnn-seed42")
	if want := "resume with: fmnist-gpu train --resume '" + begun + "'; not begun, so still to be trained: seeds 43 44"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := howToResume(runs[1:]); strings.Contains(got, "resume") {
		t.Errorf("none has begun: %q", got)
	}
}

// What a program that was killed has left in the folder of a finished replica is gone
// after the replicas are resumed, and a report that it had not written is there.
func TestResumedReplicasAreTidy(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, runs := filepath.Join(dir, "pictures"), filepath.Join(dir, "runs")
	writeClassFolders(t, pictures, 12, 24, color.White)
	wantSuccess(t, append(quickly, "--dataset", pictures, "--model", "logistic", "--epochs", "1", "--out", runs, "--name", "r", "--seed", "7", "--replicas", "2")...)
	finished := filepath.Join(runs, "r-seed7")
	stray, report := filepath.Join(finished, ".report.html.0123abcd.tmp"), filepath.Join(finished, "report.html")
	writeFile(t, stray, "half")
	if err := os.Remove(report); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"train", "--resume", finished, "--resume", finished + "/../r-seed7"}, exitUsage, "names the run "+finished+"/../r-seed7 twice")
	wantSuccess(t, "train", "--resume", finished, "--resume", filepath.Join(runs, "r-seed8"))
	if _, err := os.Stat(stray); err == nil {
		t.Error("the temporary file is still there")
	}
	if _, err := os.Stat(report); err != nil {
		t.Error(err)
	}
}
