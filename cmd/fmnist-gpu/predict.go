package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	"golang.org/x/image/draw"
	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// predictFlags are the values of the command's flags.
type predictFlags struct {
	checkpoint checkpointFlags
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
or not) gives the images that --index names. Pictures that cannot be read are named
at the end, and the exit code is then 4; if a file is not there, none is classified.`,
		Example: `  fmnist-gpu predict --checkpoint runs/fashioncnn shirt.jpg
  fmnist-gpu predict --checkpoint model.safetensors photos/ --json
  fmnist-gpu predict --checkpoint runs/fashioncnn t10k-images-idx3-ubyte \
      --index 0-9
  fmnist-gpu predict --checkpoint runs/fashioncnn shirt.jpg --explain explained`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &commandLineError{"name the pictures to classify: files or folders"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return predict(c, f, args) },
	}
	f.checkpoint.add(flagGroup{c.Flags(), groupModel}, "weights to classify with")
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
}

func predict(c *cobra.Command, f predictFlags, args []string) error {
	if err := f.checkpoint.check(); err != nil {
		return err
	}
	switch {
	case f.asJSON && f.asCSV:
		return &commandLineError{"--json and --csv are mutually exclusive: give only one"}
	case c.Flags().Changed("cam") && f.explain == "":
		return &commandLineError{"--cam applies only to the pictures that --explain writes: add --explain FOLDER"}
	}
	files, outputs, err := pictureFiles(c.Context(), args)
	if err != nil {
		return err
	}
	for _, folder := range outputs {
		printNote(c.ErrOrStderr(), "the folder %s is left out: it holds what this program has written", folder)
	}
	for _, arg := range args {
		if info, err := os.Stat(arg); f.explain != "" && err == nil && info.IsDir() {
			if err := refuseInside("explain", f.explain, arg); err != nil {
				return err
			}
		}
	}
	for _, file := range files {
		if f.index != "" && !dataset.IsIDX(file) {
			return &commandLineError{fmt.Sprintf("--index applies only to IDX files, and %s is not one: leave it out", file)}
		}
	}
	d, err := openDevice(f.device)
	if err != nil {
		return err
	}
	p := &predictor{flags: f, list: []classifiedFile{}, used: map[string]bool{}}
	if err = closeDevice(d, p.classifyFiles(c, d, files)); err != nil {
		return err
	}
	switch {
	case f.asJSON:
		if slices.ContainsFunc(p.list, func(f classifiedFile) bool { return !utf8.ValidString(f.File) }) {
			printNote(c.ErrOrStderr(), "some names of files are not UTF-8, which JSON cannot hold: --csv has them as they are")
		}
		err = printJSON(c.OutOrStdout(), p.list)
	case f.asCSV:
		err = writePredictionsCSV(c.OutOrStdout(), p.list)
	default:
		err = printPredictions(c.OutOrStdout(), p.list)
	}
	return errors.Join(err, p.unreadable())
}

// pictureFiles lists the files that the arguments name: of folders, all pictures in
// them, sorted. It also lists the folders that are left out because they hold output of
// this program.
func pictureFiles(ctx context.Context, args []string) (files, outputs []string, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: cannot read %s: %v", dataset.ErrBadData, arg, pathCause(err))
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		found, left, err := picturesIn(ctx, arg)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: cannot read the folder %s: %v", dataset.ErrBadData, arg, err)
		}
		if len(found) == 0 && len(left) > 0 {
			return nil, nil, fmt.Errorf("%w: the folder %s holds only what this program has written, such as %s: name the folder with the pictures", dataset.ErrBadData, arg, left[0])
		}
		if len(found) == 0 {
			return nil, nil, fmt.Errorf("%w: the folder %s holds no pictures: want PNG, JPEG, GIF or WebP files", dataset.ErrBadData, arg)
		}
		files, outputs = append(files, found...), append(outputs, left...)
	}
	return files, outputs, nil
}

// picturesIn lists the pictures in a folder and the folders inside it, but not in
// hidden ones nor in those with output of this program, which it lists, too.
func picturesIn(ctx context.Context, dir string) (files, outputs []string, err error) {
	outputs, err = picture.Walk(ctx, dir, nil, func(file string, _ fs.FileInfo) {
		files = append(files, filepath.Join(dir, filepath.FromSlash(file)))
	})
	return files, outputs, err
}

// source is something to classify: a picture's file, or an image of an IDX file.
type source struct {
	name string
	open func() (image.Image, error)
	raw  bool // it is of a dataset's file, and as networks see it if it has their size
}

// sources lists what the files hold, one file after the other, so that few of them are
// in memory. A source whose file cannot be read fails to open.
func sources(files []string, index string) iter.Seq2[source, error] {
	return func(yield func(source, error) bool) {
		for _, file := range files {
			list := []source{{name: file, open: func() (image.Image, error) { return picture.Open(file) }}}
			var err error
			if dataset.IsIDX(file) {
				list, err = idxSources(file, index)
			}
			if err != nil {
				yield(source{}, err)
				return
			}
			for _, s := range list {
				if !yield(s, nil) {
					return
				}
			}
		}
	}
}

// idxSources lists the images of an IDX file that index names.
func idxSources(file, index string) ([]source, error) {
	images, err := dataset.ReadImages(file)
	if err != nil { // it counts as a picture that cannot be read
		return []source{{name: file, open: func() (image.Image, error) { return nil, err }}}, nil
	}
	chosen, err := indices(index, images.N)
	if err != nil {
		return nil, err
	}
	var list []source
	for _, i := range chosen {
		list = append(list, source{fmt.Sprintf("%s[%d]", file, i), func() (image.Image, error) { return images.Picture(i), nil }, true})
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

// predictor classifies pictures.
type predictor struct {
	flags predictFlags
	model *trainer.Model
	list  []classifiedFile // with the most probable classes only
	total int              // of pictures, the unreadable ones included
	bad   []string         // what is wrong with the unreadable ones
	used  map[string]bool  // names in --explain, in lower case
}

// picturesAtATime bounds the memory that prepared pictures take.
const picturesAtATime = 256

// classifyFiles classifies the pictures in files, and explains them if asked to.
// Pictures that cannot be read do not stop the others.
func (p *predictor) classifyFiles(c *cobra.Command, d *device, files []string) (err error) {
	if p.model, err = p.flags.checkpoint.load(c, d.Backend, dataset.FashionMNIST); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.model.Close()) }()
	if p.flags.explain != "" {
		if !p.model.Network.HasFeatures() {
			return &commandLineError{fmt.Sprintf("--explain: the network %s has no convolutions, so there is nothing to show: leave it out", p.model.Network.Name)}
		}
		if err := p.makeExplainFolder(); err != nil {
			return err
		}
	}
	var part []source
	for s, err := range sources(files, p.flags.index) {
		if err != nil {
			return err
		}
		if part = append(part, s); len(part) == picturesAtATime {
			if err := p.classify(c.Context(), part); err != nil {
				return err
			}
			part = nil
		}
	}
	return p.classify(c.Context(), part)
}

// makeExplainFolder makes the folder of --explain. Unless it already holds pictures, which may
// be the user's, it marks the folder, so that its pictures never become those of a dataset.
func (p *predictor) makeExplainFolder() error {
	dir := p.flags.explain
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("cannot create the folder %s: %w; choose another with --explain", dir, pathCause(err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot list the files in %s: %w; choose another folder with --explain", dir, pathCause(err))
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return picture.IsPicture(e.Name()) }) {
		return nil
	}
	return trainer.WriteFile(filepath.Join(dir, picture.OutputMark), []byte("Pictures in this folder are explanations that fmnist-gpu has drawn.\n"))
}

// classify classifies some pictures.
func (p *predictor) classify(ctx context.Context, part []source) error {
	p.total += len(part)
	inputs, problems, err := p.inputs(ctx, part)
	if err != nil {
		return err
	}
	in := p.model.Network.Input
	s := dataset.Split{Shape: dataset.Shape{H: in.H, W: in.W, C: in.C}}
	var names []string
	for i, input := range inputs {
		if problems[i] != nil {
			p.bad = append(p.bad, problem(part[i].name, problems[i]))
			continue
		}
		s.Images, s.N, names = append(s.Images, input...), s.N+1, append(names, part[i].name)
	}
	s.Labels = make([]byte, s.N)
	predictions, err := p.model.Classify(ctx, s)
	if err != nil {
		return err
	}
	for i, prediction := range predictions {
		if p.flags.explain != "" {
			if err := p.explain(names[i], s.Image(i), prediction.Best().Label); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		top := slices.Clone(prediction[:min(p.flags.top, len(prediction))])
		p.list = append(p.list, classifiedFile{names[i], top})
	}
	return nil
}

// inputs makes the network's inputs of pictures, on all cores, or says why one cannot
// be read.
func (p *predictor) inputs(ctx context.Context, part []source) (inputs [][]byte, problems []error, err error) {
	inputs, problems = make([][]byte, len(part)), make([]error, len(part))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range part {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			img, err := s.open()
			if err != nil {
				problems[i] = err
				return nil
			}
			inputs[i] = p.model.Input(img, p.invert(s, img.Bounds()))
			return nil
		})
	}
	return inputs, problems, errors.Join(group.Wait(), ctx.Err())
}

// invert returns whether to invert a source's picture. Those of a dataset are not, whatever
// their corners look like: training takes them as they are.
func (p *predictor) invert(s source, size image.Rectangle) picture.Invert {
	in, invert := p.model.Network.Input, picture.Invert(p.flags.invert)
	if s.raw && invert == picture.InvertAuto && size.Dx() == in.W && size.Dy() == in.H {
		return picture.InvertNo
	}
	return invert
}

// problem returns what is wrong with a picture: "shirt.png (damaged PNG)".
func problem(name string, err error) string {
	return fmt.Sprintf("%s (%s)", name, strings.TrimPrefix(pathCause(err).Error(), name+": "))
}

// mostNamed is the number of unreadable pictures that are named.
const mostNamed = 10

// unreadable returns the error that names the pictures that could not be read, nil if
// there are none.
func (p *predictor) unreadable() error {
	if len(p.bad) == 0 {
		return nil
	}
	more := ""
	if n := len(p.bad) - mostNamed; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w: %d of %s cannot be read: %s%s", dataset.ErrBadData, len(p.bad), english.Plural(p.total, "picture", ""),
		strings.Join(p.bad[:min(mostNamed, len(p.bad))], ", "), more)
}

// explainSize is the largest width and height of half a picture of --explain.
const explainSize = 280

// explain writes a picture of what the network saw, and of where it saw the class.
func (p *predictor) explain(name string, input []byte, label int) error {
	heat, err := p.model.Explain(input, label, trainer.CAM(p.flags.cam))
	if err != nil {
		return err
	}
	in := p.model.Network.Input
	seen := dataset.Picture(input, dataset.Shape{H: in.H, W: in.W, C: in.C})
	scale := max(1, explainSize/max(in.H, in.W))
	both := image.NewRGBA(image.Rect(0, 0, 2*scale*in.W, scale*in.H))
	for i, half := range []image.Image{seen, heat} {
		place := image.Rect(i*scale*in.W, 0, (i+1)*scale*in.W, scale*in.H)
		draw.NearestNeighbor.Scale(both, place, half, half.Bounds(), draw.Src, nil)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, both); err != nil {
		return err
	}
	return trainer.WriteFile(filepath.Join(p.flags.explain, p.explainedName(name)), file.Bytes())
}

// longestName is the largest number of bytes of a picture's name in the name of its
// explanation.
const longestName = 200

// explainedName returns a name for the explanation of a picture, which no other picture
// of this command gets, even where upper and lower case are the same.
func (p *predictor) explainedName(name string) string {
	name = strings.NewReplacer("/", "_", `\`, "_", ":", "_").Replace(filepath.ToSlash(filepath.Clean(name)))
	name = strings.ToValidUTF8(name[max(0, len(name)-longestName):], "")
	unique := name
	for i := 2; p.used[strings.ToLower(unique)]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	p.used[strings.ToLower(unique)] = true
	return unique + ".png"
}

func printPredictions(w io.Writer, list []classifiedFile) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range list {
		var classes []string
		for _, p := range f.Predictions {
			classes = append(classes, fmt.Sprintf("%s %.1f %%", p.Class, 100*p.Probability))
		}
		fmt.Fprintf(t, "%s\t%s\n", printable(f.File), strings.Join(classes, ", "))
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
