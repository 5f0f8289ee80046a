//go:build unix

package checkpoint

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe in a checkpoint's place is refused, not waited for.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "best.safetensors")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("skipped: there are no named pipes here: %v", err)
	}
	if _, err := Load(pipe); !errors.Is(err, ErrBadCheckpoint) {
		t.Errorf("Load: %v", err)
	}
	if _, err := LoadMetadata(pipe); !errors.Is(err, ErrBadCheckpoint) {
		t.Errorf("LoadMetadata: %v", err)
	}
}
