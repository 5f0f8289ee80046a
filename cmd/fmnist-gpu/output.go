package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// checkOutFile returns an error if the file that a flag names clearly cannot be written, or
// if it would replace what the command reads: better before the work than after it. inputs
// are the files and folders that are read; an empty name stands for none.
func checkOutFile(flag, path string, inputs ...string) error {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot write %s: the folder %s does not exist; create it, or name another file with --%s", path, folder, flag)
	case isNotFolder(info, err):
		return fmt.Errorf("cannot write %s: %s is not a folder; name another file with --%s", path, folder, flag)
	}
	info, err = os.Stat(path)
	switch {
	case err != nil: // nothing there yet, or an error to come
		return nil
	case info.IsDir():
		return fmt.Errorf("cannot write %s: a folder of that name is in the way: name a file with --%s", path, flag)
	case !isReplaced(info):
		return nil
	case dataset.IsIDX(path):
		return &commandLineError{fmt.Sprintf("--%s %s would replace a file of a dataset: name another file", flag, path)}
	}
	return checkInputs(flag, path, info, inputs)
}

// isReplaced reports whether what is there is replaced, not written to: it is a file, and not
// the one that the shell has opened as standard output.
func isReplaced(info fs.FileInfo) bool {
	stdout, err := os.Stdout.Stat()
	return info.Mode().IsRegular() && !(err == nil && os.SameFile(info, stdout))
}

// isNotFolder reports whether something other than a folder was found; it may be part of
// a path, such as file/folder.
func isNotFolder(info fs.FileInfo, err error) bool {
	return err == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR)
}

// checkInputs refuses a file that a flag names, and that is there, if it is one of the
// inputs, or in one, or in a run.
func checkInputs(flag, path string, file fs.FileInfo, inputs []string) error {
	for _, input := range append(inputs, runsAbove(path)...) {
		info, err := os.Stat(input)
		switch {
		case input == "" || err != nil:
		case os.SameFile(info, file):
			return &commandLineError{fmt.Sprintf("--%s %s would replace what is read: name another file", flag, path)}
		case info.IsDir() && !isProduct(path) && isInside(path, input):
			return &commandLineError{fmt.Sprintf("--%s %s would replace a file in %s: name another file", flag, path, input)}
		}
	}
	return nil
}

// checkInFolder refuses a folder of --out in which one of the files that the command writes
// there would replace the input.
func checkInFolder(out, input string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(out, name)
		if info, err := os.Stat(path); err == nil {
			if err := checkInputs("out", path, info, []string{input}); err != nil {
				return err
			}
		}
	}
	return nil
}

// isProduct reports whether a file in a run's folder is of a kind that may be made again
// from the run: a report, a record, a model for other programs.
func isProduct(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".html", ".md", ".onnx":
		return true
	}
	_, err := study.ReadRecord(path)
	return err == nil
}

// runsAbove returns the run in whose folder, or in a folder of which, a path is.
func runsAbove(path string) []string {
	folder := filepath.Dir(realPath(path))
	return slices.DeleteFunc([]string{folder, filepath.Dir(folder)}, func(dir string) bool {
		state, err := trainer.StateOfRun(dir)
		return err != nil || state != trainer.RunInProgress && state != trainer.RunFinished
	})
}

// checkOutOfClasses refuses a file of a flag in a class folder of a dataset. Beside the class
// folders, it does not belong to the dataset.
func checkOutOfClasses(flag, path, pictures string) error {
	if isInside(pictures, filepath.Dir(path)) {
		return nil
	}
	return checkOutside(flag, path, pictures)
}

// checkOutside refuses an output of a flag in a folder of class folders, where it would become
// a class, or a part of one.
func checkOutside(flag, out, pictures string) error {
	if pictures == dataset.FashionMNIST.Name || !dataset.HasClassFolders(pictures) {
		return nil
	}
	return refuseInside(flag, out, pictures)
}

// refuseInside refuses an output of a flag in a folder of pictures.
func refuseInside(flag, out, pictures string) error {
	if !isInside(out, pictures) {
		return nil
	}
	return &commandLineError{fmt.Sprintf("--%s %s is inside %s, where every picture is read, and those written there would be, too: name a place elsewhere", flag, out, pictures)}
}

// isInside reports whether a path, at which there need not be anything, is that of a folder
// or leads into it.
func isInside(path, folder string) bool {
	want, err := os.Stat(folder)
	if err != nil {
		return false
	}
	for at := realPath(path); ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, want) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// realPath follows the links in a path as far as there is something, and returns the
// absolute path.
func realPath(path string) string {
	at, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := ""
	for ; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == filepath.Dir(at) {
			return filepath.Join(at, rest)
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}
