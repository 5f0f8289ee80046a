// Package filelock holds what lock files need that are removed after use.
package filelock

import (
	"os"

	"github.com/gofrs/flock"
)

// Current reports whether the locked file is still the one at path, which another
// process may have removed after it was opened here.
func Current(lock *flock.Flock, path string) bool {
	held, err1 := lock.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// Remove removes the lock's file while it holds the lock, so that no other process can
// hold it, and unlocks it. Windows cannot remove an open file, so there it is removed
// after it is unlocked.
func Remove(lock *flock.Flock, path string) {
	removed := os.Remove(path) == nil
	_ = lock.Unlock()
	if !removed {
		_ = os.Remove(path)
	}
}
