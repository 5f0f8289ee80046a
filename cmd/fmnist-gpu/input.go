package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// maxInput is the largest settings file accepted, in bytes.
const maxInput = 1 << 20

// readInput reads a settings file once, so that it can be a pipe; "-" is standard
// input. It returns when the command's context is cancelled, even while it waits
// for the writer of a pipe.
func readInput(c *cobra.Command, path string) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1) // buffered, so that an abandoned reader can finish
	go func() {
		text, err := readAll(c.InOrStdin(), path)
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, &commandLineError{fmt.Sprintf("cannot read %s: %v", path, r.err)}
		}
		return r.text, nil
	case <-c.Context().Done():
		return nil, fmt.Errorf("%w: while reading %s", trainer.ErrInterrupted, path)
	}
}

// inputReader returns [readInput] for a command.
func inputReader(c *cobra.Command) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) { return readInput(c, path) }
}

// inputName returns a settings file's name for messages and for the experiment that
// it describes.
func inputName(path string) string {
	if path == "-" {
		return "stdin"
	}
	return path
}

func readAll(stdin io.Reader, path string) ([]byte, error) {
	in := stdin
	if path != "-" {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil, errIsFolder(path)
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, pathCause(err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = errors.New("it has more than 1 MiB: want a YAML file")
	}
	return text, pathCause(err)
}

func errIsFolder(path string) error {
	args := filepath.Join(path, trainer.ArgsFile)
	if _, err := os.Stat(args); err == nil {
		return fmt.Errorf("it is a run's folder: want the file %s", args)
	}
	return errors.New("it is a folder: want a YAML file")
}

// pathCause strips the operation and the path from an error of package os.
func pathCause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
