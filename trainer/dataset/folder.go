package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// FolderOptions adjusts [OpenFolder].
type FolderOptions struct {
	// ImageSize is the height and width to which images are scaled and centre-cropped,
	// at most [MaxImageSize]. 0 means their own; pictures in class folders must then
	// all have the same size, of at most 96×96, or become 32×32.
	ImageSize int
	// SkipBad leaves out pictures that cannot be read, and notes them.
	SkipBad bool
	// Seed chooses the test images of a dataset that has none: [SplitSeed] in this
	// project's programs.
	Seed uint64
	// Cache is the folder of this program's caches, such as [DefaultCacheDir]. Decoded
	// pictures are kept in it. If it is empty, they are not kept.
	Cache string
	// Progress, if not nil, is called as pictures are decoded. It starts again from 0
	// if they turn out to differ in size or colour.
	Progress func(done, total int)
}

// SplitSeed is the [FolderOptions].Seed of fmnist-gpu. With another, other images of a dataset
// without test images are the test images.
const SplitSeed = 42

// MaxImageSize is the largest [FolderOptions.ImageSize].
const MaxImageSize = 1024

// maxBytes is the largest number of bytes of all images of a dataset.
const maxBytes = 8 << 30

// MissingError is the error of a dataset's path where there is nothing. It is [ErrBadData].
type MissingError struct{ Path string }

// Error names the path.
func (e *MissingError) Error() string { return "there is no folder " + e.Path }

// Is makes the error [ErrBadData].
func (e *MissingError) Is(target error) bool { return target == ErrBadData }

// OpenFolder reads a dataset from a folder of one of these forms:
//
//   - The IDX files of any set in MNIST's format, such as MNIST, KMNIST, QMNIST and
//     EMNIST, under the names that they are published as, plain or compressed with
//     gzip, in the folder itself or a subfolder such as torchvision's MNIST/raw.
//     Images are (N, height, width) or (N, height, width, 3). If a folder holds
//     several sets, the path is FOLDER/PREFIX, such as FOLDER/emnist-letters. The
//     labels that occur become the classes. They are named by the lines of classes.txt,
//     if there is such a file, else by EMNIST's mapping file, else by their numbers.
//     EMNIST's images, which are published transposed, are turned upright.
//   - Pictures in class folders: train/CLASS/* with test/CLASS/* and val/CLASS/*, or
//     just CLASS/*. Folders within a class count as parts of it. Hidden files and
//     files without the extension of a picture are ignored, and so are folders with
//     what this project's programs have written, such as runs; within a class, those
//     are refused. If one picture has colour, all are read as colour.
//
// If there are no test images, a sixth of each class becomes the test set. The error
// is [ErrBadData] unless the context ends or the system fails: a [MissingError] if there
// is no such path, an [UnreadableError] if pictures cannot be read.
func OpenFolder(ctx context.Context, path string, o FolderOptions) (*Dataset, error) {
	if o.ImageSize < 0 || o.ImageSize > MaxImageSize {
		return nil, fmt.Errorf("image size %d: want 1 to %d", o.ImageSize, MaxImageSize)
	}
	set, err := findIDX(path)
	if err != nil {
		return nil, err
	}
	var d *Dataset
	if set != nil {
		d, err = set.open(ctx, o)
	} else {
		d, err = openClassFolders(ctx, path, o)
	}
	if err != nil {
		return nil, err
	}
	if err := d.complete(path, o); err != nil {
		return nil, err
	}
	if set == nil {
		d.hashSplits()
	}
	d.SHA256["classes"] = hexSHA256([]byte(strings.Join(d.Classes, "\n")))
	return d, nil
}

// complete makes the test set if there is none, and notes which classes a split lacks.
func (d *Dataset) complete(path string, o FolderOptions) error {
	counts := d.Train.counts()
	if d.Test.N == 0 {
		for class, n := range counts[:len(d.Classes)] {
			if n < 2 {
				return badData("%s has one image only of class %q, and no test images: at least two of each class are needed", path, d.Classes[class])
			}
		}
		all := d.Train.N
		if err := d.makeTest(o.Seed); err != nil {
			return err
		}
		d.Notes = append(d.Notes, fmt.Sprintf("There are no test images: a sixth of each class, %d of %d images, becomes the test set, chosen by seed %d.", d.Test.N, all, o.Seed))
	}
	for _, part := range []struct {
		name string
		Split
	}{{"test", d.Test}, {"validation", d.Val}} {
		if lacking := d.without(part.Split); part.N > 0 && len(lacking) > 0 {
			d.Notes = append(d.Notes, fmt.Sprintf("The %s set has no images of %s.", part.name, some(lacking)))
		}
	}
	return nil
}

