// Package atomicfile replaces files so that a reader, or a program that starts after
// a crash, finds either the old content or the new, never a part of it.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Failpoint, if a test sets it, is called with the path at each point where the
// program could be killed while it changes files: after the temporary file is
// written, after it has replaced the file, and after a file is renamed or removed.
var Failpoint func(path string)

func failpoint(path string) {
	if Failpoint != nil {
		Failpoint(path)
	}
}

// Write replaces the content of the file at path with data, as [WriteFunc] does.
func Write(path string, data []byte) error {
	return WriteFunc(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFunc replaces the content of the file at path, whose folder must exist, with
// what fill writes. It writes a temporary file in the same folder (so that the rename
// stays on one file system), flushes it to the disk and renames it to path. On an
// error, path is unchanged and the temporary file is removed; if the program is
// killed, it remains for [RemoveTemporary] or for a write to path an hour later. An
// existing file keeps its permissions; a new one gets 0666 less the umask. The error names
// path, not the temporary file.
//
// A link is followed. What is not a file, such as /dev/null or a pipe, cannot be
// replaced: it is written to. So is a file that is open as standard output or standard
// error, or that path names by its descriptor: after what is already in it.
func WriteFunc(path string, fill func(io.Writer) error) error {
	err := put(path, fill)
	if err == nil {
		return nil
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return fmt.Errorf("cannot write %s: a folder of that name is in the way", path)
	}
	return fmt.Errorf("cannot write %s: %w", path, cause(path, err))
}

// cause returns what was wrong with the file at path or its temporary file, where an
// error is about those, or the error.
func cause(path string, err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p) && (p.Path == path || IsTemporary(filepath.Base(p.Path))):
		return p.Err
	case errors.As(err, &l) && IsTemporary(filepath.Base(l.Old)):
		return l.Err
	}
	return err
}

func put(path string, fill func(io.Writer) error) error {
	info, err := os.Stat(path)
	if err == nil {
		if f := standard(info); f != nil {
			return fill(f)
		}
	}
	switch to, none := os.Readlink(path); {
	case errors.Is(err, fs.ErrNotExist) && none == nil: // a link to a file that is not there yet
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		return put(to, fill)
	case err != nil || info.IsDir(): // nothing there yet, or an error to come
		return replace(path, fill)
	case !info.Mode().IsRegular() || isDescriptor(path):
		return pour(path, fill)
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil { // an open file without a name, to which a link may lead
		return pour(path, fill)
	}
	return replace(target, fill)
}

// standard returns standard output or standard error if that is the file of info, else nil.
func standard(info fs.FileInfo) *os.File {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if open, err := f.Stat(); err == nil && os.SameFile(info, open) {
			return f
		}
	}
	return nil
}

// isDescriptor reports whether a path such as /dev/fd/3 names an open file.
func isDescriptor(path string) bool {
	all, err := os.Stat("/dev/fd")
	if err != nil {
		return false
	}
	dir, err := os.Stat(filepath.Dir(path))
	return err == nil && os.SameFile(all, dir)
}

// pour writes to what has no name of its own, or must keep it: a device, a pipe, an open
// file. It keeps what is in a file: somebody may still write to it.
func pour(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
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
	running.end(f.Name())
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	syncFolder(filepath.Dir(path))
	failpoint(path)
	return nil
}

// Rename gives a file another name in the same folder, in place of a file of that name if
// there is one.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	syncFolder(filepath.Dir(to))
	failpoint(to)
	return nil
}

// Remove removes a file; it is not an error if the file does not exist.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	failpoint(path)
	return nil
}

// temporary matches the names that createTemp gives, and in them the file's name, or the end
// of it.
var temporary = regexp.MustCompile(`^\.(.+)\.[0-9a-f]{8}\.tmp$`)

// IsTemporary reports whether a file of this name is the temporary file of a write
// that is running or was interrupted.
func IsTemporary(name string) bool { return temporary.MatchString(name) }

// RemoveTemporary removes the temporary files that killed programs have left in a
// folder. No write may be running there. It is not an error if the folder does not
// exist.
func RemoveTemporary(dir string) error {
	return RemoveTemporaryOf(dir, func(string) bool { return true })
}

