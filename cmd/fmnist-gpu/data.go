package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newDataCommand() *cobra.Command {
	var dataDir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "data",
		Short: "Locate, verify, download and show the dataset",
		Long: `Show where each of the four Fashion-MNIST files was found and whether its
content is correct.

If --data-dir or $FMNIST_DATA names a folder, only that folder is searched.
Otherwise the first of these that is complete is used: your cache folder, which
"data fetch" fills, or /usr/share/datasets/fashion-mnist (Debian's package
dataset-fashion-mnist), whose copy is also used for a file damaged in the cache.

A folder may hold the files themselves, be torchvision's root
(FashionMNIST/raw), or be a clone of the authors' repository (data/fashion).
Files may be compressed with gzip or not, and named train-images-idx3-ubyte or
train-images.idx3-ubyte.`,
		Example: `  fmnist-gpu data
  fmnist-gpu data fetch
  fmnist-gpu data show --split test --out samples.png`,
		Args: unknownCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return checkData(c.OutOrStdout(), dataDir, asJSON)
		},
	}
	bind(flagGroup{c.PersistentFlags(), groupData}, &dataDir, "data-dir", kindOf("data-dir"), dataDirUsage)
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON")
	c.AddCommand(newDataFetchCommand(&dataDir), newDataShowCommand(&dataDir), newDataAuditCommand(&dataDir))
	return c
}

// checkData prints the state of the four files and returns the first problem.
func checkData(w io.Writer, dataDir string, asJSON bool) error {
	loc, problem := dataset.Find(searchFor(dataDir))
	files := dataset.Check(loc)
	for _, f := range files {
		if problem == nil {
			problem = f.Err
		}
	}
	var err error
	if asJSON {
		err = printJSON(w, map[string]any{"dir": loc.Dir, "files": files})
	} else {
		err = printDataTable(w, loc.Dir, files)
	}
	if err != nil {
		return err
	}
	return problem
}

// printDataTable prints the files found, those in dir by their names alone, so
// that the table fits a terminal.
func printDataTable(w io.Writer, dir string, files []dataset.FileStatus) error {
	if dir != "" {
		fmt.Fprintf(w, "folder: %s\n", dir)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tBYTES\tSHA-256")
	for _, f := range files {
		name, size, hash := inFolder(dir, f.Path), humanize.Comma(int64(f.Bytes)), "ok"
		switch {
		case f.Path == "":
			name, size, hash = f.Name, "-", "missing"
		case !f.OK:
			hash = "wrong"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", name, size, hash)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range files {
		for _, path := range f.Ignored {
			fmt.Fprintf(w, "%s is damaged and not used\n", inFolder(dir, path))
		}
	}
	return nil
}

// inFolder returns a path relative to dir if it lies in dir, else unchanged.
func inFolder(dir, path string) string {
	if name, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(name) {
		return name
	}
	return path
}

func newDataFetchCommand(dataDir *string) *cobra.Command {
	var mirrors []string
	c := &cobra.Command{
		Use:   "fetch",
		Short: "Download and verify the dataset (30 MB)",
		Long: `Download the files that are missing or damaged from the dataset's public mirrors
to --data-dir, $FMNIST_DATA or your cache folder. Each file is checked against its
SHA-256 before it gets its name; a damaged file of that name is kept as NAME.bad.
If a download is interrupted, the next one continues where it stopped.`,
		Example: `  fmnist-gpu data fetch
  fmnist-gpu data fetch --data-dir ~/fashion-mnist
  fmnist-gpu data fetch --mirror https://example.org/fashion-mnist/`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error {
			for _, m := range mirrors {
				u, err := url.Parse(m)
				if err != nil { // whose text repeats the URL, which may hold a password
					return &commandLineError{"--mirror must be a URL that starts with http:// or https://"}
				}
				if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
					return &commandLineError{fmt.Sprintf("--mirror is %q: want a URL that starts with http:// or https://", u.Redacted())}
				}
			}
			dir, err := dataset.FetchDir(searchFor(*dataDir))
			if err != nil {
				return err
			}
			p := &fetchProgress{w: c.ErrOrStderr()}
			options := dataset.FetchOptions{Mirrors: mirrors, Log: p.log}
			if isTerminal(p.w) {
				options.Progress = p.update
			}
			dir, err = dataset.Fetch(c.Context(), dir, options)
			p.clear()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Fashion-MNIST is complete and verified in %s\n", dir)
			return err
		},
	}
	bindEach(flagGroup{c.Flags(), groupData}, &mirrors, "mirror", setting.Text("URL", "a URL that starts with http:// or https://"), "base URL of the files, in place of the public mirrors; may be repeated")
	return c
}

// fetchProgress shows a download's progress: a bar for the current file, and log
// lines.
type fetchProgress struct {
	w    io.Writer
	name string // of the current file
	bar  *meter
}

func (p *fetchProgress) update(name string, done, total int64) {
	if p.bar == nil || name != p.name {
		p.clear()
		p.name = name
		p.bar = newMeter(p.w, name, total, decor.CountersKibiByte("  % .1f / % .1f"))
	}
	p.bar.set(done, total)
}

func (p *fetchProgress) log(line string) {
	p.clear()
	fmt.Fprintln(p.w, line)
}

// clear removes the bar, so that a line can be printed.
func (p *fetchProgress) clear() {
	p.bar.end()
	p.bar = nil
}

func newDataShowCommand(dataDir *string) *cobra.Command {
	var out, split string
	var count int
	config := study.DefaultConfig()
	config.Augment = "" // no augmented versions unless a flag asks for them
	split, out, count = "train", "samples.png", 25
	c := &cobra.Command{
		Use:   "show",
		Short: "Draw sample images with their classes",
		Long: `Draw sample images with their classes in one picture. With --augment or another
augmentation flag, each image is followed by augmented versions of it, as training
sees them.`,
		Example: `  fmnist-gpu data show
  fmnist-gpu data show --augment original --count 10
  fmnist-gpu data show --split test --count 100 --seed 7 --out test.png`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := config.Apply(assignments(c.Flags())...); err != nil {
				return err
			}
			if err := checkOutFile("out", out); err != nil {
				return err
			}
			if err := checkOutOfClasses("out", out, config.Dataset); err != nil {
				return err
			}
			config.DataDir = *dataDir
			data, err := loadDataset(c, c.OutOrStdout(), config)
			if err != nil {
				return err
			}
			s := data.Train
			if split == "test" {
				s = data.Test
			}
			count = min(count, s.N)
			if err := drawSamples(out, s, data.Classes, count, config); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s in %s\n", english.Plural(count, split+" image", ""), out)
			return err
		},
	}
	g := flagGroup{c.Flags(), groupData}
	bind(g, &split, "split", setting.Choice("train", "test"), "images to draw from: train or test")
	bind(g, &count, "count", setting.Whole(1, maxShown), "number of images")
	g.setting("dataset", datasetUsage)
	g.setting("image-size", imageSizeUsage)
	g.setting("skip-bad", skipBadUsage)
	g.setting("seed", "seed that chooses the images")
	addAugmentFlags(c.Flags(), "")
	bind(flagGroup{c.Flags(), groupOutput}, &out, "out", setting.Path("FILE", "a PNG file"), "PNG file to write")
	return c
}