// checkClasses returns an error if there are too few classes or too many.
func checkClasses(path string, classes []string) error {
	switch n := len(classes); {
	case n == 1:
		return badData("%s has one class only, %q: at least two are needed", path, classes[0])
	case n > MaxClasses:
		return badData("%s has %d classes, more than %d", path, n, MaxClasses)
	}
	for _, name := range classes { // which models and reports keep as text
		if !utf8.ValidString(name) {
			return badData("%s has the class %q, whose name is not UTF-8: rename its folder", path, name)
		}
	}
	return nil
}

// counts returns the number of images of each class.
func (s Split) counts() (n [MaxClasses]int) {
	for _, label := range s.Labels {
		n[label]++
	}
	return n
}

// without returns the classes of which a split has no images.
func (d *Dataset) without(s Split) []string {
	var names []string
	counts := s.counts()
	for class, name := range d.Classes {
		if counts[class] == 0 {
			names = append(names, fmt.Sprintf("%q", name))
		}
	}
	return names
}

// makeTest moves a sixth of each class from the training images to the test images.
func (d *Dataset) makeTest(seed uint64) error {
	train, test, err := StratifiedHoldout(d.Train.Labels, d.Classes, testPart, seed, kernels.PurposeTestSet)
	if err != nil {
		return err
	}
	d.Test = Split{Shape: d.Shape, Images: make([]byte, len(test)*d.Len()), Labels: make([]byte, len(test))}
	if d.Train.Files != nil {
		d.Test.Files = make([]string, len(test))
	}
	d.Test.take(d.Train, test)
	d.Train.take(d.Train, train)
	return nil
}

// take makes s those images of another split whose indices, ascending, are given. Both
// may share their memory.
func (s *Split) take(from Split, indices []uint32) {
	for to, i := range indices {
		copy(s.Image(to), from.Image(int(i)))
		s.Labels[to] = from.Labels[i]
		if s.Files != nil {
			s.Files[to] = from.Files[i]
		}
	}
	s.N = len(indices)
	s.Images, s.Labels = s.Images[:s.N*s.Len()], s.Labels[:s.N]
	if s.Files != nil {
		s.Files = s.Files[:s.N]
	}
}

// hashSplits sets the hashes to those of the splits.
func (d *Dataset) hashSplits() {
	d.SHA256 = map[string]string{"train": d.Train.hash(), "test": d.Test.hash()}
	if d.Val.N > 0 {
		d.SHA256["val"] = d.Val.hash()
	}
}

// hash returns the SHA-256 of the images and then the labels.
func (s Split) hash() string {
	h := sha256.New()
	h.Write(s.Images)
	h.Write(s.Labels)
	return hex.EncodeToString(h.Sum(nil))
}

// framing returns the framing of images in MNIST's format: grey objects on a dark
// background are framed as Fashion-MNIST's and MNIST's are. The background is the
// median of the border of some images.
func framing(s Split) picture.Framing {
	const sample, dark = 256, 64
	if s.C != 1 {
		return picture.FrameCrop
	}
	var border []byte
	for i := range min(s.N, sample) {
		image := s.Image(i * s.N / min(s.N, sample))
		border = append(append(border, image[:s.W]...), image[len(image)-s.W:]...)
		for y := range s.H {
			border = append(border, image[y*s.W], image[(y+1)*s.W-1])
		}
	}
	slices.Sort(border)
	if border[len(border)/2] < dark {
		return picture.FrameObject
	}
	return picture.FrameCrop
}

// checkBytes returns an error if n images of a shape are more than can be read.
func checkBytes(path string, n int, s Shape) error {
	if int64(n) > maxBytes/int64(s.Len()) {
		return badData("%s: %d images of %v are %.1f GiB, more than %d GiB: choose a smaller image size",
			path, n, s, float64(n)*float64(s.Len())/(1<<30), maxBytes>>30)
	}
	return nil
}

// some joins at most ten names, and counts the others.
func some(names []string) string {
	const most = 10
	text := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
