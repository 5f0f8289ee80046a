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

// tryFolder creates the run's folder and removes everything that it created.
func tryFolder(c Config) error {
	var made []string // innermost first
	for dir := filepath.Clean(c.Out); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	unnumbered := filepath.Join(c.Out, c.RunName())
	_, missing := os.Stat(unnumbered)
	dir, err := NewFolder(c)
	if err == nil && (missing != nil || dir != unnumbered) { // not an empty folder that was already there
		err = os.Remove(dir)
	}
	for _, dir := range made {
		_ = os.Remove(dir) // NewFolder may have failed before it created it
	}
	return err
}
