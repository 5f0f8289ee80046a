// Package atomicfile replaces files so that a reader, or a program that starts
// after a crash, finds either the old content or the new, never a part.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Write makes data the content of the file at path, whose folder must exist.
// It writes a temporary file in the same folder (so that the rename stays on
// one file system), flushes it to the disk and renames it over path. On an
// error path is as it was and the temporary file is gone. An existing file
// keeps its permissions; a new one gets what the umask leaves of 0666.
func Write(path string, data []byte) error {
	f, err := createTemp(path)
	if err != nil {
		return err
	}
	err = errors.Join(fill(f, path, data), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// createTemp creates a hidden file beside path. os.CreateTemp would give it
// mode 0600 whatever the umask, and other users could not read a run's files.
func createTemp(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// fill writes data to f with the permissions of the file it will replace.
func fill(f *os.File, path string, data []byte) error {
	if info, err := os.Stat(path); err == nil {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
