// Package dataset finds, verifies, reads and downloads Fashion-MNIST (Xiao,
// Rasul & Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
// Machine Learning Algorithms", 2017): 60,000 training and 10,000 test images
// of 28×28 grey pixels in ten classes, in four IDX files.
package dataset

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// ImageSize is the height and the width of an image in pixels.
	ImageSize = 28
	// ImageBytes is the size of one image, one byte per pixel.
	ImageBytes = ImageSize * ImageSize
	// Classes is the number of classes.
	Classes = 10
)

// ClassNames are the names of the classes 0 to 9 as the dataset's authors
// write them.
var ClassNames = [Classes]string{
	"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
	"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
}

// Dataset is Fashion-MNIST in memory.
type Dataset struct {
	Train, Test Split

	// Dir is the folder that it was read from.
	Dir string
	// SHA256 maps the name of each IDX file ("train-images-idx3-ubyte", …) to
	// the hash of its uncompressed content in hexadecimal.
	SHA256 map[string]string
}

// Split is the training or the test part.
type Split struct {
	N      int
	Images []byte // (N, 28, 28), 0 is background
	Labels []byte // (N), 0 to 9
}

// Image returns the pixels of image i, (28, 28), without a copy.
func (s Split) Image(i int) []byte {
	return s.Images[i*ImageBytes : (i+1)*ImageBytes]
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

// newSplit joins the images and labels of one part. The names appear in errors.
func newSplit(imagesName string, images IDX, labelsName string, labels IDX) (Split, error) {
	if len(images.Shape) != 3 || images.Shape[1] != ImageSize || images.Shape[2] != ImageSize {
		return Split{}, badData("%s holds data of shape %v, want (N, %d, %d) images", imagesName, shapeString(images.Shape), ImageSize, ImageSize)
	}
	if len(labels.Shape) != 1 {
		return Split{}, badData("%s holds data of shape %v, want (N) labels", labelsName, shapeString(labels.Shape))
	}
	n := images.Shape[0]
	if labels.Shape[0] != n {
		return Split{}, badData("%s holds %d images, but %s holds %d labels", imagesName, n, labelsName, labels.Shape[0])
	}
	for i, label := range labels.Data {
		if label >= Classes {
			return Split{}, badData("%s: label %d is %d, want 0 to %d", labelsName, i, label, Classes-1)
		}
	}
	return Split{N: n, Images: images.Data, Labels: labels.Data}, nil
}

// shapeString formats a shape as (60000, 28, 28).
func shapeString(shape []int) string {
	return "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]") + ")"
}
