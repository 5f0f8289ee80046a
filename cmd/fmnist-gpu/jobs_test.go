//go:build unix

package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// jobStates returns the states that the command status prints.
func jobStates(t *testing.T, dir string) string {
	t.Helper()
	var status struct{ Jobs []struct{ State string } }
	if err := json.Unmarshal([]byte(wantSuccess(t, "experiment", "status", "--json", dir)), &status); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, j := range status.Jobs {
		states = append(states, j.State)
	}
	return strings.Join(states, " ")
}

// Workers that see the folder and the dataset elsewhere do an experiment's jobs, one
// after an interruption, with the results of the experiment on one machine.
func TestJobs(t *testing.T) {
	isolateCache(t)
	here, there := t.TempDir(), t.TempDir()
	writeLetters(t, filepath.Join(here, "letters"), 2600, 260)
	file := filepath.Join(here, "rates.yaml")
	writeFile(t, file, "base: {model: logistic, augment: original, dataset: "+filepath.Join(here, "letters")+", batch-size: 2, epochs: 12, patience: 0}\ngrid: {lr: [0.001, 0.01]}\n")
	local, dir := filepath.Join(here, "local"), filepath.Join(there, "jobs")
	wantSuccess(t, "experiment", file, "--cpu", "--out", local)
	if got := wantSuccess(t, "experiment", "prepare", file, "--out", filepath.Join(here, "jobs")); !strings.HasPrefix(got, "2 jobs in ") {
		t.Error(got)
	}
	for _, name := range []string{"jobs", "letters"} {
		if err := os.Rename(filepath.Join(here, name), filepath.Join(there, name)); err != nil {
			t.Fatal(err)
		}
	}
	work := []string{"experiment", "run-job", "--cpu", "--threads", "1", "--dir", dir, "--data-dir", filepath.Join(there, "letters")}
	wantFailure(t, work, exitUsage, "which job? give --index, or set $SLURM_ARRAY_TASK_ID or $JOB_COMPLETION_INDEX")
	wantFailure(t, append(work, "--index", "2"), exitUsage, "has no job 2: its jobs are 0 to 1")
	wantFailure(t, []string{"experiment", "run-job", "--dir", here, "--index", "0"}, exitUsage, "is not the folder of an experiment")
	wantFailure(t, []string{"experiment", "run-job", "--cpu", "--dir", dir, "--index", "0"}, exitBadFile, filepath.Join(here, "letters"))
	if got := jobStates(t, dir); got != "failed waiting" {
		t.Errorf("after a failure: %s", got)
	}
	interruptJob(t, append(work, "--index", "0"))
	if got := jobStates(t, dir); got != "interrupted waiting" {
		t.Errorf("after an interruption: %s", got)
	}
	unlock, err := trainer.LockFolder(filepath.Join(dir, "lr0.001"), "training")
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, append(work, "--index", "0"), exitFailed, "job 0, lr0.001, is running elsewhere")
	if got := jobStates(t, dir); got != "running waiting" {
		t.Errorf("while it is running elsewhere: %s", got)
	}
	unlock()
	writeLetters(t, filepath.Join(there, "others"), 260, 260)
	others := append(slices.Clone(work[:len(work)-1]), filepath.Join(there, "others"), "--index", "1")
	wantFailure(t, others, exitBadFile, "others differs from the dataset of ")
	t.Setenv("JOB_COMPLETION_INDEX", "0")
	if got := wantSuccess(t, work...); !strings.Contains(got, "[1 of 2] lr0.001: resumed") {
		t.Error(got)
	}
	if got := wantSuccess(t, work...); got != "job 0, lr0.001, is done\n" {
		t.Error(got)
	}
	if got := wantSuccess(t, "experiment", "collect", dir); !strings.Contains(got, "report: ") {
		t.Error(got)
	}
	t.Setenv("SLURM_ARRAY_TASK_ID", "1")
	wantSuccess(t, work...)
	if got := wantSuccess(t, "experiment", "status", dir); !strings.Contains(got, "2 jobs: 2 done\n") {
		t.Error(got)
	}
	wantSuccess(t, "experiment", "collect", dir)
	if got, want := resultsOf(t, dir), resultsOf(t, local); !maps.Equal(got, want) {
		t.Error(difference(got, want))
	}
}