// RemoveTemporaryOf is [RemoveTemporary] for the files of some names only: the others may
// be being written.
func RemoveTemporaryOf(dir string, some func(name string) bool) error {
	return removeTemporary(dir, func(_ fs.DirEntry, name string) bool { return some(name) })
}

// longestWrite is the age at which a temporary file is that of no running write.
const longestWrite = time.Hour

// RemoveStale is [RemoveTemporaryOf] for files that are too old to be those of running
// writes.
func RemoveStale(dir string, some func(name string) bool) error {
	return removeTemporary(dir, func(e fs.DirEntry, name string) bool {
		info, err := e.Info()
		return err == nil && time.Since(info.ModTime()) > longestWrite && some(name)
	})
}

// removeTemporary removes some temporary files in a folder, each shown with the name of the
// file that was written.
func removeTemporary(dir string, some func(e fs.DirEntry, name string) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && len(entries) == 0 {
		return fmt.Errorf("cannot list the files in %s: %w", dir, errors.Unwrap(err))
	}
	for _, e := range entries {
		match := temporary.FindStringSubmatch(e.Name())
		if match != nil && e.Type().IsRegular() && some(e, match[1]) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// createTemp creates a hidden file beside path. os.CreateTemp would use mode 0600
// regardless of the umask, and other users could not read a run's files.
func createTemp(path string) (*os.File, error) {
	dir, base := filepath.Dir(path), shortened(filepath.Base(path))
	removeStaleOf(dir, base)
	for {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.tmp", base, rand.Uint32()))
		if err := running.begin(name); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil && running.begin(name) != nil { // Abandon may have looked for it too early
			return nil, errors.Join(errAbandoned, f.Close(), os.Remove(name))
		}
		if err == nil {
			return f, nil
		}
		running.end(name)
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

// longestBase is the largest number of bytes of a file's name in that of its temporary file:
// common file systems take 255 in all.
const longestBase = 255 - len("..00000000.tmp")

// shortened returns the end of a name that is too long, which has the extension.
func shortened(base string) string {
	return strings.ToValidUTF8(base[max(0, len(base)-longestBase):], "")
}

// tidy are the folders in which no killed program had left a temporary file. To look once
// is enough, and the folder may hold many files.
var tidy sync.Map

// removeStaleOf removes what killed programs have left of writes to a file.
func removeStaleOf(dir, base string) {
	if _, known := tidy.Load(dir); known {
		return
	}
	others := false
	err := RemoveStale(dir, func(name string) bool {
		others = others || name != base
		return name == base
	})
	if err == nil && !others {
		tidy.Store(dir, nil)
	}
}

// writes are the temporary files of running writes.
type writes struct {
	sync.Mutex
	files     map[string]bool
	abandoned bool
}

var running writes

// errAbandoned is the error of writes after [Abandon].
var errAbandoned = errors.New("the program ends")

// begin adds a file that is going to be created. No lock is held meanwhile: that may hang.
func (w *writes) begin(file string) error {
	w.Lock()
	defer w.Unlock()
	if w.abandoned {
		return errAbandoned
	}
	if w.files == nil {
		w.files = map[string]bool{}
	}
	w.files[file] = true
	return nil
}

// end removes a file that has got another name, or is gone.
func (w *writes) end(file string) {
	w.Lock()
	defer w.Unlock()
	delete(w.files, file)
}

// Abandon removes the temporary files of the writes that are running, which then fail, and
// lets no other write begin: it is for a program that ends without waiting for them.
func Abandon() {
	running.Lock()
	running.abandoned = true
	files := slices.Collect(maps.Keys(running.files))
	running.Unlock()
	for _, file := range files {
		_ = os.Remove(file)
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

// syncFolder flushes a rename to the disk. Not every system supports this; errors are
// ignored, and the rename is then as durable as the system makes it.
func syncFolder(dir string) {
	if f, err := os.Open(dir); err == nil {
		_ = f.Sync()
		f.Close()
	}
}
