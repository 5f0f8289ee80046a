package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

func newDataCommand() *cobra.Command {
	var dataDir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "data",
		Short: "Where the dataset's files were found; fetch and show them",
		Long: `Show where each of the four Fashion-MNIST files was found and whether its content
is right.

A folder that --data-dir or $FMNIST_DATA names is the only one looked at, and so
is its sub-folder FashionMNIST/raw, where torchvision keeps the files. Else it is
the first complete one of this user's cache folder, which "data fetch" fills, and
/usr/share/datasets/fashion-mnist (Debian's package dataset-fashion-mnist).`,
		Example: `  fmnist-gpu data
  fmnist-gpu data fetch
  fmnist-gpu data show --split test --out samples.png`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return checkData(c.OutOrStdout(), dataDir, asJSON)
		},
	}
	c.PersistentFlags().StringVar(&dataDir, "data-dir", "", "`folder` of the dataset's files")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(newDataFetchCommand(&dataDir), newDataShowCommand(&dataDir))
	return c
}

// checkData prints the state of the four files and returns the first problem.
func checkData(w io.Writer, dataDir string, asJSON bool) error {
	loc, problem := dataset.Find(dataDir)
	files := dataset.Check(loc)
	for _, f := range files {
		if problem == nil {
			problem = f.Err
		}
	}
	print := printDataTable
	if asJSON {
		print = func(w io.Writer, files []dataset.FileStatus) error {
			return printJSON(w, map[string]any{"dir": loc.Dir, "files": files})
		}
	}
	if err := print(w, files); err != nil {
		return err
	}
	return problem
}

func printDataTable(w io.Writer, files []dataset.FileStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tBYTES\tSHA-256\tFOUND AT")
	for _, f := range files {
		size, hash, path := humanize.Comma(int64(f.Bytes)), "ok", f.Path
		switch {
		case f.Path == "":
			size, hash, path = "-", "-", "missing"
		case !f.OK:
			hash = "wrong"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Name, size, hash, path)
	}
	return t.Flush()
}

func newDataFetchCommand(dataDir *string) *cobra.Command {
	var mirrors []string
	c := &cobra.Command{
		Use:   "fetch",
		Short: "Download and verify the dataset (30 MB)",
		Long: `Download what is missing of the four gzip files to --data-dir, $FMNIST_DATA or this
user's cache folder, from the dataset's public mirrors. Each file is verified by its
SHA-256 before it gets its name. An interrupted download goes on where it stopped.`,
		Example: `  fmnist-gpu data fetch
  fmnist-gpu data fetch --data-dir ~/fashion-mnist --mirror https://example.org/fashion-mnist/`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, m := range mirrors {
				if u, err := url.Parse(m); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
					return &commandLineError{fmt.Sprintf("--mirror is %q: want a URL that starts with http:// or https://", m)}
				}
			}
			dir, err := dataset.FetchDir(*dataDir)
			if err != nil {
				return err
			}
			p := &fetchProgress{w: c.ErrOrStderr()}
			options := dataset.FetchOptions{Mirrors: mirrors, Log: p.log}
			if isTerminal(p.w) {
				options.Progress = p.update
			}
			if err := dataset.Fetch(c.Context(), dir, options); err != nil {
				p.clear()
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Fashion-MNIST is complete and verified in %s\n", dir)
			return err
		},
	}
	c.Flags().StringArrayVar(&mirrors, "mirror", nil, "base `URL` of the files, in place of the public mirrors; may be repeated")
	return c
}

// fetchProgress shows how a download goes: a bar for the file under way, and
// lines.
type fetchProgress struct {
	w    io.Writer
	name string // of the file under way
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

// clear removes the bar, for a line in its place.
func (p *fetchProgress) clear() {
	p.bar.end()
	p.bar = nil
}

func newDataShowCommand(dataDir *string) *cobra.Command {
	var out, split string
	var count int
	config := trainer.DefaultConfig()
	config.Augment = ""
	c := &cobra.Command{
		Use:   "show",
		Short: "Draw samples with their classes as a picture",
		Long: `Draw samples with their classes as a picture; with --augment, each beside versions
of it as training sees them.`,
		Example: `  fmnist-gpu data show
  fmnist-gpu data show --augment original --count 10
  fmnist-gpu data show --split test --count 100 --seed 7 --out test.png`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if split != "train" && split != "test" {
				return &commandLineError{fmt.Sprintf("--split is %q: want train or test", split)}
			}
			if count < 1 || count > maxShown {
				return &commandLineError{fmt.Sprintf("--count is %d: want 1 to %d", count, maxShown)}
			}
			data, err := loadData(*dataDir)
			if err != nil {
				return err
			}
			s := data.Train
			if split == "test" {
				s = data.Test
			}
			if err := drawSamples(out, s, count, config); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d %s images in %s\n", count, split, out)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "samples.png", "PNG `file` to write")
	c.Flags().StringVar(&split, "split", "train", "train or test")
	c.Flags().IntVar(&count, "count", 25, "number of images")
	c.Flags().Uint64Var(&config.Seed, "seed", config.Seed, "chooses the images")
	addAugmentFlags(c.Flags(), &config)
	return c
}

// maxShown is the largest number of images in one picture.
const maxShown = 2500

// shownVersions is how many augmented versions stand beside an image.
const shownVersions = 9

// drawSamples writes a picture of count images of s that the seed chooses, in a
// square or, augmented, each at the head of a row of its versions.
func drawSamples(path string, s dataset.Split, count int, config trainer.Config) error {
	var images [][]byte
	var captions []string
	for _, i := range rand.New(rand.NewPCG(config.Seed, 0)).Perm(s.N)[:count] {
		images = append(images, s.Image(i))
		captions = append(captions, dataset.ClassNames[s.Labels[i]])
	}
	columns := int(math.Ceil(math.Sqrt(float64(count))))
	if config.Augment != "" || config.Rotate != nil || config.Flip != nil || config.Crop != nil || config.Erase != nil {
		var err error
		columns = 1 + shownVersions
		if images, captions, err = withVersions(images, captions, config); err != nil {
			return err
		}
	}
	cells := make([]plots.Cell, len(images))
	for i, image := range images {
		cells[i] = plots.Cell{Image: plots.Gray(image), Caption: captions[i]}
	}
	picture, err := plots.Grid(cells, columns)
	if err != nil {
		return err
	}
	return os.WriteFile(path, picture, 0o666)
}

// withVersions puts augmented versions behind each image.
func withVersions(images [][]byte, captions []string, config trainer.Config) (all [][]byte, text []string, err error) {
	if config.Augment == "" {
		config.Augment = "none"
	}
	d, err := openDevice(deviceFlags{cpu: true})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = closeDevice(d, err) }()
	versions, err := trainer.Augmented(d.Backend, config, images, shownVersions)
	if err != nil {
		return nil, nil, err
	}
	for i, image := range images {
		all = append(append(all, image), versions[i*shownVersions:(i+1)*shownVersions]...)
		text = append(append(text, captions[i]), make([]string, shownVersions)...)
	}
	return all, text, nil
}
