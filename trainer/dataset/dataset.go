// Package dataset finds, reads and downloads datasets of small images: Fashion-MNIST,
// the IDX files of any dataset like MNIST, and pictures in folders of classes.
package dataset

import (
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// Shape is the shape of an image: height, width and channels, 1 (grey) or 3 (red,
// green, blue).
type Shape struct{ H, W, C int }

// Len returns the number of bytes of an image.
func (s Shape) Len() int { return s.H * s.W * s.C }

// String formats the shape as 28×28×1.
func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d", s.H, s.W, s.C) }

// Info is what a network needs to know about a dataset.
type Info struct {
	Name    string
	Classes []string // their names, in the order of the labels
	Shape            // of every image
}

// MaxClasses is the largest number of classes: labels are bytes.
const MaxClasses = 256

// Dataset is a dataset in memory.
type Dataset struct {
	Info
	Train, Test Split
	Val         Split // validation images; N is 0 if the dataset has none of its own

	// Framing says how the images were cut out, so that other pictures are made alike.
	Framing picture.Framing
	// Notes are sentences for the user about what was read: what was made of it, and
	// what was left out.
	Notes []string
	// Dir is the folder that it was read from.
	Dir string
	// SHA256 holds hashes in hexadecimal. Those of IDX files are of their uncompressed
	// content, by name ("train-images-idx3-ubyte", …). Those of class folders are of
	// the images and then the labels of a split, by its name ("train", "test", "val").
	// Both have one of the class names, "classes".
	SHA256 map[string]string
}

// Split is a part of a dataset, such as its training images.
type Split struct {
	N      int
	Shape         // of every image
	Images []byte // (N, H, W, C)
	Labels []byte // (N), indices of classes
	// Files (N) are the paths of the pictures, slash-separated, from the dataset's folder;
	// nil if the images do not come from a file each.
	Files []string

	// memory, if it begins where Images does, goes on with the images of another split.
	// Images does not have its capacity: to append to it must not change that split.
	memory []byte
}

// Image returns the bytes of image i, (H, W, C), without a copy.
func (s Split) Image(i int) []byte {
	size := s.Len()
	return s.Images[i*size : (i+1)*size]
}

// Adjacent returns the images of all splits as one slice if they are known to lie in
// memory in this order, one beside the other, and nil otherwise.
func Adjacent(splits ...Split) []byte {
	var all []byte
	for _, s := range splits {
		n := len(all)
		switch {
		case len(s.Images) == 0:
		case all == nil:
			all = s.withRest()
		case cap(all) < n+len(s.Images) || &all[:n+1][n] != &s.Images[0]:
			return nil
		default:
			all = all[:n+len(s.Images)]
		}
	}
	return all
}

// withRest returns the images, with the capacity of the memory that they lie in.
func (s Split) withRest() []byte {
	if n := len(s.Images); n <= len(s.memory) && &s.memory[0] == &s.Images[0] {
		return s.memory[:n]
	}
	return s.Images
}

// Select returns copies of the images with the given indices, in that order.
func (s Split) Select(indices []uint32) Split {
	chosen := Split{N: len(indices), Shape: s.Shape}
	for _, i := range indices {
		chosen.Images, chosen.Labels = append(chosen.Images, s.Image(int(i))...), append(chosen.Labels, s.Labels[i])
		if s.Files != nil {
			chosen.Files = append(chosen.Files, s.Files[i])
		}
	}
	return chosen
}

// Without returns copies of all images but those with the given indices, which ascend.
func (s Split) Without(indices []uint32) Split {
	var rest []uint32
	for i := range uint32(s.N) {
		if _, found := slices.BinarySearch(indices, i); !found {
			rest = append(rest, i)
		}
	}
	return s.Select(rest)
}

// Picture returns image i as a picture; see [Picture].
func (s Split) Picture(i int) image.Image { return Picture(s.Image(i), s.Shape) }

// Picture returns an image of a dataset, (H, W, C), as a picture. A grey one shares
// its bytes.
func Picture(pixels []byte, s Shape) image.Image {
	if s.C == 1 {
		return &image.Gray{Pix: pixels, Stride: s.W, Rect: image.Rect(0, 0, s.W, s.H)}
	}
	p := image.NewRGBA(image.Rect(0, 0, s.W, s.H))
	for i := range s.H * s.W {
		copy(p.Pix[4*i:], pixels[3*i:3*i+3])
		p.Pix[4*i+3] = 255
	}
	return p
}

// ErrBadData matches, by errors.Is, the errors of a dataset that is missing,
// incomplete or damaged.
var ErrBadData = errors.New("bad or missing data")

// dataError is an error that matches [ErrBadData] without repeating its text.
type dataError struct{ text string }

func (e *dataError) Error() string        { return e.text }
func (e *dataError) Is(target error) bool { return target == ErrBadData }

func badData(format string, args ...any) error {
	return &dataError{fmt.Sprintf(format, args...)}
}

// newSplit joins the images, (N, H, W) or (N, H, W, 3), and the labels of one part of
// a dataset. The names appear in errors.
func newSplit(imagesName string, images IDX, labelsName string, labels []byte) (Split, error) {
	s, err := imagesOf(imagesName, images)
	if err == nil && s.N != len(labels) {
		err = badData("%s holds %d images, but %s holds %d labels", imagesName, s.N, labelsName, len(labels))
	}
	if err != nil {
		return Split{}, err
	}
	s.Labels = labels
	return s, nil
}

// imagesOf returns images, (N, H, W) or (N, H, W, 3), without labels.
func imagesOf(name string, x IDX) (Split, error) {
	axes := x.Shape
	switch {
	case len(axes) != 3 && (len(axes) != 4 || axes[3] != 3):
		return Split{}, badData("%s: holds data of shape %v, want (N, height, width) or (N, height, width, 3) images", name, shapeString(axes))
	case len(x.Data) == 0:
		return Split{}, badData("%s: holds no images: its shape is %v", name, shapeString(axes))
	}
	shape := Shape{H: axes[1], W: axes[2], C: 1}
	if len(axes) == 4 {
		shape.C = 3
	}
	return Split{N: axes[0], Shape: shape, Images: x.Data}, nil
}

// shapeString formats a shape as (60000, 28, 28).
func shapeString(shape []int) string {
	return "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]") + ")"
}
