package main

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// until reads lines of a program's output up to one that begins so, and returns that.
func until(t *testing.T, lines *bufio.Scanner, start string) string {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), start) {
			return lines.Text()
		}
	}
	t.Fatalf("the program ended without a line %q", start)
	return ""
}

// follow returns the address of the page that the program prints, and the events of a
// run from it.
func follow(t *testing.T, lines *bufio.Scanner, run string) (page string, next <-chan live.Event) {
	t.Helper()
	page = strings.TrimPrefix(until(t, lines, "page: "), "page: ")
	next, err := live.Follow(t.Context(), page+"api/events?run="+run)
	if err != nil {
		t.Fatal(err)
	}
	return page, next
}

// train --serve shows the training on a page, which stays after its end until Ctrl-C;
// the program then exits with 0.
func TestTrainServe(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	c := program(t, "train", "--cpu", "--threads", "1", "--model", "logistic", "--max-steps", "50", "--eval-images", "500", "--out", out, "--name", "shown",
		"--serve", "--listen", "127.0.0.1:0", "--no-progress")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	page, next := follow(t, lines, "shown")
	epochs := 0
	var last live.Event
	for e := range next {
		if last = e; e.Epoch != nil {
			epochs++
			if e.Epoch.ConfusionMatrix == nil || e.Epoch.Samples == nil {
				t.Errorf("the epoch is %+v, want its matrix and samples", e.Epoch)
			}
		}
	}
	if epochs != 1 || last.End == nil || last.End.State != live.Finished || last.End.Metrics == nil {
		t.Errorf("there are %d epochs, and at the end %+v", epochs, last.End)
	}
	until(t, lines, "the page stays")
	picture, err := os.Open(filepath.Join(out, "shown", "samples.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer picture.Close()
	r, err := http.Post(page+"api/classify?run=shown", "image/png", picture)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("classify: %v, %v", r, err)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
}

// A training that is interrupted does not wait for its page: it saves and exits with 130.
func TestTrainServeInterrupted(t *testing.T) {
	datasettest.Full(t)
	c := program(t, "train", "--cpu", "--threads", "1", "--model", "logistic", "--epochs", "100000", "--patience", "0", "--out", t.TempDir(), "--name", "long",
		"--serve", "--listen", "127.0.0.1:0")
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	_, next := follow(t, lines, "long")
	until(t, lines, "epoch ")
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var last live.Event
	for e := range next {
		last = e
	}
	if last.End == nil || last.End.State != live.Interrupted {
		t.Errorf("the last event is %+v, want the end", last)
	}
	until(t, lines, "interrupted; everything is saved")
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
}

// serve shows a folder until Ctrl-C and exits with 0.
func TestServe(t *testing.T) {
	c := program(t, "serve", t.TempDir(), "--listen", "127.0.0.1:0")
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line := until(t, bufio.NewScanner(stdout), "the runs of ")
	_, page, _ := strings.Cut(line, ": ")
	page, _, _ = strings.Cut(page, " ")
	request, err := http.NewRequestWithContext(context.Background(), "GET", page, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%s: %v, %v", page, r, err)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestServeWrongUsage(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	wantFailure(t, []string{"serve", absent}, exitUsage, absent, "no such")
	wantFailure(t, []string{"serve", "a", "b"}, exitUsage, "serve takes one argument")
	wantFailure(t, []string{"serve", t.TempDir(), "--listen", "192.0.2.1:80"}, exitUsage, "192.0.2.1:80", "0.0.0.0:8601")
	wantFailure(t, []string{"train", "--listen", "0.0.0.0"}, exitUsage, "--serve")
}
