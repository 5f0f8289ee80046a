package trainer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// Rehearse does all that [NewFolder] and [Train] do before the first step, so
// that it fails where they would, but leaves no files. It returns what the
// training would be.
func Rehearse(c Config, backend kernels.Backend, data *dataset.Dataset) (Summary, error) {
	if err := checkArguments(c, backend, data); err != nil {
		return Summary{}, err
	}
	if err := tryFolder(c); err != nil {
		return Summary{}, err
	}
	t, err := newTraining(c, backend, data, Options{}, progressed{})
	if err != nil {
		return Summary{}, err
	}
	defer t.close()
	return t.summary(), nil
}

// tryFolder makes the run's folder, and removes all that it has made.
func tryFolder(c Config) error {
	var made []string // the inner before the outer
	for dir := filepath.Clean(c.Out); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	unnumbered := filepath.Join(c.Out, c.RunName())
	_, missing := os.Stat(unnumbered)
	dir, err := NewFolder(c)
	if err == nil && (missing != nil || dir != unnumbered) { // not one that was there, and empty
		err = os.Remove(dir)
	}
	for _, dir := range made {
		_ = os.Remove(dir) // which NewFolder may not have come to
	}
	return err
}
