package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	dir := t.TempDir()
	touch(t, dir, allNames()...)
	loc, err := Find(Search{Dir: dir})
	if err != nil || loc.Dir != dir {
		t.Errorf("%v, %v", loc.Dir, err)
	}
	for i, name := range allNames() {
		if want := filepath.Join(dir, name); len(loc.paths[i]) != 1 || loc.paths[i][0] != want {
			t.Errorf("file %d is %s, want %s", i, loc.paths[i], want)
		}
	}
}

// wantFetch fails the test unless err has the text and says that a download to dir
// would help.
func wantFetch(t *testing.T, err error, dir, text string) {
	t.Helper()
	var fetch *FetchError
	if !errors.As(err, &fetch) || !errors.Is(err, ErrBadData) || err.Error() != text || fetch.Dir != dir {
		t.Errorf("error %q %+v,\nwant %q and folder %q", err, fetch, text, dir)
	}
}

// If the folder named has no data, Find must not fall back to another.
func TestFindNamedFolderWithoutData(t *testing.T) {
	cache, empty := t.TempDir(), t.TempDir()
	touch(t, filepath.Join(cache, "data"), allNames()...)
	find := func(dir, source string) error {
		_, err := Find(Search{Dir: dir, Source: source, Cache: cache})
		return err
	}
	wantFetch(t, find(empty, "--data-dir"), empty, "no Fashion-MNIST in "+empty+" (--data-dir)")
	wantFetch(t, find(empty, ""), empty, "no Fashion-MNIST in "+empty)
	absent := filepath.Join(empty, "absent")
	wantFetch(t, find(absent, ""), absent, "no Fashion-MNIST in "+absent)
	raw := filepath.Join(empty, "raw")
	touch(t, raw, allNames()[:3]...)
	wantFetch(t, find(empty, "$DATA"), raw, "t10k-labels-idx1-ubyte.gz is missing in "+raw+" ($DATA)")
}

// A file in place of the folder is named as that: downloading to it is no remedy.
func TestFileInPlaceOfFolder(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir, files[0].gzipName())
	path := filepath.Join(dir, files[0].gzipName())
	_, err := Find(Search{Dir: path})
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
	for _, sub := range []string{".", "FashionMNIST/raw", "raw", "FashionMNIST", "data/FashionMNIST/raw", "data/fashion", "fashion"} {
		root := t.TempDir()
		dir := filepath.Join(root, sub)
		touch(t, dir, allNames()...)
		touch(t, root, "README.md", allNames()[0])
		loc, err := Find(Search{Dir: root})
		if err != nil || loc.Dir != dir || loc.paths[0][0] != filepath.Join(dir, allNames()[0]) {
			t.Errorf("%s: %v, %v; want %s", sub, loc, err, dir)
		}
	}
}

// Names with dots, packed or not, are the same files; and the four files may lie
// in different folders.
func TestFindNames(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir, "train-images.idx3-ubyte", "train-labels.idx1-ubyte.gz")
	touch(t, filepath.Join(dir, "t10k-labels-idx1-ubyte"), "t10k-labels.idx1-ubyte")
	if _, err := Find(Search{Dir: dir}); err == nil || !strings.Contains(err.Error(), "t10k-images-idx3-ubyte.gz is missing in "+dir) {
		t.Errorf("one missing: %v", err)
	}
	touch(t, filepath.Join(dir, "raw"), "t10k-images.idx3-ubyte.gz")
	loc, err := Find(Search{Dir: dir})
	if err != nil || loc.Dir != dir || loc.paths[testImages][0] != filepath.Join(dir, "raw", "t10k-images.idx3-ubyte.gz") {
		t.Errorf("%v, %v", loc, err)
	}
}

func TestFindUnnamedFolder(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	_, err := findIn(Search{}, "", first, second)
	wantFetch(t, err, "", "no Fashion-MNIST in "+first+" or "+second)
	// An interrupted download must not hide the system's complete files, ...
	touch(t, first, allNames()[:2]...)
	touch(t, second, allNames()...)
	if loc, err := findIn(Search{}, first, second); err != nil || loc.Dir != second {
		t.Errorf("one incomplete: %v, %v", loc.Dir, err)
	}
	// ... but be named where there are none.
	_, err = findIn(Search{}, first, t.TempDir())
	wantFetch(t, err, "", "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz are missing in "+first)
	touch(t, first, allNames()...)
	loc, err := findIn(Search{}, first, second)
	if err != nil || loc.Dir != first || len(loc.paths[testImages]) != 2 || !strings.HasPrefix(loc.paths[testImages][1], second) {
		t.Errorf("both complete: %v, %v", loc, err)
	}
}

// A later folder's copy is used in place of a damaged file.
func TestFindInPlaceOfDamaged(t *testing.T) {
	_, packed := useSmallFiles(t)
	first, second := t.TempDir(), t.TempDir()
	for name, content := range packed {
		for _, dir := range []string{first, second} {
			if dir == first && name == files[testLabels].name {
				content = append([]byte{1}, content...)
			}
			if err := os.WriteFile(filepath.Join(dir, name+".gz"), content, 0o666); err != nil {
				t.Fatal(err)
			}
			content = packed[name]
		}
	}
	loc, err := findIn(Search{}, first, "", second)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range loadAll(loc) {
		want := first
		if i == testLabels {
			want = second
		}
		if r.err != nil || filepath.Dir(r.path) != want {
			t.Errorf("%s is from %s (%v), want %s", files[i].name, r.path, r.err, want)
		}
	}
}

// The downloads in the cache folder come before the system's files.
func TestFindInCache(t *testing.T) {
	cache := t.TempDir()
	touch(t, filepath.Join(cache, "data"), allNames()...)
	if loc, err := Find(Search{Cache: cache}); err != nil || loc.Dir != filepath.Join(cache, "data") {
		t.Errorf("%v, %v", loc.Dir, err)
	}
}

// No user can download to the system's folder.
func TestNeedFetchOfSystem(t *testing.T) {
	wantFetch(t, needFetch(systemDir, "damaged"), "", "damaged")
}
