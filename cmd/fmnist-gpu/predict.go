package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// predictFlags are the values of the command's flags.
type predictFlags struct {
	checkpoint string
	top        int
	invert     string
	index      string // of images in an IDX file
	explain    string // folder for pictures
	cam        string
	asJSON     bool
	asCSV      bool
	device     deviceFlags
}

func newPredictCommand() *cobra.Command {
	f := predictFlags{top: 3, invert: string(picture.InvertAuto), cam: string(trainer.HiResCAM)}
	c := &cobra.Command{
		Use:   "predict --checkpoint PATH FILE...",
		Short: "Classify pictures",
		Long: `Classify pictures with the weights of a checkpoint, and print the most probable
classes of each. No dataset is needed.

Pictures are PNG, JPEG, GIF or WebP files of any size and colour, or folders, in
which all pictures are classified. They are framed as the images that the model was
trained on: for Fashion-MNIST, an object on a plain background is cut out, inverted
if the background is light, scaled and centred. A file in MNIST's IDX format (gzip
or not) gives the images that --index names.`,
		Example: `  fmnist-gpu predict --checkpoint runs/fashioncnn shirt.jpg
  fmnist-gpu predict --checkpoint model.safetensors photos/ --json
  fmnist-gpu predict --checkpoint runs/fashioncnn t10k-images-idx3-ubyte.gz --index 0-9
  fmnist-gpu predict --checkpoint runs/fashioncnn shirt.jpg --explain explained`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &commandLineError{"name the pictures to classify: files or folders"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return predict(c, f, args) },
	}
	bind(flagGroup{c.Flags(), groupModel}, &f.checkpoint, "checkpoint", setting.Path("PATH", "a run's folder, or a .safetensors or .pth file"), "weights to classify with: a run's folder, or a .safetensors or PyTorch .pth file")
	g := flagGroup{c.Flags(), "Pictures"}
	bind(g, &f.invert, "invert", setting.Choice("auto", "yes", "no"), "invert pictures with a light background: auto (judged by the border), yes or no")
	bind(g, &f.index, "index", setting.Text("LIST", "numbers and ranges such as 0,3 or 0-9"), "images of an IDX file, from 0 (default: all)")
	addDeviceFlags(flagGroup{c.Flags(), groupDevice}, &f.device)
	g = flagGroup{c.Flags(), groupOutput}
	bind(g, &f.top, "top", setting.Whole(1, dataset.MaxClasses), "number of classes to print for each picture")
	bind(g, &f.asJSON, "json", setting.Bool(), "print JSON")
	bind(g, &f.asCSV, "csv", setting.Bool(), "print CSV: one row for each picture and class")
	bind(g, &f.explain, "explain", setting.Path("FOLDER", "a folder"), "write pictures of where the network saw the predicted class to this folder")
	bind(g, &f.cam, "cam", setting.Choice(string(trainer.HiResCAM), string(trainer.GradCAM)), "method of --explain: hirescam or gradcam")
	return c
}

// classifiedFile is a picture with its prediction, an element of the JSON output.
type classifiedFile struct {
	File        string             `json:"file"`
	Predictions trainer.Prediction `json:"predictions"`

	input []byte // of the network
}

func predict(c *cobra.Command, f predictFlags, args []string) error {
	switch {
	case f.checkpoint == "":
		return &commandLineError{"--checkpoint is missing: name a run's folder, or a .safetensors or .pth file"}
	case f.asJSON && f.asCSV:
		return &commandLineError{"--json and --csv are mutually exclusive: give only one"}
	}
	files, err := pictureFiles(args)
	if err != nil {
		return err
	}
	d, err := openDevice(f.device)
	if err != nil {
		return err
	}
	list, unreadable, err := classifyFiles(c, d, f, files)
	if err = closeDevice(d, err); err != nil {
		return err
	}
	for i := range list {
		list[i].Predictions = list[i].Predictions[:min(f.top, len(list[i].Predictions))]
	}
	switch {
	case f.asJSON:
		err = printJSON(c.OutOrStdout(), list)
	case f.asCSV:
		err = writePredictionsCSV(c.OutOrStdout(), list)
	default:
		err = printPredictions(c.OutOrStdout(), list)
	}
	return errors.Join(err, unreadable)
}

// pictureFiles lists the files that the arguments name: of folders, all pictures in
// them, sorted.
func pictureFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot read %s: %v", dataset.ErrBadData, arg, pathCause(err))
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(arg, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && picture.IsPicture(path) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, fmt.Errorf("%w: the folder %s holds no pictures: want PNG, JPEG, GIF or WebP files", dataset.ErrBadData, arg)
		}
	}
	return files, nil
}

// filesAtATime bounds the memory that prepared pictures take.
const filesAtATime = 256

// classifyFiles classifies the files, and explains them if asked for. Pictures that
// cannot be read do not stop the others; unreadable names them.
func classifyFiles(c *cobra.Command, d *device, f predictFlags, files []string) (list []classifiedFile, unreadable, err error) {
	m, err := trainer.Load(f.checkpoint, d.Backend)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if f.explain != "" {
		if err := os.MkdirAll(f.explain, 0o777); err != nil {
			return nil, nil, err
		}
	}
	for part := range slices.Chunk(files, filesAtATime) {
		var prepared []classifiedFile
		for _, file := range part {
			if err := c.Context().Err(); err != nil {
				return nil, nil, err
			}
			inputs, err := readInputs(m, file, f)
			if err != nil {
				unreadable = errors.Join(unreadable, err)
			}
			prepared = append(prepared, inputs...)
		}
		if err := classifyInputs(c, m, prepared); err != nil {
			return nil, nil, err
		}
		for i := range prepared {
			if f.explain != "" {
				if err := explainFile(m, prepared[i], f); err != nil {
					return nil, nil, err
				}
			}
			prepared[i].input = nil
		}
		list = append(list, prepared...)
	}
	return list, unreadable, nil
}

