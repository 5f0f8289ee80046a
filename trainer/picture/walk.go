package picture

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Ignored reports whether a file or folder is not the user's: it is hidden, or macOS or a
// network drive has put it there.
func Ignored(name string) bool {
	return strings.HasPrefix(name, ".") || name == "__MACOSX" || name == "@eaDir"
}

// Walk finds the pictures in a folder and in the folders inside it, but for what is
// [Ignored], in the order of their names, and says of each where it is in the folder, with slashes, and what [os.Stat] says
// of it, nil if that fails. It follows links, but not to a folder that it is in, nor to one of
// above.
func Walk(ctx context.Context, dir string, above []fs.FileInfo, found func(file string, info fs.FileInfo)) error {
	return walk(ctx, dir, "", above, found)
}

func walk(ctx context.Context, root, inner string, above []fs.FileInfo, found func(string, fs.FileInfo)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := filepath.Join(root, filepath.FromSlash(inner))
	self, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(above, func(info fs.FileInfo) bool { return os.SameFile(info, self) }) {
		return nil
	}
	above = append(slices.Clip(above), self)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if Ignored(e.Name()) {
			continue
		}
		file := path.Join(inner, e.Name())
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		switch {
		case err == nil && info.IsDir():
			if err := walk(ctx, root, file, above, found); err != nil {
				return err
			}
		case IsPicture(e.Name()):
			found(file, info)
		}
	}
	return nil
}
