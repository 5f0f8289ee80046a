package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Twins are two images that are nearly the same.
type Twins struct {
	A, B Image // in the order of train, val, test, and then of their indices
	// Distance is the root mean square difference of the two images, each first shifted
	// and scaled to mean 0 and standard deviation 1: √(2(1 − r)), r their correlation.
	Distance float64
	Same     bool // whether all bytes are equal

	LabelA, LabelB byte   // their classes
	FileA, FileB   string // their files, if they have some; [FindTwins] leaves these to [WriteTwins]
}

// FindTwins returns the pairs of images, within and between all splits, whose distance
// is at most the given one, nearest first. An image of one brightness has a twin only in
// another such. progress, which may be nil, is told how many of all comparisons are done.
// More pairs than 4 million are an error: they would fill the memory.
//
// It compares first the images' means over blocks, by matrix products on the backend.
// They are coordinates of an orthogonal projection, which makes no distance larger, so
// no pair is missed.
func FindTwins(ctx context.Context, backend kernels.Backend, d *dataset.Dataset, most float64, progress func(done, total int)) (list []Twins, err error) {
	if !(most >= 0 && most < 1) {
		return nil, fmt.Errorf("audit: the distance is %g: want a number from 0 to below 1", most)
	}
	s, err := newSearch(backend, d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.program.Close()) }()
	tiles := (s.n + tileSize - 1) / tileSize
	done, total := 0, tiles*(tiles+1)/2
	for i := range tiles {
		if err := s.write(s.a, i); err != nil {
			return nil, err
		}
		for j := i; j < tiles; j++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			found, err := s.compare(i*tileSize, j*tileSize, most)
			if err != nil {
				return nil, err
			}
			if list = append(list, found...); len(list) > maxTwins {
				return nil, fmt.Errorf("audit: the distance is %g, at which more than %d pairs are twins: choose a smaller one", most, maxTwins)
			}
			if done++; progress != nil {
				progress(done, total)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Twins) int { return cmp.Compare(a.Distance, b.Distance) })
	return list, nil
}

// maxTwins is the most pairs that FindTwins returns; they take 300 MB.
var maxTwins = 4_000_000 // tests lower it

// tileSize is the number of images that are compared with as many others at a time.
const tileSize = 1024

// search holds what is compared of all images, and the program that multiplies it.
type search struct {
	parts  []part
	n      int       // images of all parts
	blocks int       // coordinates of an image
	means  []float32 // (n + padding, blocks), of images with mean 0 and length 1, times the root of the block's size
	square []float32 // (n), squared length of the rows of means

	program  kernels.Program
	a, b, c  kernels.Tensor // c = a·bᵀ
	products []float32      // content of c
}

func newSearch(backend kernels.Backend, d *dataset.Dataset) (*search, error) {
	s := &search{parts: parts(d), products: make([]float32, tileSize*tileSize)}
	for _, p := range s.parts {
		s.n += p.N
	}
	s.project(d.Shape)
	var plan kernels.Plan
	s.a, s.b = plan.Tensor("a", kernels.Float32, tileSize, s.blocks), plan.Tensor("b", kernels.Float32, tileSize, s.blocks)
	s.c = plan.Tensor("c", kernels.Float32, tileSize, tileSize)
	plan.Section(productsSection).Add(kernels.GEMM{A: s.a, B: s.b, C: s.c, TransB: true})
	var err error
	s.program, err = backend.Compile(&plan)
	return s, err
}

const productsSection = "products"

// project computes the coordinates of all images.
func (s *search) project(shape dataset.Shape) {
	side := func(pixels int) int { return (pixels + blocksPerSide - 1) / blocksPerSide } // of a block
	bh, bw := side(shape.H), side(shape.W)
	across := (shape.W + bw - 1) / bw
	s.blocks = (shape.H + bh - 1) / bh * across * shape.C
	block, size := make([]int, shape.Len()), make([]float64, s.blocks)
	for i := range block { // (H, W, C)
		x, y := i/shape.C%shape.W, i/shape.C/shape.W
		block[i] = (y/bh*across+x/bw)*shape.C + i%shape.C
		size[block[i]]++
	}
	padded := (s.n + tileSize - 1) / tileSize * tileSize
	s.means, s.square = make([]float32, padded*s.blocks), make([]float32, s.n)
	sums := make([]float64, s.blocks)
	for i := range s.n {
		_, pixels, _ := s.image(i)
		s.square[i] = project(s.means[i*s.blocks:][:s.blocks], pixels, block, size, sums)
	}
}