// classifyInputs fills in the predictions.
func classifyInputs(c *cobra.Command, m *trainer.Model, list []classifiedFile) error {
	in := m.Network.Input
	s := dataset.Split{N: len(list), Shape: dataset.Shape{H: in.H, W: in.W, C: in.C}, Labels: make([]byte, len(list))}
	for _, f := range list {
		s.Images = append(s.Images, f.input...)
	}
	predictions, err := m.Classify(c.Context(), s)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Predictions = predictions[i]
	}
	return nil
}

// readInputs reads a picture, or the images of an IDX file, as inputs of the network.
func readInputs(m *trainer.Model, file string, f predictFlags) ([]classifiedFile, error) {
	if isIDX(file) {
		return readIDXInputs(m, file, f)
	}
	if f.index != "" {
		return nil, &commandLineError{fmt.Sprintf("--index is for IDX files, and %s is none: leave it out", file)}
	}
	img, err := picture.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadablePicture, err)
	}
	return []classifiedFile{{File: file, input: m.Input(img, picture.Invert(f.invert))}}, nil
}

// errUnreadablePicture marks a picture that cannot be read.
var errUnreadablePicture = fmt.Errorf("%w", dataset.ErrBadData)

// isIDX reports whether a file has the name of an IDX file.
func isIDX(file string) bool {
	name := strings.ToLower(filepath.Base(file))
	return strings.Contains(name, "idx") && !picture.IsPicture(file)
}

func readIDXInputs(m *trainer.Model, file string, f predictFlags) ([]classifiedFile, error) {
	x, err := dataset.ReadIDX(file)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) != 3 && (len(x.Shape) != 4 || x.Shape[3] != 3) {
		return nil, fmt.Errorf("%w: %s holds no images, but an array with %d axes", dataset.ErrBadData, file, len(x.Shape))
	}
	s := dataset.Shape{H: x.Shape[1], W: x.Shape[2], C: 1}
	if len(x.Shape) == 4 {
		s.C = 3
	}
	chosen, err := indices(f.index, x.Shape[0])
	if err != nil {
		return nil, err
	}
	var list []classifiedFile
	for _, i := range chosen {
		img := dataset.Picture(x.Data[i*s.Len():][:s.Len()], s)
		list = append(list, classifiedFile{File: fmt.Sprintf("%s[%d]", file, i), input: m.Input(img, picture.Invert(f.invert))})
	}
	return list, nil
}

// indices returns the numbers in a list of numbers and ranges below n; all if the list
// is empty.
func indices(list string, n int) ([]int, error) {
	if list == "" {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	values, err := setting.Seeds().Parse("index", list)
	if err != nil {
		return nil, &commandLineError{fmt.Sprintf("--index is %s: want whole numbers and ranges such as 0,3 or 0-9, at most %d in all", setting.Shown(list), setting.MaxList)}
	}
	var chosen []int
	for _, v := range values.([]uint64) {
		if v >= uint64(n) {
			return nil, &commandLineError{fmt.Sprintf("--index %d: the file has images 0 to %d", v, n-1)}
		}
		chosen = append(chosen, int(v))
	}
	return chosen, nil
}

// explainSize is the smallest width and height of a picture of --explain.
const explainSize = 280

// explainFile writes a picture of what the network saw and of where it saw the class
// that it predicts.
func explainFile(m *trainer.Model, file classifiedFile, f predictFlags) error {
	best := file.Predictions.Best()
	heat, err := m.Explain(file.input, best.Label, trainer.CAM(f.cam))
	if err != nil {
		return err
	}
	in := m.Network.Input
	seen := dataset.Picture(file.input, dataset.Shape{H: in.H, W: in.W, C: in.C})
	scale := max(1, explainSize/max(in.H, in.W))
	picture := image.NewRGBA(image.Rect(0, 0, 2*scale*in.W, scale*in.H))
	for y := range scale * in.H {
		for x := range scale * in.W {
			picture.Set(x, y, seen.At(x/scale, y/scale))
			picture.Set(scale*in.W+x, y, heat.At(x/scale, y/scale))
		}
	}
	name := strings.NewReplacer("/", "_", `\`, "_", ":", "_").Replace(filepath.ToSlash(filepath.Clean(file.File)))
	return writePNG(filepath.Join(f.explain, name+".png"), picture)
}

// writePNG writes a picture, whole or not at all.
func writePNG(path string, picture image.Image) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".*.png")
	if err != nil {
		return err
	}
	err = errors.Join(png.Encode(temporary, picture), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

func printPredictions(w io.Writer, list []classifiedFile) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range list {
		var classes []string
		for _, p := range f.Predictions {
			classes = append(classes, fmt.Sprintf("%s %.1f %%", p.Class, 100*p.Probability))
		}
		fmt.Fprintf(t, "%s\t%s\n", f.File, strings.Join(classes, ", "))
	}
	return t.Flush()
}

func writePredictionsCSV(w io.Writer, list []classifiedFile) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"file", "rank", "class", "label", "probability"}}
	for _, f := range list {
		for rank, p := range f.Predictions {
			rows = append(rows, []string{f.File, strconv.Itoa(rank + 1), p.Class, strconv.Itoa(p.Label), strconv.FormatFloat(float64(p.Probability), 'g', -1, 32)})
		}
	}
	return out.WriteAll(rows)
}
