//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An interruption ends the programs that a peer has started.
func TestBenchInterruptEndsPeers(t *testing.T) {
	peer := peerScript(t, "sleep 600 & echo started >&2; wait")
	c := program(t, "bench", "--cpu", "--model", "logistic", "--rounds", "1", "--seconds", ".01", "--against", peer)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stderr = w // of all that it starts, too
	if err := errors.Join(c.Start(), w.Close(), r.SetReadDeadline(time.Now().Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r)
	for text := ""; text != "started\n"; {
		if text, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _ = c.Wait(); c.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("exit code %d", c.ProcessState.ExitCode())
	}
	if _, err := io.ReadAll(lines); err != nil { // which ends when all of them have
		t.Errorf("a program that the peer has started runs on: %v", err)
	}
}

// A peer has a session of its own, and so no terminal to be stopped for reading from.
func TestIsolate(t *testing.T) {
	c := exec.CommandContext(t.Context(), "sleep", "600")
	isolate(c)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	session, err := unix.Getsid(c.Process.Pid)
	if err != nil || session != c.Process.Pid {
		t.Errorf("session %d (%v), want %d", session, err, c.Process.Pid)
	}
	if err := c.Cancel(); err != nil {
		t.Error(err)
	}
	_ = c.Wait()
}