// maxShown is the largest number of images in one picture.
const maxShown = 2500

// shownVersions is the number of augmented versions shown per image.
const shownVersions = 9

// drawSamples writes a picture of count images of a split, chosen by the seed:
// roughly a square or, with augmentation, one row per image and its versions.
func drawSamples(path string, from dataset.Split, classes []string, count int, config study.Config) error {
	indices := make([]uint32, count)
	for to, i := range rand.New(rand.NewPCG(config.Seed, 0)).Perm(from.N)[:count] {
		indices[to] = uint32(i)
	}
	chosen := from.Select(indices)
	columns, versions := nearSquare(count), dataset.Split{}
	if config.Augment != "" || config.Rotate != nil || config.Flip != nil || config.Crop != nil || config.Erase != nil {
		columns = 1 + shownVersions
		var err error
		if versions, err = augmented(chosen, config.Recipe); err != nil {
			return err
		}
	}
	var cells []plots.Cell
	for i := range count {
		cells = append(cells, plots.Cell{Image: chosen.Picture(i), Caption: classes[chosen.Labels[i]]})
		for v := range versions.N / count {
			cells = append(cells, plots.Cell{Image: versions.Picture(i*shownVersions + v)})
		}
	}
	picture, err := plots.Grid{Cells: cells, Columns: columns}.PNG()
	if err != nil {
		return err
	}
	return trainer.WriteFile(path, picture)
}

// nearSquare returns the number of columns of a grid of n cells that is roughly
// square, or up to twice as many if that makes all rows equally long.
func nearSquare(n int) int {
	side := int(math.Ceil(math.Sqrt(float64(n))))
	for columns := side; columns <= 2*side; columns++ {
		if n%columns == 0 {
			return columns
		}
	}
	return side
}

// augmented returns versions of each image as training sees them.
func augmented(images dataset.Split, r trainer.Recipe) (versions dataset.Split, err error) {
	if r.Augment == "" {
		r.Augment = "none"
	}
	d, err := openDevice(deviceFlags{cpu: true})
	if err != nil {
		return versions, err
	}
	defer func() { err = closeDevice(d, err) }()
	return trainer.Augmented(d.Backend, r, images, shownVersions)
}
