package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// ReplaceFile creates or replaces a file of a cache, and its folder if necessary, with
// what content returns. Processes take turns, so content may read the old file and add
// to it. Readers see the old file or the new one, never part of one. The file beside it
// that a killed process leaves half written is the next one's.
func ReplaceFile(path string, content func() ([]byte, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	data, err := content()
	if err != nil {
		return err
	}
	part := path + ".part"
	if err = os.WriteFile(part, data, 0o644); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part) // which may never have been created
	}
	return err
}

// turn is how long a process waits for others that replace the file, each of which takes
// milliseconds unless it is stopped.
const turn = 10 * time.Second

// lockFile locks a file, which remains after unlock. On a file system without locks it
// does nothing.
func lockFile(path string) (unlock func(), err error) {
	lock := flock.New(path, flock.SetPermissions(0o644))
	ctx, cancel := context.WithTimeout(context.Background(), turn)
	defer cancel()
	switch _, err := lock.TryLockContext(ctx, 10*time.Millisecond); {
	case errors.Is(err, errors.ErrUnsupported):
		return func() {}, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("another process has held %s for %v", path, turn)
	case err != nil:
		return nil, err
	}
	return func() { _ = lock.Unlock() }, nil
}
