package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// watchSignals calls interrupt at the first signal that asks the program to
// end. SIGUSR1 is one, which schedulers send some time before they end it, and so is
// SIGHUP, unless the program was started with it ignored, as nohup does. A second SIGINT
// or SIGTERM ends the program at once; a second SIGHUP does not, since a terminal that
// closes sends two.
func watchSignals(interrupt func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, append(schedulerSignals, os.Interrupt, syscall.SIGTERM)...)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals
		signal.Ignore(append(schedulerSignals, syscall.SIGHUP)...)
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		interrupt()
	}()
}

// standardOutput is standard output, which calls closed if a write fails because
// the reader is gone: "| head" is another way to interrupt a training.
type standardOutput struct {
	*os.File
	closed func()
	failed atomic.Pointer[error] // the first error of a write
}

// newStandardOutput returns standard output. From now on, a write to a closed pipe
// fails rather than ending the program by SIGPIPE. (SIGPIPE is caught, not ignored,
// because programs that this one starts would inherit an ignored signal.)
func newStandardOutput(closed func()) *standardOutput {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return &standardOutput{File: os.Stdout, closed: closed}
}

// Write implements [io.Writer].
func (s *standardOutput) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		s.closed()
	}
	if err != nil {
		s.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// err returns the first error of a write: what prints help does not.
func (s *standardOutput) err() error {
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// saving counts the trainings that have something to save.
var saving atomic.Int32

// interruptGrace is how long a command that has nothing to save may take to end
// after an interruption: it may hang in a read or in a driver.
const interruptGrace = 500 * time.Millisecond

// await returns the outcome of a command, or ErrInterrupted if it does not end
// after an interruption and has nothing to save.
func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(interruptGrace):
			if saving.Load() == 0 {
				return trainer.ErrInterrupted
			}
		}
	}
}
