package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// longRun starts a training that does not end by itself, and returns it once
// its first epoch is printed, with the rest of its output.
func longRun(t *testing.T, out, name string) (c *exec.Cmd, stdout io.ReadCloser, stderr *bytes.Buffer) {
	t.Helper()
	c, stderr = program(t, "train", "--cpu", "--threads", "1", "--model", "logistic", "--epochs", "100000", "--patience", "0", "--out", out, "--name", name), new(bytes.Buffer)
	c.Stderr = stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the training ended: %v, %s", err, stderr)
		}
		if strings.HasPrefix(line, "epoch ") {
			return c, struct {
				io.Reader
				io.Closer
			}{lines, stdout}, stderr
		}
	}
}

// A signal to end, or the end of the program that reads the output, makes a training
// save and exit with 130; --resume continues it.
func TestInterruptAndResume(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	for name, interrupt := range map[string]func(c *exec.Cmd, stdout io.ReadCloser) error{
		"interrupt": func(c *exec.Cmd, _ io.ReadCloser) error { return c.Process.Signal(syscall.SIGINT) },
		"terminate": func(c *exec.Cmd, _ io.ReadCloser) error { return c.Process.Signal(syscall.SIGTERM) },
		"hangup":    func(c *exec.Cmd, _ io.ReadCloser) error { return c.Process.Signal(syscall.SIGHUP) },
		"head":      func(_ *exec.Cmd, stdout io.ReadCloser) error { return stdout.Close() },
	} {
		if runtime.GOOS == "windows" && name != "head" {
			continue
		}
		if name == "hangup" && signal.Ignored(syscall.SIGHUP) {
			t.Log("SIGHUP is not tested under nohup, where the program ignores it")
			continue
		}
		dir := filepath.Join(out, name)
		c, stdout, stderr := longRun(t, out, name)
		if err := interrupt(c, stdout); err != nil {
			t.Fatal(err)
		}
		printed, _ := io.ReadAll(stdout) // nothing once it is closed
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != exitInterrupted {
			t.Fatalf("%s: exit code %d, want %d: %s", name, code, exitInterrupted, stderr)
		}
		if said := "everything is saved; resume with: fmnist-gpu train --resume " + quoted(dir); !strings.Contains(string(printed)+stderr.String(), said) {
			t.Errorf("%s: %q and %q do not say how to resume", name, printed, stderr)
		}
		more, errs, code := run(t, "train", "--resume", dir, "--epochs", "1")
		if code != 0 || !strings.Contains(more, "test accuracy") {
			t.Errorf("%s: resume: code %d, %s\n%s", name, code, errs, more)
		}
		left, err := os.ReadDir(dir)
		if err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }) {
			t.Errorf("%s: %v left (%v)", name, left, err)
		}
	}
}

// A hang-up that the program was started to ignore, as nohup does, is ignored.
func TestNohup(t *testing.T) {
	datasettest.Full(t)
	if _, err := exec.LookPath("nohup"); err != nil {
		t.Skip(err)
	}
	out := t.TempDir()
	c := program(t, "train", "--cpu", "--threads", "1", "--model", "logistic", "--epochs", "3", "--patience", "0", "--out", out, "--name", "r")
	nohup := exec.CommandContext(t.Context(), "nohup", c.Args...)
	nohup.Env = c.Env
	stdout, err := nohup.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := nohup.Start(); err != nil {
		t.Fatal(err)
	}
	lines, said := bufio.NewScanner(stdout), ""
	for lines.Scan() {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "epoch 1/") {
			if err := nohup.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nohup.Wait(); err != nil || !strings.Contains(said, "test accuracy") {
		t.Errorf("%v:\n%s", err, said)
	}
}

// A program that waits for its settings ends at a signal, without a second.
func TestInterruptBeforeTraining(t *testing.T) {
	c := program(t, "train", "--config", "/dev/stdin")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: once it is written, the program reads.
	if _, err := io.WriteString(stdin, strings.Repeat("#\n", 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
}

// Resuming a finished run says that it is finished, and continues it with more epochs.
func TestResumeFinishedRun(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	dir := filepath.Join(out, "r")
	args := []string{"--cpu", "--model", "logistic", "--batch-size", "1000", "--eval-images", "100"}
	if _, stderr, code := run(t, append([]string{"train", "--epochs", "1", "--out", out, "--name", "r"}, args...)...); code != 0 {
		t.Fatal(stderr)
	}
	unlock, err := trainer.LockFolder(dir, "training")
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"train", "--resume", dir, "--epochs", "2"}, exitUsage, "another training is running in "+dir)
	unlock()
	if err := os.Remove(filepath.Join(dir, "report.html")); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run(t, "train", "--resume", dir, "--data-dir", "/nowhere")
	if code != 0 || !strings.Contains(stdout, "is already finished, after epoch 1; to train more, resume it with a larger --epochs") || !strings.Contains(stdout, "test accuracy on 100 images") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Errorf("the report is not written: %v", err)
	}
	// A folder in which nothing can be written, not even a lock.
	if err := os.Mkdir(filepath.Join(dir, ".lock"), 0o777); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code = run(t, "train", "--resume", dir)
	if code != 0 || !strings.Contains(stdout, "test accuracy on 100 images") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	if err := os.Remove(filepath.Join(dir, ".lock")); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"train", "--resume", dir, "--dry-run"}, exitUsage, "--resume and --dry-run are mutually exclusive")
	wantFailure(t, []string{"train", "--resume", dir, "--config", "x.yaml"}, exitUsage, "--resume and --config are mutually exclusive")
	wantFailure(t, []string{"train", "--resume", filepath.Join(dir, "args.yaml")}, exitBadFile, "args.yaml is a file")
	stdout, stderr, code = run(t, "train", "--resume", dir, "--epochs", "2")
	if code != 0 || !strings.Contains(stdout, "note: the run continues after epoch 1") || !strings.Contains(stdout, "epoch 2/2") || strings.Contains(stdout, "epoch 1/2") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	if err := trainer.DropCheckpoint(dir); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"train", "--resume", dir, "--epochs", "3"}, exitBadFile, dir, "its checkpoint is gone", "--init "+dir)
	// Killed before its first checkpoint.
	for _, name := range []string{"metrics.json", "report.html", "results.csv", "weights"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code = run(t, "train", "--resume", dir)
	if code != 0 || !strings.Contains(stdout, "starts from the beginning") || !strings.Contains(stdout, "epoch 1/2") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
}
