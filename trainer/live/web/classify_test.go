package web

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// A panic while a model is loaded leaves the lock free for the next request.
func TestModelsAfterPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last.safetensors")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	m := &models{open: func() (kernels.Backend, error) { panic("a fault") }}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		m.get(path)
	}()
	if !m.lock.TryLock() {
		t.Error("the models are still locked")
	}
}
