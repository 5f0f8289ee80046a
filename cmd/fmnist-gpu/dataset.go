package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// dataEnvironment is the environment variable that names the folder of Fashion-MNIST.
const dataEnvironment = "FMNIST_DATA"

// searchFor returns where to look for Fashion-MNIST: in the folder that the flag or the
// environment names, or else in the usual places.
func searchFor(dataDir string) dataset.Search {
	s := dataset.Search{Dir: dataDir, Source: "--data-dir", Cache: dataset.DefaultCacheDir()}
	if dataDir == "" {
		s.Dir, s.Source = setting.ExpandHome(os.Getenv(dataEnvironment)), "$"+dataEnvironment
	}
	return s
}

// loadFashionMNIST finds, verifies and reads Fashion-MNIST.
func loadFashionMNIST(dataDir string) (*dataset.Dataset, error) {
	loc, err := dataset.Find(searchFor(dataDir))
	if err != nil {
		return nil, err
	}
	return dataset.Load(loc)
}

// loadDataset reads the dataset that the settings name. It shows its progress, and
// prints to out, unless the settings are quiet, what the dataset is and what is unusual
// about it.
func loadDataset(cmd *cobra.Command, out io.Writer, c study.Config) (*dataset.Dataset, error) {
	if c.Dataset == dataset.FashionMNIST.Name {
		if c.ImageSize != 0 && c.ImageSize != dataset.FashionMNIST.H {
			return nil, &commandLineError{fmt.Sprintf("--image-size %d: Fashion-MNIST has images of %v: leave it out, or name a folder with --dataset", c.ImageSize, dataset.FashionMNIST.Shape)}
		}
		d, err := loadFashionMNIST(c.DataDir)
		if err == nil && !c.Quiet {
			printNotes(out, d)
		}
		return d, err
	}
	if c.DataDir != "" {
		return nil, &commandLineError{"--data-dir is the folder of Fashion-MNIST, but --dataset names another dataset: leave one out"}
	}
	named := cmd.Flags().Lookup("dataset") != nil
	if _, err := os.Stat(c.Dataset); named && err != nil && !strings.ContainsRune(c.Dataset, os.PathSeparator) {
		return nil, &commandLineError{fmt.Sprintf("--dataset is %q: want %s", c.Dataset, kindOf("dataset").Want)}
	}
	// A split by another seed would be another dataset, so it does not follow --seed.
	o := dataset.FolderOptions{ImageSize: c.ImageSize, SkipBad: c.SkipBad, Seed: dataset.SplitSeed, Cache: dataset.DefaultCacheDir()}
	var bar *meter
	if !c.Quiet && !c.NoProgress && isTerminal(cmd.ErrOrStderr()) {
		o.Progress = func(done, total int) {
			if bar == nil {
				bar = newMeter(cmd.ErrOrStderr(), "pictures", int64(total), decor.CountersNoUnit("  %d / %d"))
			}
			bar.set(int64(done), int64(total))
		}
	}
	d, err := dataset.OpenFolder(cmd.Context(), c.Dataset, o)
	bar.end()
	if err != nil {
		return nil, err
	}
	if !c.Quiet {
		fmt.Fprintf(out, "dataset: %s: %d classes, images of %v, %s to train on, %s to test on\n", c.Dataset, len(d.Classes), d.Shape,
			humanize.Comma(int64(d.Train.N)), humanize.Comma(int64(d.Test.N)))
		printNotes(out, d)
	}
	return d, nil
}

// movedFrom adds to the error of a dataset that is missing where something else than a flag
// says, such as "the run runs/a", what says so and what to do.
func movedFrom(by, remedy string, err error) error {
	if errors.As(err, new(*dataset.MissingError)) {
		return fmt.Errorf("%w, the dataset of %s; if it has moved, %s", err, by, remedy)
	}
	return err
}

// movedFromRun is movedFrom for the run in a folder, unless a flag names the dataset.
func movedFromRun(cmd *cobra.Command, dir string, err error) error {
	if cmd.Flags().Changed("dataset") {
		return err
	}
	return movedFrom("the run "+dir, "name it with --dataset", err)
}

// printNotes prints what is unusual about a dataset.
func printNotes(out io.Writer, d *dataset.Dataset) {
	for _, note := range d.Notes {
		printNote(out, "%s", note)
	}
}

// remedied returns an error's text on one line, with the remedy in terms of this
// program's commands and flags.
func remedied(err error) string {
	text := oneLine(err)
	var fetch *dataset.FetchError
	var unreadable *dataset.UnreadableError
	var folder *study.FolderError
	var lost *trainer.LostError
	var unknown *trainer.UnknownNetworkError
	var keep *kernels.KeepError
	switch {
	case errors.As(err, &fetch) && fetch.Dir != "":
		text += "; run `fmnist-gpu data fetch --data-dir " + quoted(fetch.Dir) + "`"
	case errors.As(err, &fetch):
		text += "; run `fmnist-gpu data fetch`, or name the folder of the files with --data-dir or $" + dataEnvironment
	case errors.As(err, &unreadable):
		text += "; repair or remove them, or leave them out with --skip-bad"
	case errors.As(err, &folder):
		text += "; choose another with --out"
	case errors.As(err, &lost):
		text += " with --init " + quoted(lost.Dir)
	case errors.As(err, &unknown):
		text += "; if they are those of another network, name it with --model"
	case errors.As(err, &keep):
		text += cacheRemedy()
	}
	return printable(text)
}

// quoted quotes a path for the shell if necessary.
func quoted(path string) string {
	if path == "" || strings.ContainsAny(path, " \t\n'\"\\$`&|;()<>*?[]#~!{}^") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
