package study

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// wantUsage checks that an error is [trainer.ErrUsage] and says something.
func wantUsage(t *testing.T, err error, say string) {
	t.Helper()
	if !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) {
		t.Errorf("%v, want a usage error with %q", err, say)
	}
}

// experimentOf returns the experiment of a text.
func experimentOf(t *testing.T, text string) Experiment {
	t.Helper()
	e, err := ParseExperiment("rates.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Jobs keep their indices and settings, whatever is added; a moved folder has them too.
func TestJobs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	text := "base: {epochs: 3, dataset: letters, log-every: 7}\ngrid: {lr: [0.1, 0.2], seed: 1-2}\n"
	jobs, err := experimentOf(t, text).WriteJobs(dir, "v1")
	if err != nil || strings.Join(jobs.Names, " ") != "lr0.1-seed1 lr0.1-seed2 lr0.2-seed1 lr0.2-seed2" {
		t.Fatalf("%+v, %v", jobs, err)
	}
	killed, running := filepath.Join(dir, "jobs", ".4.yaml.0123abcd.tmp"), filepath.Join(dir, "jobs", ".0.failed.json.0123abcd.tmp")
	for _, path := range []string{killed, running} {
		if err := os.WriteFile(path, []byte("epo"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := jobs.Status(); err != nil || len(list) != 4 || list[0].State != JobWaiting {
		t.Errorf("beside temporary files: %+v, %v", list, err)
	}
	if _, err := experimentOf(t, strings.Replace(text, "1-2", "3", 1)).WriteJobs(dir, "v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed call had begun to write is still there (%v)", err)
	}
	if _, err := os.Stat(running); err != nil {
		t.Errorf("what a worker writes is gone: %v", err)
	}
	moved := dir + "b"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if jobs, err = ReadJobs(moved); err != nil || len(jobs.Names) != 6 {
		t.Fatalf("%+v, %v", jobs, err)
	}
	for i, want := range []string{"lr0.1-seed1", "lr0.1-seed2", "lr0.2-seed1", "lr0.2-seed2", "lr0.1-seed3", "lr0.2-seed3"} {
		c, err := jobs.Config(i)
		if err != nil || c.Name != want || c.Epochs != 3 || c.LogEvery != 7 || !filepath.IsAbs(c.Dataset) || jobs.Run(i) != filepath.Join(moved, want) {
			t.Errorf("job %d: %+v, %v; want %s", i, c, err, want)
		}
	}
	if err := experimentOf(t, strings.Replace(text, "1-2", "4", 1)).WriteIndex(moved, "v1"); err != nil {
		t.Fatal(err)
	}
	if jobs, err = ReadJobs(moved); err != nil || strings.Join(jobs.Names[6:], " ") != "lr0.1-seed4 lr0.2-seed4" {
		t.Errorf("runs that were added on one machine: %+v, %v", jobs, err)
	}
	e := experimentOf(t, strings.Replace(text, "epochs: 3", "epochs: 4", 1))
	wantUsage(t, e.CheckIndex(moved, "v1"), "job 0 of "+moved+", lr0.1-seed1, has other settings (epochs: 3)")
	_, err = e.WriteJobs(moved, "v1")
	wantUsage(t, err, "has other settings")
	_, err = experimentOf(t, text).WriteJobs(moved, "v2")
	for _, err := range []error{err, experimentOf(t, text).CheckIndex(moved, "v2"), experimentOf(t, text).WriteIndex(moved, "v2")} {
		wantUsage(t, err, "the jobs of "+moved+" are of version v1, and this is v2")
	}
	for _, i := range []int{-1, 8} {
		_, err = jobs.Config(i)
		wantUsage(t, err, "its jobs are 0 to 7")
	}
	if err := os.Rename(filepath.Join(moved, "jobs", "1.yaml"), filepath.Join(moved, "jobs", "0.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err = jobs.Config(0)
	wantUsage(t, err, "describes the run lr0.1-seed2")
	_, err = jobs.Config(1)
	wantUsage(t, err, "job 1 has lost its description")
}

// A network of one's own is part of the description; groups do not change the order.
func TestJobsOfGroups(t *testing.T) {
	e, err := OriginalExperiment()
	if err != nil {
		t.Fatal(err)
	}
	e.Groups[0].Runs[0].Model, e.Groups[0].Runs[0].Network = "mine", "layers:\n  - flatten\n  - linear: {out: classes}\n"
	dir := t.TempDir()
	if err := e.WriteIndex(dir, "v1"); err != nil {
		t.Fatal(err)
	}
	jobs, err := ReadJobs(dir)
	if err != nil || len(jobs.Names) != 8 {
		t.Fatalf("without descriptions: %+v, %v", jobs, err)
	}
	wantUsage(t, jobs.CheckVersion("v1"), "has no jobs")
	if jobs, err = e.WriteJobs(dir, "v1"); err != nil {
		t.Fatal(err)
	}
	if c, err := jobs.Config(0); err != nil || c.Model != "mine" || c.Network != e.Groups[0].Runs[0].Network {
		t.Errorf("%+v, %v", c, err)
	}
	more, err := OriginalExperiment(given("--seeds", "seed", "43"))
	if err != nil {
		t.Fatal(err)
	}
	added, err := more.WriteJobs(dir, "v1")
	if err != nil || !slices.Equal(added.Names[:8], jobs.Names) || len(added.Names) != 16 {
		t.Errorf("%v, want 8 more after %v (%v)", added, jobs.Names, err)
	}
	_, err = ReadJobs(t.TempDir())
	wantUsage(t, err, "is not the folder of an experiment")
}

// The status of a job follows from what is in its folder, and from its lock.
func TestJobStatus(t *testing.T) {
	dir := t.TempDir()
	jobs, err := experimentOf(t, "grid: {seed: 0-5}\n").WriteJobs(dir, "v1")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 6; i++ {
		finishedRun(t, jobs.Run(i))
		if i > 1 {
			if err := os.Remove(filepath.Join(jobs.Run(i), trainer.MetricsFile)); err != nil {
				t.Fatal(err)
			}
		}
	}
	unlock, err := trainer.LockFolder(jobs.Run(2), "training")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := os.WriteFile(filepath.Join(jobs.Run(3), ".lock"), nil, 0o666); err != nil { // of a killed worker
		t.Fatal(err)
	}
	failure := &JobFailure{"disk full", "node7", time.Now().UTC()}
	for _, i := range []int{1, 2, 4, 5} {
		if err := jobs.RecordFailure(i, failure); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(jobs.RecordFailure(5, nil), jobs.RecordFailure(0, nil)); err != nil {
		t.Fatal(err)
	}
	list, err := jobs.Status()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []JobState{JobWaiting, JobDone, JobRunning, JobInterrupted, JobFailed, JobInterrupted} {
		s := list[i]
		if s.Index != i || s.Name != jobs.Names[i] || s.State != want {
			t.Errorf("%+v, want %s", s, want)
		}
		if began := i > 0; began != (s.Saved != nil && s.Epochs == 1 && s.Wanted == 10 && s.ValAccuracy != nil && *s.ValAccuracy == .5) {
			t.Errorf("%+v", s)
		}
		if (s.Failure != nil) != (i == 2 || i == 4) || s.Failure != nil && *s.Failure != *failure {
			t.Errorf("job %d: %+v", i, s.Failure)
		}
	}
	if left, err := jobs.Unfinished(); err != nil || !slices.Equal(left, []int{0, 2, 3, 4, 5}) {
		t.Errorf("unfinished: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(jobs.Run(0))); err == nil {
		t.Error("the folder of a job that has not begun was created")
	}
}