// A job that diverges each time says so by its exit code.
func TestJobDiverges(t *testing.T) {
	isolateCache(t)
	home := t.TempDir()
	letters, file, dir := filepath.Join(home, "letters"), filepath.Join(home, "decay.yaml"), filepath.Join(home, "jobs")
	writeLetters(t, letters, 520, 52)
	writeFile(t, file, "base: {model: logistic, dataset: "+letters+", optimizer: sgd, lr: 0.01, weight-decay: 1000, epochs: 9}\n")
	wantSuccess(t, "experiment", "prepare", file, "--out", dir)
	wantFailure(t, []string{"experiment", "run-job", "--cpu", "--dir", dir, "--index", "0"}, exitDiverges, "training diverged: ", "it began at step ")
	if got := jobStates(t, dir); got != "failed" {
		t.Errorf("status: %s", got)
	}
}

// interruptJob sends SIGUSR1 to a worker once it trains.
func interruptJob(t *testing.T, args []string) {
	t.Helper()
	c := program(t, args...)
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for part := make([]byte, 1000); !strings.Contains(said, "\nepoch  1/"); {
		n, err := stdout.Read(part)
		if said += string(part[:n]); err != nil {
			t.Fatalf("%v:\n%s", err, said)
		}
	}
	if err := c.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stdout)
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted || !strings.HasSuffix(string(rest), "interrupted; everything is saved; run the same command to resume\n") {
		t.Errorf("exit code %d (%v):\n%s%s", code, err, said, rest)
	}
}

// resultsOf are filesOf, without what says where and how they were trained.
func resultsOf(t *testing.T, dir string) map[string]string {
	list := filesOf(t, dir)
	maps.DeleteFunc(list, func(path, _ string) bool {
		name := filepath.Base(path)
		return name == trainer.ArgsFile || name == "experiment.yaml" || name == "runs.csv" || filepath.Dir(path) == "jobs"
	})
	return list
}

// Jobs of another version, or of a file that has changed, are refused.
func TestJobsRefused(t *testing.T) {
	file, dir := filepath.Join(t.TempDir(), "rates.yaml"), filepath.Join(t.TempDir(), "jobs")
	writeFile(t, file, "base: {epochs: 1}\n")
	wantSuccess(t, "experiment", "prepare", file, "--out", dir)
	for _, args := range [][]string{{"experiment", "prepare", file, "--out", dir}, {"experiment", file, "--cpu", "--out", dir}} {
		wantFailure(t, append(args, "--set", "epochs=2"), exitUsage, "has other settings (epochs: 1)")
	}
	job := []string{"experiment", "run-job", "--dir", dir, "--index", "0"}
	wantFailure(t, append(job, "--gpu-only", "--cpu"), exitUsage, "--gpu-only and --cpu are mutually exclusive")
	t.Setenv("VK_DRIVER_FILES", filepath.Dir(file))
	t.Setenv("VK_ICD_FILENAMES", filepath.Dir(file))
	wantFailure(t, append(job, "--gpu-only"), exitNoDevice, "no usable Vulkan device (--gpu-only)")
	wantFailure(t, []string{"experiment", "prepare", "original", "--out", dir}, exitUsage, "holds the experiment rates")
	wantFailure(t, []string{"experiment", "collect", dir}, exitUsage, "no run of the experiment rates is finished")
	for _, command := range []string{"status", "collect"} {
		for _, wrong := range []string{filepath.Dir(dir), file} {
			wantFailure(t, []string{"experiment", command, wrong}, exitUsage, "is not the folder of an experiment")
		}
	}
	index := filepath.Join(dir, "experiment.yaml")
	text, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, index, strings.Replace(string(text), "version: ", "version: v0-", 1))
	wantFailure(t, job, exitUsage, "are of version v0-", "use that version, or another folder")
	for _, args := range [][]string{{"prepare", file}, {file, "--cpu"}} {
		wantFailure(t, append([]string{"experiment", "--out", dir}, args...), exitUsage, "are of version v0-")
	}
	if got := jobStates(t, dir); got != "failed" {
		t.Errorf("status in another version: %s", got)
	}
}
