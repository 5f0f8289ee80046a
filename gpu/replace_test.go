package gpu

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Writers at the same time take turns, so that each one's addition stays, and what a
// killed one left is gone.
func TestReplaceFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	path := filepath.Join(dir, "f")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(path+".part", []byte("longer than all that follows"), 0o644)); err != nil {
		t.Fatal(err)
	}
	const writers = 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			err := ReplaceFile(path, func() ([]byte, error) {
				old, err := os.ReadFile(path)
				if errors.Is(err, os.ErrNotExist) {
					err = nil
				}
				return append(old, 'x'), err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, bytes.Repeat([]byte("x"), writers)) {
		t.Errorf("%q, %v: want one x of each of %d writers", got, err, writers)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v in the folder (%v), want the file and its lock", files, err)
	}
}

// An error is one line, and the old file stays.
func TestReplaceFileFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no content")
	for at, content := range map[string]func() ([]byte, error){
		path:                            func() ([]byte, error) { return nil, broken },
		filepath.Join(path, "f"):        func() ([]byte, error) { return nil, nil }, // below a file
		filepath.Dir(path):              func() ([]byte, error) { return nil, nil }, // a folder
		filepath.Join(path, "sub", "f"): func() ([]byte, error) { return nil, nil },
	} {
		if err := ReplaceFile(at, content); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want an error of one line", at, err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("%q, %v: want the old content", got, err)
	}
}
