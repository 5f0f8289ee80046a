package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWriteReplacesAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, want := range []string{"first", "second, longer", ""} {
		if err := Write(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("folder holds %v, want one file", entries)
	}
}

func TestWritePermissions(t *testing.T) {
	dir := t.TempDir()
	plain, path := filepath.Join(dir, "plain"), filepath.Join(dir, "f")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := mode(t, path), mode(t, plain); got != want {
		t.Errorf("new file has mode %v, want %v as the umask says", got, want)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := mode(t, path); got != 0o640 {
		t.Errorf("replaced file has mode %v, want 0640", got)
	}
}

func TestWriteFailureKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "missing", "f"), nil); err == nil {
		t.Error("no error for a missing folder")
	}
	// A folder cannot be replaced by a file: the rename fails.
	target := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(target, "child"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Write(target, []byte("x")); err == nil || err.Error() != "cannot write "+target+": a folder of that name is in the way" {
		t.Errorf("%v, want what is in the way", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("folder holds %v, want only the old entry", entries)
	}
}

// Errors name the file that people know, not the temporary one, and keep what
// the content's writer has to say.
func TestWriteErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	err := WriteFunc(path, func(w io.Writer) error {
		w.(io.Closer).Close() // as a full disk makes later writes fail
		_, err := w.Write([]byte("x"))
		return fmt.Errorf("line 1: %w", err)
	})
	if want := "cannot write " + path + ": " + os.ErrClosed.Error(); err == nil || err.Error() != want || !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v, want %s", err, want)
	}
	other := &fs.PathError{Op: "read", Path: "images.gz", Err: fs.ErrPermission}
	if err := WriteFunc(path, func(io.Writer) error { return other }); !errors.Is(err, other) {
		t.Errorf("%v, want %v in it", err, other)
	}
}

func TestWriteFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	if err := os.Symlink("f", link); err != nil {
		t.Skip("this system has no links:", err)
	}
	if err := errors.Join(Write(path, []byte("old")), Write(link, []byte("new"))); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
		t.Errorf("%q, %v: want the new content", b, err)
	}
	if to, err := os.Readlink(link); err != nil || to != "f" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if err := errors.Join(os.Remove(path), Write(link, []byte("again"))); err != nil { // the link leads nowhere
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "again" {
		t.Errorf("%q, %v: want the file that the link names", b, err)
	}
}

// What is not a file is written to, and stays what it is.
func TestWriteToPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", w.Fd()) // what /dev/stdout leads to
	if _, err := os.Stat(path); err != nil {
		t.Skip("this system has no files of its open files:", err)
	}
	if err := Write(path, []byte("text")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "text" {
		t.Errorf("%q, %v: want what was written", b, err)
	}
}

