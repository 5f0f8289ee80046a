//go:build cgo

package gpu

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// useCache opens a device, compiles a shader and closes the device. It returns
// the cache file and whether the device started from it.
func useCache(t *testing.T, dir string) (path string, loaded bool) {
	t.Helper()
	requireVulkan(t)
	d, err := Open("0", Options{Validate: true, CacheDir: dir, Log: func(s string) { t.Log(s) }})
	must(t, err)
	axpy(t, d, 3)
	path, loaded = d.cache.path, d.PipelineCacheWarm()
	must(t, d.Close())
	return path, loaded
}

func TestPipelineCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	path, loaded := useCache(t, dir)
	if loaded {
		t.Error("a cache was loaded from an empty folder")
	}
	intact, err := os.ReadFile(path)
	must(t, err)
	if _, loaded := useCache(t, dir); !loaded {
		t.Error("the saved cache is not loaded")
	}

	flipped := append([]byte(nil), intact...)
	flipped[len(flipped)-1] ^= 1
	for name, data := range map[string][]byte{
		"empty":     {},
		"short":     intact[:40],
		"truncated": intact[:len(intact)-1],
		"flipped":   flipped,
		"garbage":   randomBytes(len(intact), 9),
	} {
		must(t, os.WriteFile(path, data, 0o644))
		if _, loaded := useCache(t, dir); loaded {
			t.Errorf("a cache that is %s is used", name)
		}
		if _, loaded := useCache(t, dir); !loaded {
			t.Errorf("a cache that is %s is not replaced", name)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 2 {
		t.Errorf("%v in the folder, want one file and its lock (%v)", files, err)
	}

	if path, _ := useCache(t, ""); path != "" {
		t.Errorf("a cache is kept in %s though it is off", path)
	}
	// A folder that cannot be created is not a reason to fail.
	useCache(t, filepath.Join(path, "below a file"))
}

// A cache file from another device is not passed to the driver.
func TestPipelineCacheOfAnotherDevice(t *testing.T) {
	dir := t.TempDir()
	path, _ := useCache(t, dir)
	d := openDevice(t, Options{})
	p := d.physical
	if data, err := readCache(path, p); err != nil || data == nil {
		t.Errorf("its own device: %v", err)
	}
	p.cacheUUID[0] ^= 1
	if _, err := readCache(path, p); err == nil {
		t.Error("another driver's cache is accepted")
	}
}

func TestPipelinesInParallel(t *testing.T) {
	d := testDevice(t)
	const n = 24
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			p, err := d.NewPipeline(axpyDesc(uint32(i)))
			if err == nil && i%2 == 0 {
				p.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
}
