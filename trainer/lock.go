package trainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/filelock"
)

// lockFile is locked by the process that uses the folder, which removes it when it
// unlocks. A file left by a killed process is not locked and does no harm.
const lockFile = ".lock"

// LockedError is the error of a folder that another process uses. It is [ErrUsage].
type LockedError struct{ Dir, Who string }

// Error says who uses the folder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another %s is running in %s: wait until it ends, or interrupt it", e.Who, e.Dir)
}

// Is makes the error [ErrUsage].
func (e *LockedError) Is(target error) bool { return target == ErrUsage }

// LockFolder locks a folder, which must exist, against other trainings and
// experiments until unlock is called or the process ends. It removes the
// temporary files that a killed process left there. If the folder is locked
// already, the error is a [LockedError] with who: "training", "experiment" or "search".
// On a file system without locks, LockFolder does not lock.
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

// lockTries is how often lock tries a lock that is held: [Locked] holds it for a moment.
const (
	lockTries = 3
	lockPause = 50 * time.Millisecond
)

func lock(dir, who string) (unlock func(), err error) {
	path := filepath.Join(dir, lockFile)
	if isOther(path) { // opening a pipe would wait
		return nil, badCheckpoint("cannot lock %s: %s is not a regular file; remove it", dir, path)
	}
	for tries := 1; ; tries++ {
		lock := flock.New(path)
		locked, err := lock.TryLock()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			_ = os.Remove(path)
			return func() {}, nil
		case err != nil:
			return nil, fmt.Errorf("cannot lock %s: %w", dir, cause(err))
		case !locked && tries < lockTries:
			time.Sleep(lockPause)
			continue
		case !locked:
			return nil, &LockedError{dir, who}
		case filelock.Current(lock, path):
			return func() { filelock.Remove(lock, path) }, nil
		}
		_ = lock.Unlock() // the previous holder removed the file after it was opened here
	}
}

// isOther reports whether there is something at a path other than a regular file.
func isOther(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// Locked reports whether a process, on any machine, holds the lock of a folder. It is
// false where that cannot be told. It disturbs nobody.
func Locked(dir string) bool {
	path := filepath.Join(dir, lockFile)
	if isOther(path) {
		return false
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY)) // creates nothing
	free, err := lock.TryRLock()
	if free {
		_ = lock.Unlock()
	}
	return err == nil && !free
}
