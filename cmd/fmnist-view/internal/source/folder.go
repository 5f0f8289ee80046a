package source

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// NewestRun returns the run in a folder, or in a folder of it, whose files changed last.
// If there is none the error is [trainer.ErrUsage].
func NewestRun(root string) (string, error) {
	const depth = 3 // an experiment's runs lie deeper
	newest, when := "", time.Time{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil // a folder that cannot be read has no run to show
		}
		if changed := lastChange(path); changed.After(when) {
			newest, when = path, changed
		}
		if relative, _ := filepath.Rel(root, path); strings.Count(relative, string(filepath.Separator)) >= depth {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil || newest == "" {
		return "", setting.Errorf("there is no run in %s: train one, or name the folder of a run", root)
	}
	return newest, nil
}

// lastChange returns when a run's files changed last, or the zero time for a folder that
// is not a run's.
func lastChange(dir string) time.Time {
	args, err := os.Stat(filepath.Join(dir, trainer.ArgsFile))
	if err != nil {
		return time.Time{}
	}
	last := args.ModTime()
	for _, name := range []string{trainer.ResultsFile, trainer.StepsFile, trainer.LastWeights} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// TestImages returns the test images of the dataset that a run was trained on. It is an
// error if the dataset has changed since. dataDir is where to look for Fashion-MNIST, if the
// run does not say; it may be empty.
func TestImages(ctx context.Context, dir, dataDir string) (dataset.Split, error) {
	c, err := study.ReadArgs(dir)
	if err != nil {
		return dataset.Split{}, err
	}
	data, err := readDataset(ctx, c, dataDir)
	if err != nil {
		return dataset.Split{}, fmt.Errorf("the run's dataset %s cannot be read: %w", c.Dataset, err)
	}
	if err := trainer.CheckDataset(dir, data); err != nil {
		return dataset.Split{}, err
	}
	return data.Test, nil
}

func readDataset(ctx context.Context, c study.Config, dataDir string) (*dataset.Dataset, error) {
	if c.Dataset != dataset.FashionMNIST.Name {
		return dataset.OpenFolder(ctx, c.Dataset, dataset.FolderOptions{ImageSize: c.ImageSize, SkipBad: c.SkipBad, Seed: dataset.SplitSeed, Cache: dataset.DefaultCacheDir()})
	}
	if c.DataDir != "" {
		dataDir = c.DataDir
	}
	found, err := dataset.Find(dataset.Search{Dir: dataDir, Cache: dataset.DefaultCacheDir()})
	if err != nil {
		return nil, err
	}
	return dataset.Load(found)
}
