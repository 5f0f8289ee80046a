package trainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// lockFile is locked by the process that uses the folder, which removes it when it
// unlocks. A file left by a killed process is not locked and does no harm.
const lockFile = ".lock"

// LockFolder locks a folder, which must exist, against other trainings and
// experiments until unlock is called or the process ends. It removes the
// temporary files that a killed process left there. If the folder is locked
// already, the error is [ErrUsage] and names the folder and who: "training",
// "experiment" or "search". On a file system without locks, LockFolder does not lock.
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
			return nil, usage("another %s is running in %s: wait until it ends, or interrupt it", who, dir)
		case current(lock, path):
			return func() { removeLock(lock, path) }, nil
		}
		_ = lock.Unlock() // the previous holder removed the file after it was opened here
	}
}

// current reports whether the locked file is still the one at path.
func current(lock *flock.Flock, path string) bool {
	held, err1 := lock.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// removeLock removes the lock's file while it holds the lock, so that no other
// process can hold it. Windows cannot remove an open file, so there it is removed
// after it is unlocked.
func removeLock(lock *flock.Flock, path string) {
	removed := os.Remove(path) == nil
	_ = lock.Unlock()
	if !removed {
		_ = os.Remove(path)
	}
}
