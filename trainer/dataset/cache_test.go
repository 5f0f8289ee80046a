package dataset

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// countOpened counts the pictures opened during a test.
func countOpened(t *testing.T) *atomic.Int32 {
	t.Helper()
	var n atomic.Int32
	before := openPicture
	t.Cleanup(func() { openPicture = before })
	openPicture = func(path string) (image.Image, error) {
		n.Add(1)
		return before(path)
	}
	return &n
}

// entries returns the paths of the files in the cache, but for temporary ones.
func entries(t *testing.T, cache string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(cache, "decoded", "[^.]*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Pictures are decoded when they changed or the cache is damaged, and not otherwise.
func TestCache(t *testing.T) {
	root, cache := putClasses(t, t.TempDir(), 6, "a", "b"), t.TempDir()
	put(t, root, "b/large.png", grey(20, 8, 3))
	opened := countOpened(t)
	o := FolderOptions{Cache: cache, Seed: 1}
	want := open(t, root, FolderOptions{Seed: 1})
	check := func(name string, decoded bool, files int) {
		t.Helper()
		opened.Store(0)
		if got := open(t, root, o); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: another dataset", name)
		}
		if n := int(opened.Load()); (n > 0) != decoded {
			t.Errorf("%s: %d pictures decoded", name, n)
		}
		if n := len(entries(t, cache)); n != files {
			t.Errorf("%s: %d files in the cache, want %d", name, n, files)
		}
	}
	check("first", true, 1)
	check("second", false, 1)
	for _, damage := range []func(b []byte) []byte{
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { b[2] ^= 1; return b },
		func(b []byte) []byte { return b[:len(b)-100] },
		func(b []byte) []byte { return b[:3] },
		func(b []byte) []byte { return nil },
	} {
		path := entries(t, cache)[0]
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, damage(b), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
		check("damaged", true, 1)
		check("rewritten", false, 1)
	}
	o.ImageSize = 32 // as the default turns out to be
	check("other size", true, 2)
	check("other size again", false, 2)
	o.ImageSize = 0
	check("first size", false, 2)
	path := filepath.Join(root, "a", "00.png")
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	// What a killed program left goes too, but not what another is writing.
	for i, age := range []time.Duration{2 * time.Hour, 0} {
		file := filepath.Join(cache, "decoded", fmt.Sprintf(".%s.0000000%d.tmp", filepath.Base(entries(t, cache)[0]), i))
		touch(t, filepath.Dir(file), filepath.Base(file))
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	check("changed", true, 1)
	if left, _ := filepath.Glob(filepath.Join(cache, "decoded", ".*")); len(left) != 1 || !strings.HasSuffix(left[0], "1.tmp") {
		t.Errorf("temporary files left: %v", left)
	}
	check("changed, again", false, 1)
	o.Seed, want = 2, open(t, root, FolderOptions{Seed: 2})
	check("other seed", false, 1)
	put(t, root, "a/new.png", grey(8, 8, 99))
	want = open(t, root, FolderOptions{Seed: 2})
	check("new picture", true, 1)
	check("new picture, again", false, 1)
}

// What is cached with bad pictures left out does not hide them.
func TestCacheWithBadPictures(t *testing.T) {
	root, cache := putClasses(t, t.TempDir(), 6, "a", "b"), t.TempDir()
	put(t, root, "a/bad.png", []byte("<html>"))
	opened := countOpened(t)
	want, err := OpenFolder(t.Context(), root, FolderOptions{Cache: cache})
	if want != nil || err == nil || len(entries(t, cache)) != 0 {
		t.Fatalf("error %v", err)
	}
	first := open(t, root, FolderOptions{Cache: cache, SkipBad: true})
	opened.Store(0)
	if again := open(t, root, FolderOptions{Cache: cache, SkipBad: true}); !reflect.DeepEqual(first, again) || opened.Load() != 0 {
		t.Errorf("the cache is another dataset, or %d pictures were decoded", opened.Load())
	}
	wantOpenError(t, root, FolderOptions{Cache: cache}, err.Error())
	if opened.Load() != 0 {
		t.Errorf("%d pictures decoded", opened.Load())
	}
	// A link that leads nowhere today may lead to a picture tomorrow.
	if err := os.Symlink("nowhere", filepath.Join(root, "b", "link.png")); err != nil {
		t.Skip(err)
	}
	open(t, root, FolderOptions{Cache: cache, SkipBad: true})
	opened.Store(0)
	open(t, root, FolderOptions{Cache: cache, SkipBad: true})
	if opened.Load() == 0 {
		t.Error("a failure that may pass is cached")
	}
}

// A cache that cannot be written is no error.
func TestCacheNotWritable(t *testing.T) {
	root := putClasses(t, t.TempDir(), 6, "a", "b")
	file := filepath.Join(t.TempDir(), "file")
	touch(t, filepath.Dir(file), "file")
	if d := open(t, root, FolderOptions{Cache: file}); d.Train.N != 10 {
		t.Errorf("%d images", d.Train.N)
	}
}
