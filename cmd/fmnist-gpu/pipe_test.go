//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// namedPipe makes a named pipe and returns its path.
func namedPipe(t *testing.T) string {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("skipped: there are no named pipes here: %v", err)
	}
	return pipe
}

// A file of settings is read once, so it can be a pipe.
func TestConfigFromPipe(t *testing.T) {
	pipe := namedPipe(t)
	go os.WriteFile(pipe, []byte("preset: main_no_dropout\nlr: 0.5\n"), 0)
	c, err := resolved(t, "", "--config", pipe)
	if err != nil || c.LR != .5 || c.Preset != "main_no_dropout" || *c.Dropout != 0 {
		t.Errorf("%+v (%v)", c, err)
	}
}

// Waiting for a pipe without a writer ends with the context.
func TestReadInputIsCancelled(t *testing.T) {
	pipe := namedPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &cobra.Command{}
	c.SetContext(ctx)
	if _, err := readInput(c, pipe); exitCode(err) != exitInterrupted {
		t.Errorf("%v", err)
	}
	stdin, w := io.Pipe() // as a terminal at which nothing is typed
	defer w.Close()
	c.SetIn(stdin)
	if _, err := readInput(c, "-"); exitCode(err) != exitInterrupted {
		t.Errorf("standard input: %v", err)
	}
}

// openToWrite opens a pipe as soon as somebody has it open to read.
func openToWrite(t *testing.T, pipe string) *os.File {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			return w
		}
		if !errors.Is(err, syscall.ENXIO) || time.Now().After(end) { // ENXIO: nobody yet
			t.Fatal(err)
		}
	}
}

// SIGTERM ends the program while it waits for a pipe.
func TestTermWhileReading(t *testing.T) {
	pipe := namedPipe(t)
	for _, args := range [][]string{{"train", "--config", pipe}, {"experiment", pipe}} {
		c := program(t, args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		w := openToWrite(t, pipe) // once the program has the pipe open, so it has begun to read
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { _ = c.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			_ = c.Process.Kill()
			<-done
			t.Errorf("%v does not end", args)
		}
		_ = w.Close()
		if code := c.ProcessState.ExitCode(); code != exitInterrupted {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// What cannot be written to standard output is an error, of help too, which cobra prints;
// a reader that has gone interrupts.
func TestStandardOutputFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("skipped: there is no device that is always full: %v", err)
	}
	defer full.Close()
	r, gone, err := os.Pipe()
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	for _, words := range []string{"--help", "train --help", "help train", "completion bash", "--version", "devices"} {
		for out, want := range map[*os.File]int{full: exitFailed, gone: exitInterrupted} {
			c := program(t, strings.Fields(words)...)
			var stderr strings.Builder
			c.Stdout, c.Stderr = out, &stderr
			_ = c.Run()
			told := strings.HasSuffix(stderr.String(), syscall.ENOSPC.Error()+"\n")
			if code := c.ProcessState.ExitCode(); code != want || told != (want == exitFailed) {
				t.Errorf("%s to %s: exit code %d, %q; want %d", words, out.Name(), code, stderr.String(), want)
			}
		}
	}
}
