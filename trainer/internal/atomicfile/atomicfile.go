// Package atomicfile replaces files so that a reader, or a program that starts
// after a crash, finds either the old content or the new, never a part.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
)

// Failpoint, where a test sets it, is called with the path at each point where
// the program could be killed while it changes files: when the temporary file
// is written, when it has replaced the file, and when a file is removed.
var Failpoint func(path string)

func failpoint(path string) {
	if Failpoint != nil {
		Failpoint(path)
	}
}

// Write makes data the content of the file at path, as [WriteFunc] does.
func Write(path string, data []byte) error {
	return WriteFunc(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFunc makes what fill writes the content of the file at path, whose
// folder must exist. It writes a temporary file in the same folder (so that the
// rename stays on one file system), flushes it to the disk and renames it over
// path. On an error path is as it was and the temporary file is gone; a program
// that is killed leaves it for [RemoveTemporary]. An existing file keeps its
// permissions; a new one gets what the umask leaves of 0666. The error names
// path, not the temporary file.
func WriteFunc(path string, fill func(io.Writer) error) error {
	err := replace(path, fill)
	if err == nil {
		return nil
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return fmt.Errorf("cannot write %s: a folder of that name is in the way", path)
	}
	return fmt.Errorf("cannot write %s: %w", path, cause(err))
}

// cause returns what was wrong with the temporary file, where an error is about
// that one, or the error.
func cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p) && IsTemporary(filepath.Base(p.Path)):
		return p.Err
	case errors.As(err, &l) && IsTemporary(filepath.Base(l.Old)):
		return l.Err
	}
	return err
}

func replace(path string, fill func(io.Writer) error) error {
	f, err := createTemp(path)
	if err != nil {
		return err
	}
	err = errors.Join(write(f, path, fill), f.Close())
	if err == nil {
		failpoint(path)
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	syncFolder(filepath.Dir(path))
	failpoint(path)
	return nil
}

// Remove removes a file; one that does not exist is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	failpoint(path)
	return nil
}

// temporary matches the names that createTemp gives.
var temporary = regexp.MustCompile(`^\..+\.[0-9a-f]{8}\.tmp$`)

// IsTemporary reports whether a file of this name is the temporary file of a
// write, under way or cut off.
func IsTemporary(name string) bool { return temporary.MatchString(name) }

// RemoveTemporary removes the temporary files that killed writes have left in
// a folder. Nothing may be writing there; a folder that does not exist has none.
func RemoveTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if IsTemporary(e.Name()) && e.Type().IsRegular() {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
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

// write fills f, which gets the permissions of the file it will replace.
func write(f *os.File, path string, fill func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := fill(f); err != nil {
		return err
	}
	return f.Sync()
}

// syncFolder flushes a rename to the disk. Not every system can: where it
// fails, the rename is as durable as the system makes it.
func syncFolder(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		f.Close()
	}
}
