package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// isolate gives the test a new cache folder, unsets $FMNIST_DATA and returns the folder
// for downloads in the cache folder.
func isolate(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("LocalAppData", filepath.Join(home, "cache"))
	t.Setenv(Environment, "")
	return cacheDir("data")
}

// touch creates empty files in dir.
func touch(t testing.TB, dir string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// allNames returns the names of the four files, some of them unpacked.
func allNames() []string {
	return []string{files[0].gzipName(), files[1].name, files[2].gzipName(), files[3].name}
}

func TestFindNamedFolder(t *testing.T) {
	isolate(t)
	flag, env := t.TempDir(), t.TempDir()
	touch(t, flag, allNames()...)
	touch(t, env, allNames()...)
	t.Setenv(Environment, env)
	if loc, err := Find(flag); err != nil || loc.Dir != flag {
		t.Errorf("--data-dir: %v, %v", loc.Dir, err)
	}
	loc, err := Find("")
	if err != nil || loc.Dir != env {
		t.Errorf("$%s: %v, %v", Environment, loc.Dir, err)
	}
	for i, name := range allNames() {
		if want := filepath.Join(env, name); len(loc.paths[i]) != 1 || loc.paths[i][0] != want {
			t.Errorf("file %d is %s, want %s", i, loc.paths[i], want)
		}
	}
}

// If the folder named has no data, Find must not fall back to another.
func TestFindNamedFolderWithoutData(t *testing.T) {
	touch(t, isolate(t), allNames()...)
	empty := t.TempDir()
	wantBad := func(err error, parts ...string) {
		t.Helper()
		if !errors.Is(err, ErrBadData) {
			t.Errorf("error %v, want ErrBadData", err)
			return
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q lacks %q", err, part)
			}
		}
	}
	_, err := Find(empty)
	wantBad(err, "no Fashion-MNIST in "+empty, "--data-dir", "`fmnist-gpu data fetch --data-dir "+empty)
	t.Setenv(Environment, empty)
	_, err = Find("")
	wantBad(err, "no Fashion-MNIST in "+empty, "$"+Environment)
	touch(t, empty, allNames()[:3]...)
	_, err = Find("")
	wantBad(err, "t10k-labels-idx1-ubyte.gz is missing in "+empty)
	_, err = Find(filepath.Join(empty, "absent"))
	wantBad(err, "no Fashion-MNIST in")
}

// A file in place of the folder is named as that: downloading to it is no remedy.
func TestFileInPlaceOfFolder(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	touch(t, dir, files[0].gzipName())
	path := filepath.Join(dir, files[0].gzipName())
	_, err := Find(path)
	_, fetchErr := Fetch(t.Context(), path, FetchOptions{Mirrors: []string{"http://127.0.0.1:0/"}})
	for _, err := range []error{err, fetchErr} {
		if !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "is a file, not a folder") {
			t.Errorf("%v, want %s to be called a file", err, path)
		}
	}
}

// Files are found under torchvision's root and one level below it, and in a clone
// of the authors' repository, also beside other files.
func TestFindLayouts(t *testing.T) {
	isolate(t)
	for _, sub := range []string{".", "FashionMNIST/raw", "raw", "FashionMNIST", "data/FashionMNIST/raw", "data/fashion", "fashion"} {
		root := t.TempDir()
		dir := filepath.Join(root, sub)
		touch(t, dir, allNames()...)
		touch(t, root, "README.md", allNames()[0])
		loc, err := Find(root)
		if err != nil || loc.Dir != dir || loc.paths[0][0] != filepath.Join(dir, allNames()[0]) {
			t.Errorf("%s: %v, %v; want %s", sub, loc, err, dir)
		}
	}
}

// Names with dots, packed or not, are the same files; and the four files may lie
// in different folders.
func TestFindNames(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	touch(t, dir, "train-images.idx3-ubyte", "train-labels.idx1-ubyte.gz")
	touch(t, filepath.Join(dir, "t10k-labels-idx1-ubyte"), "t10k-labels.idx1-ubyte")
	if _, err := Find(dir); err == nil || !strings.Contains(err.Error(), "t10k-images-idx3-ubyte.gz is missing in "+dir) {
		t.Errorf("one missing: %v", err)
	}
	touch(t, filepath.Join(dir, "raw"), "t10k-images.idx3-ubyte.gz")
	loc, err := Find(dir)
	if err != nil || loc.Dir != dir || loc.paths[testImages][0] != filepath.Join(dir, "raw", "t10k-images.idx3-ubyte.gz") {
		t.Errorf("%v, %v", loc, err)
	}
}

// A leading ~/ is the home folder, since no shell expands it in
// FMNIST_DATA='~/data' or --data-dir=~/data.
func TestFindExpandsHome(t *testing.T) {
	isolate(t)
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(home, "data")
	touch(t, want, allNames()...)
	if loc, err := Find("~/data"); err != nil || loc.Dir != want {
		t.Errorf("--data-dir=~/data: %v, %v; want %s", loc.Dir, err, want)
	}
	t.Setenv(Environment, "~/data")
	if loc, err := Find(""); err != nil || loc.Dir != want {
		t.Errorf("%s=~/data: %v, %v; want %s", Environment, loc.Dir, err, want)
	}
	if dir, err := FetchDir("~/new"); err != nil || dir != filepath.Join(home, "new") {
		t.Errorf("data fetch to %s, %v", dir, err)
	}
	_, err = Find("~/nothing")
	if err == nil || !strings.Contains(err.Error(), "no Fashion-MNIST in "+filepath.Join(home, "nothing")+" (--data-dir)") {
		t.Errorf("the message does not say what was looked at: %v", err)
	}
}

func TestFindUnnamedFolder(t *testing.T) {
	isolate(t)
	first, second := t.TempDir(), t.TempDir()
	if _, err := findIn("", first, second); !errors.Is(err, ErrBadData) ||
		!strings.Contains(err.Error(), "no Fashion-MNIST in "+first+" or "+second) || !strings.Contains(err.Error(), "`fmnist-gpu data fetch`") {
		t.Errorf("no files: %v", err)
	}
	// An interrupted download must not hide the system's complete files, ...
	touch(t, first, allNames()[:2]...)
	touch(t, second, allNames()...)
	if loc, err := findIn(first, second); err != nil || loc.Dir != second {
		t.Errorf("one incomplete: %v, %v", loc.Dir, err)
	}
	// ... but be named where there are none.
	if _, err := findIn(first, t.TempDir()); !errors.Is(err, ErrBadData) ||
		!strings.Contains(err.Error(), "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz are missing in "+first) {
		t.Errorf("incomplete: %v", err)
	}
	touch(t, first, allNames()...)
	if loc, err := findIn(first, second); err != nil || loc.Dir != first {
		t.Errorf("both complete: %v, %v", loc.Dir, err)
	}
}

func TestQuote(t *testing.T) {
	for path, want := range map[string]string{"/a/b": "/a/b", "/a b": "'/a b'", "/it's": `'/it'\''s'`} {
		if got := quote(path); got != want {
			t.Errorf("quote(%s) = %s, want %s", path, got, want)
		}
	}
}