// write writes the coordinates of the images of a tile's rows or columns.
func (s *search) write(to kernels.Tensor, tile int) error {
	n := tileSize * s.blocks
	return s.program.Write(to, kernels.AsBytes(s.means[tile*n:][:n]))
}

// blocksPerSide is the number of blocks, or one or two fewer, along an image's height and
// width.
const blocksPerSide = 10

// project writes an image's coordinates and returns their squared length. sums is scratch.
func project(to []float32, pixels []byte, block []int, size, sums []float64) float32 {
	clear(sums)
	var sum, squares float64
	for i, p := range pixels {
		x := float64(p)
		sums[block[i]] += x
		sum, squares = sum+x, squares+x*x
	}
	mean := sum / float64(len(pixels))
	length := math.Sqrt(max(0, squares-sum*mean))
	if length == 0 {
		return 0 // one brightness: all coordinates are 0
	}
	var square float32
	for b := range to {
		to[b] = float32((sums[b] - size[b]*mean) / math.Sqrt(size[b]) / length)
		square += to[b] * to[b]
	}
	return square
}

// image returns the name, the pixels and the class of image i of all.
func (s *search) image(i int) (image Image, pixels []byte, label byte) {
	for _, p := range s.parts {
		if i < p.N {
			return Image{p.name, i}, p.Image(i), p.Labels[i]
		}
		i -= p.N
	}
	panic("audit: an image that is not there")
}

// rounding is more than float32 can lose of a squared distance between unit vectors.
const rounding = 1e-5

// compare returns the twins among the images from first and those from second on, a tile
// of each. The coordinates of the first are in a.
func (s *search) compare(first, second int, most float64) ([]Twins, error) {
	err := s.write(s.b, second/tileSize)
	if err == nil {
		err = s.program.Run(productsSection, 1)
	}
	if err == nil {
		err = s.program.Read(s.c, kernels.AsBytes(s.products))
	}
	if err != nil {
		return nil, err
	}
	bound := float32(most*most + rounding)
	var list []Twins
	for i := first; i < min(first+tileSize, s.n); i++ {
		row := s.products[(i-first)*tileSize:]
		for j := max(second, i+1); j < min(second+tileSize, s.n); j++ {
			if s.square[i]+s.square[j]-2*row[j-second] > bound {
				continue
			}
			if w := s.twins(i, j); w.Distance <= most {
				list = append(list, w)
			}
		}
	}
	return list, nil
}

// twins compares two images pixel by pixel, in integers up to the last step.
func (s *search) twins(i, j int) Twins {
	a, x, labelA := s.image(i)
	b, y, labelB := s.image(j)
	var sx, sy, sxx, syy, sxy int64
	for k := range x {
		p, q := int64(x[k]), int64(y[k])
		sx, sy = sx+p, sy+q
		sxx, syy, sxy = sxx+p*p, syy+q*q, sxy+p*q
	}
	n := int64(len(x))
	vx, vy, covariance := n*sxx-sx*sx, n*syy-sy*sy, n*sxy-sx*sy
	w := Twins{A: a, B: b, Same: slices.Equal(x, y), LabelA: labelA, LabelB: labelB}
	switch {
	case vx == 0 && vy == 0:
		w.Distance = 0
	case vx == 0 || vy == 0:
		w.Distance = math.Inf(1)
	default:
		w.Distance = math.Sqrt(max(0, 2-2*float64(covariance)/(math.Sqrt(float64(vx))*math.Sqrt(float64(vy)))))
	}
	if w.Same {
		w.Distance = 0
	}
	return w
}

// SeenInTraining returns the indices of the test images that have a twin among the images
// to train on, ascending.
func SeenInTraining(list []Twins) []int {
	var seen []int
	for _, w := range list {
		if w.A.Split == "train" && w.B.Split == "test" {
			seen = append(seen, w.B.Index)
		}
	}
	slices.Sort(seen)
	return slices.Compact(seen)
}

