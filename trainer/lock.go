package trainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// lockFile is held, by its lock, by whoever works in the folder. It is removed
// with the lock; one that a killed process has left is in nobody's way.
const lockFile = ".lock"

// LockFolder keeps other trainings and experiments out of a folder, which must
// exist, until unlock is called or the process ends. It removes the temporary
// files that a killed process has left there. who is what holds the
// lock, "training" or "experiment", for the message that others get: an error
// that is [ErrUsage] and names the folder. On a file system without locks
// nobody is kept out.
func LockFolder(dir, who string) (unlock func(), err error) {
	unlock, err = lock(dir, who)
	if err != nil {
		return nil, err
	}
	if err := atomicfile.RemoveTemporary(dir); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func lock(dir, who string) (unlock func(), err error) {
	path := filepath.Join(dir, lockFile)
	for {
		lock := flock.New(path)
		locked, err := lock.TryLock()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			_ = os.Remove(path)
			return func() {}, nil
		case err != nil:
			return nil, fmt.Errorf("cannot lock %s: %w", dir, cause(err))
		case !locked:
			return nil, usage("another %s is at work in %s: wait until it ends, or interrupt it", who, dir)
		case current(lock, path):
			return func() { removeLock(lock, path) }, nil
		}
		_ = lock.Unlock() // whoever held it before has removed the file since it was opened
	}
}

// current reports whether the file that was locked is still the one at path.
func current(lock *flock.Flock, path string) bool {
	held, err1 := lock.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// removeLock removes the lock's file while the lock is held, so that it is
// nobody else's. Windows removes no open file, but refuses it to others too.
func removeLock(lock *flock.Flock, path string) {
	removed := os.Remove(path) == nil
	_ = lock.Unlock()
	if !removed {
		_ = os.Remove(path)
	}
}
