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

// OutputMark is the name of a file that makes a folder [IsOutput] where no other file does.
const OutputMark = ".fmnist-gpu"

// outputMarks are files of which one is, before any picture, in a folder to which this
// project's programs write pictures.
var outputMarks = []string{
	"args.yaml",       // of a run
	"predictions.csv", // of an evaluation
	"experiment.yaml",
	"search.json",
	"twins.csv", // of an audit
	OutputMark,
}

// IsOutput reports whether a folder holds what this project's programs have written, such
// as a run: its pictures are nobody's photographs.
func IsOutput(dir string) bool {
	return slices.ContainsFunc(outputMarks, func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	})
}

// Walk finds the pictures in a folder and in the folders inside it, but for what is
// [Ignored], in the order of their names, and says of each where it is in the folder, with slashes, and what [os.Stat] says
// of it, nil if that fails. It follows links, but enters a folder only once, however many lead
// to it, and none of above. Of the folders inside, it does not enter but return those that
// are [IsOutput].
func Walk(ctx context.Context, dir string, above []fs.FileInfo, found func(file string, info fs.FileInfo)) (outputs []string, err error) {
	w := walker{ctx: ctx, root: dir, found: found, entered: map[int64][]fs.FileInfo{}}
	for _, info := range above {
		w.enter(info)
	}
	err = w.walk("")
	return w.outputs, err
}

// walker is a [Walk] on its way.
type walker struct {
	ctx     context.Context
	root    string
	found   func(file string, info fs.FileInfo)
	outputs []string
	entered map[int64][]fs.FileInfo // folders by the time of their last change, to find one fast
}

// enter reports whether a folder has not been entered before.
func (w *walker) enter(folder fs.FileInfo) bool {
	at := folder.ModTime().UnixNano()
	if slices.ContainsFunc(w.entered[at], func(info fs.FileInfo) bool { return os.SameFile(info, folder) }) {
		return false
	}
	w.entered[at] = append(w.entered[at], folder)
	return true
}

func (w *walker) walk(inner string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	dir := filepath.Join(w.root, filepath.FromSlash(inner))
	self, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !w.enter(self) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if Ignored(e.Name()) {
			continue
		}
		file, full := path.Join(inner, e.Name()), filepath.Join(dir, e.Name())
		info, err := os.Stat(full)
		switch {
		case err == nil && info.IsDir() && IsOutput(full):
			w.outputs = append(w.outputs, full)
		case err == nil && info.IsDir():
			if err := w.walk(file); err != nil {
				return err
			}
		case IsPicture(e.Name()):
			w.found(file, info)
		}
	}
	return nil
}
