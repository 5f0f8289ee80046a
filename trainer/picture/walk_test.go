package picture

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A folder is entered once, however many links lead to it: here, there are 2^40 ways to the
// last one.
func TestWalkEntersFoldersOnce(t *testing.T) {
	root := t.TempDir()
	const levels = 40
	for i := range levels {
		dir, next := filepath.Join(root, fmt.Sprint(i)), filepath.Join("..", fmt.Sprint(i+1))
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "picture.png"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if i == levels-1 {
			break
		}
		for _, link := range []string{"a", "b"} {
			if err := os.Symlink(next, filepath.Join(dir, link)); err != nil {
				t.Skip("this system has no links:", err)
			}
		}
	}
	paths := 0
	var pictures []fs.FileInfo
	outputs, err := Walk(t.Context(), filepath.Join(root, "0"), nil, func(_ string, info fs.FileInfo) {
		paths++
		if !slices.ContainsFunc(pictures, func(other fs.FileInfo) bool { return os.SameFile(info, other) }) {
			pictures = append(pictures, info)
		}
		if paths > levels {
			t.Fatal("a folder is entered twice")
		}
	})
	if err != nil || paths == 0 || paths != len(pictures) || outputs != nil {
		t.Errorf("%d pictures of %d files (%v), and %v", paths, len(pictures), err, outputs)
	}
}