// A file that is open as standard output, or as another descriptor, is written to: what is
// in it stays, and what is written to the descriptor later, too.
func TestWriteToOpenFile(t *testing.T) {
	open := func(flag int) *os.File {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_RDWR|os.O_CREATE|flag, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	defer func(out, err *os.File) { os.Stdout, os.Stderr = out, err }(os.Stdout, os.Stderr)
	for _, flag := range []int{0, os.O_APPEND} {
		os.Stdout, os.Stderr = open(flag), open(flag)
		other := open(flag | os.O_APPEND)
		for _, f := range []*os.File{os.Stdout, os.Stderr, other} {
			path := f.Name()
			if f == other {
				path = fmt.Sprintf("/dev/fd/%d", f.Fd())
				if _, err := os.Stat(path); err != nil {
					continue // this system has no files of its open files
				}
			}
			fmt.Fprint(f, "precious, ")
			if err := Write(path, []byte("written, ")); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(f, "later")
			if b, err := os.ReadFile(f.Name()); err != nil || string(b) != "precious, written, later" {
				t.Errorf("%s holds %q (%v)", path, b, err)
			}
		}
	}
}

// A link to an open file whose name is gone stays a link.
func TestWriteToRemovedFile(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	link := filepath.Join(dir, "link")
	if err := errors.Join(os.Remove(f.Name()), os.Symlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), link)); err != nil {
		t.Skip("this system has no links, or does not remove open files:", err)
	}
	if _, err := os.Stat(link); err != nil {
		t.Skip("this system has no files of its open files:", err)
	}
	if err := Write(link, []byte("text")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != "text" {
		t.Errorf("%q, %v: want what was written", b, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%s is no link any more: %v", link, err)
	}
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// A write that is killed leaves its temporary file, which RemoveTemporary
// removes; it removes nothing else.
func TestRemoveTemporary(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := Write(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	defer func() { Failpoint = nil }()
	Failpoint = func(string) { panic("killed") }
	func() {
		defer func() { _ = recover() }()
		_ = Write(path, []byte("new"))
	}()
	Failpoint = nil
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Fatalf("folder holds %v, want the file and a temporary file", entries)
	}
	for _, name := range []string{".hidden", "notes.tmp", ".state.json.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := RemoveTemporaryOf(dir, func(name string) bool { return name != "state.json" }); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(all) {
		t.Errorf("of other files: %v are left (%v), want all of %v", left, err, all)
	}
	if err := RemoveTemporary(dir); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); got != ".hidden .state.json.tmp notes.tmp state.json" {
		t.Errorf("folder holds %s", got)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("%q, %v: want the old content", b, err)
	}
	if err := RemoveTemporary(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a folder that does not exist: %v", err)
	}
	if err := RemoveTemporary(path); err == nil || !strings.HasPrefix(err.Error(), "cannot list the files in "+path+": ") {
		t.Errorf("a file in place of the folder: %v", err)
	}
}

// Every name that the file system takes can be written, and its temporary file is known by
// its extension.
func TestWriteLongNames(t *testing.T) {
	dir := t.TempDir()
	defer func() { Failpoint = nil }()
	for n := 240; n <= 255; n++ {
		for _, name := range []string{strings.Repeat("x", n-5) + ".yaml", (strings.Repeat("é", 200) + ".yaml")[400+5-n:]} {
			name = strings.ToValidUTF8(name, "y")
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Skip("skipped: this file system takes no such name: ", err)
			}
			left := 0
			Failpoint = func(string) {
				if err := RemoveTemporaryOf(dir, func(name string) bool { left++; return filepath.Ext(name) != ".yaml" }); err != nil {
					t.Error(err)
				}
				Failpoint = nil
			}
			if err := Write(path, []byte("new")); err != nil || left != 1 {
				t.Errorf("%d bytes: %v, with %d temporary files", n, err, left)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
				t.Errorf("%d bytes: %q, %v", n, b, err)
			}
		}
	}
}

// A program that ends in the middle of a write leaves no temporary file, and the old content.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Write(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		Failpoint = nil
		running.abandoned = false
	}()
	written := make(chan struct{})
	Failpoint = func(string) { // as a slow disk stops the program before the file has its name
		written <- struct{}{}
		<-written
	}
	failed := make(chan error)
	go func() { failed <- Write(path, []byte("new")) }()
	<-written
	Abandon()
	entries, err := os.ReadDir(dir)
	close(written)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
	if err := <-failed; err == nil {
		t.Error("a write that was abandoned succeeds")
	}
	if err := Write(filepath.Join(dir, "next"), nil); !errors.Is(err, errAbandoned) {
		t.Errorf("a write that begins after the end: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("%q, %v: want the old content", b, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
}

// A write removes what a killed one of the same file has left, if that is old.
func TestStaleTemporary(t *testing.T) {
	dir := t.TempDir()
	leave := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o666), os.Chtimes(path, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	want := func(names string) {
		t.Helper()
		if got := list(t, dir); got != names {
			t.Errorf("the folder holds %s, want %s", got, names)
		}
	}
	leave(".a.00000001.tmp", 2*longestWrite)
	leave(".a.00000002.tmp", 0)
	leave(".b.00000003.tmp", 2*longestWrite)
	leave("a.00000004.tmp", 2*longestWrite)
	for range 2 {
		if err := Write(filepath.Join(dir, "a"), nil); err != nil {
			t.Fatal(err)
		}
		want(".a.00000002.tmp .b.00000003.tmp a a.00000004.tmp")
	}
	t.Chdir(dir) // a path without a folder
	if err := Write("b", nil); err != nil {
		t.Fatal(err)
	}
	want(".a.00000002.tmp a a.00000004.tmp b")
}

// list returns the names in a folder.
func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