// CheckTest returns an error if a list of twins belongs to another dataset than the test
// split does. It compares the labels and, if both have them, the files of test images.
func CheckTest(list []Twins, test dataset.Split) error {
	for _, w := range list {
		for _, i := range []struct {
			Image
			label byte
			file  string
		}{{w.A, w.LabelA, w.FileA}, {w.B, w.LabelB, w.FileB}} {
			switch {
			case i.Split != "test":
			case i.Index >= test.N:
				return fmt.Errorf("it names test image %d of %d%s", i.Index, test.N, otherList)
			case i.label != test.Labels[i.Index]:
				return fmt.Errorf("test image %d is of class %d in the list, but of class %d in the dataset%s", i.Index, i.label, test.Labels[i.Index], otherList)
			case i.file != "" && test.Files != nil && i.file != test.Files[i.Index]:
				return fmt.Errorf("test image %d is %s in the list, but %s in the dataset%s", i.Index, i.file, test.Files[i.Index], otherList)
			}
		}
	}
	return nil
}

const otherList = ": the list is of another dataset, or of other pictures; audit this one"

// twinsHeader is the first line of the file of [WriteTwins], followed by twinsFiles if
// every image has a file.
var twinsHeader = []string{"split_a", "index_a", "label_a", "split_b", "index_b", "label_b", "distance", "same_bytes"}
var twinsFiles = []string{"file_a", "file_b"}

// WriteTwins writes twins of the dataset to a CSV file, whole or not at all.
func WriteTwins(path string, d *dataset.Dataset, list []Twins) error {
	rows := [][]string{twinsHeader}
	if hasFiles(d) {
		rows[0] = slices.Concat(twinsHeader, twinsFiles)
	}
	for _, w := range list {
		var row []string
		for _, i := range []Image{w.A, w.B} {
			row = append(row, i.Split, strconv.Itoa(i.Index), strconv.Itoa(int(i.Of(d).Labels[i.Index])))
		}
		row = append(row, number(w.Distance), strconv.FormatBool(w.Same))
		if hasFiles(d) {
			row = append(row, w.A.file(d), w.B.file(d))
		}
		rows = append(rows, row)
	}
	return writeCSV(path, rows)
}

// ReadTwins reads a file of [WriteTwins]. The error names the file and the line that is
// wrong.
func ReadTwins(path string) ([]Twins, error) {
	f, err := limitedfile.OpenAtMost(path, limitedfile.Table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := parseTwins(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

func parseTwins(text io.Reader) ([]Twins, error) {
	var list []Twins
	line := 0
	for row, err := range limitedfile.Rows(text) {
		if err != nil {
			return nil, err
		}
		if line++; line == 1 {
			if !slices.Equal(row, twinsHeader) && !slices.Equal(row, slices.Concat(twinsHeader, twinsFiles)) {
				return nil, errNoTwins
			}
			continue
		}
		a, err1 := strconv.ParseUint(row[1], 10, 31)
		b, err2 := strconv.ParseUint(row[4], 10, 31)
		distance, err3 := strconv.ParseFloat(row[6], 64)
		same, err4 := strconv.ParseBool(row[7])
		labelA, err5 := strconv.ParseUint(row[2], 10, 8)
		labelB, err6 := strconv.ParseUint(row[5], 10, 8)
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			return nil, fmt.Errorf("line %d: %s: want two images, a distance and true or false", line, setting.Shown(strings.Join(row, ",")))
		}
		w := Twins{A: Image{strings.Clone(row[0]), int(a)}, B: Image{strings.Clone(row[3]), int(b)}, Distance: distance, Same: same,
			LabelA: byte(labelA), LabelB: byte(labelB)}
		if len(row) > len(twinsHeader) {
			w.FileA, w.FileB = strings.Clone(row[8]), strings.Clone(row[9])
		}
		list = append(list, w)
	}
	if line == 0 {
		return nil, errNoTwins
	}
	return list, nil
}

var errNoTwins = fmt.Errorf("this is not a list of twins: its header must be %s", strings.Join(twinsHeader, ","))
