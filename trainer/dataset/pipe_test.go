//go:build unix

package dataset

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe in a dataset's place is refused, not waited for.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "train-images-idx3-ubyte")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("skipped: there are no named pipes here: %v", err)
	}
	if _, err := ReadIDX(pipe); !errors.Is(err, ErrBadData) {
		t.Errorf("ReadIDX: %v", err)
	}
	if IsIDX(pipe) {
		t.Error("a pipe is an IDX file")
	}
}
