//go:build unix

package limitedfile

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that nobody writes is refused, not waited for.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("skipped: there are no named pipes here: %v", err)
	}
	if _, err := Open(pipe); !errors.Is(err, ErrRefused) {
		t.Errorf("Open: %v", err)
	}
	if _, err := Read(pipe, 10); !errors.Is(err, ErrRefused) {
		t.Errorf("Read: %v", err)
	}
}
