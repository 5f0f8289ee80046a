package dataset

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// Pictures in class folders keep their size if all have the same one, of at most
// largestOwn pixels on each side. Otherwise they become usualSize × usualSize.
const (
	largestOwn = 96
	usualSize  = 32
)

// openPicture is [picture.Open], which tests replace to count its calls.
var openPicture = picture.Open

// decoded is the images of the pictures in class folders, in order.
type decoded struct {
	Shape
	Grey   int // of 3 channels: the number of pictures without colour
	Scaled int // the number of pictures that had another size
	Bad    []badPicture

	pixels []byte // (N, H, W, C), of bad pictures zeros
	// passing is whether a picture may be bad for reasons that do not lie in the file.
	passing bool
}

// badPicture is a picture that cannot be read.
type badPicture struct {
	Index   int
	Problem string
}

func (d *decoded) image(i int) []byte { return d.pixels[i*d.Len():][:d.Len()] }

// notes returns what was done to the pictures, in sentences.
func (d *decoded) notes(pictures []classPicture) (notes []string) {
	good := len(pictures) - len(d.Bad)
	if d.Scaled > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s %s scaled and cropped to %d×%d.", humanize.Comma(int64(d.Scaled)), english.Plural(good, "picture", ""), english.PluralWord(d.Scaled, "is", "are"), d.H, d.W))
	}
	if d.Grey > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s %s grey; all are read as colour.", humanize.Comma(int64(d.Grey)), english.Plural(good, "picture", ""), english.PluralWord(d.Grey, "is", "are")))
	}
	if len(d.Bad) > 0 {
		notes = append(notes, fmt.Sprintf("%s cannot be read and %s left out: %s.", english.Plural(len(d.Bad), "picture", ""), english.PluralWord(len(d.Bad), "is", "are"), some(d.problems(pictures))))
	}
	return notes
}

// problems returns what is wrong with each bad picture: "cat/1.png (damaged PNG)".
func (d *decoded) problems(pictures []classPicture) []string {
	var texts []string
	for _, b := range d.Bad {
		texts = append(texts, fmt.Sprintf("%s (%s)", pictures[b.Index].path, b.Problem))
	}
	return texts
}

// UnreadableError is the error of pictures that cannot be read, where
// [FolderOptions.SkipBad] is a remedy. It is [ErrBadData].
type UnreadableError struct {
	Dir      string   // the dataset's folder
	Total    int      // number of pictures in it
	Problems []string // each unreadable picture and what is wrong with it
}

// Error names at most ten pictures.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%s of %s in %s cannot be read: %s", humanize.Comma(int64(len(e.Problems))), english.Plural(e.Total, "picture", ""), e.Dir, some(e.Problems))
}

// Is makes the error [ErrBadData].
func (e *UnreadableError) Is(target error) bool { return target == ErrBadData }

func (c *classFolders) unreadable(d *decoded) error {
	return &UnreadableError{Dir: c.root, Total: len(c.pictures), Problems: d.problems(c.pictures)}
}

// systemFails reports whether an error says nothing about the picture: it is then no
// reason to leave the picture out.
func systemFails(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO}, func(of error) bool { return errors.Is(err, of) })
}

// notRead is the error of a dataset whose pictures the system fails to read.
func (c *classFolders) notRead(err error) error {
	return fmt.Errorf("cannot read the pictures in %s: %w", c.root, err)
}

// errAgain ends a pass over the pictures whose images need another shape.
var errAgain = errors.New("another shape is needed")

// decode decodes the pictures. It begins with the shape of the first one, so that
// no picture is decoded twice if all are alike, and starts again if one shows that
// the images need another shape: at most once for the size and once for the colour.
func (c *classFolders) decode(ctx context.Context, o FolderOptions) (*decoded, error) {
	shape, err := c.firstShape(ctx, o.ImageSize)
	for err == nil {
		var d *decoded
		var next Shape
		d, next, err = c.decodeAs(ctx, shape, o)
		if err == nil {
			return d, nil
		}
		if errors.Is(err, errAgain) {
			shape, err = next, nil
		}
	}
	return nil, err
}

// firstShape returns the shape of images for the first picture that can be read.
func (c *classFolders) firstShape(ctx context.Context, size int) (Shape, error) {
	for i := range c.pictures {
		if err := ctx.Err(); err != nil {
			return Shape{}, err
		}
		img, err := openPicture(c.file(i))
		if systemFails(err) {
			return Shape{}, c.notRead(err)
		}
		if err != nil {
			continue
		}
		own := Shape{H: img.Bounds().Dy(), W: img.Bounds().Dx()}
		s := own.fit(own, size)
		if own.H > largestOwn || own.W > largestOwn {
			s = own.fit(Shape{}, size)
		}
		s.C = 1
		if !picture.IsGray(img) {
			s.C = 3
		}
		return s, nil
	}
	return Shape{H: usualSize, W: usualSize, C: 1}, nil
}

// fit returns the height and width of images that were going to have those of as,
// for a picture with the height and width of s.
func (s Shape) fit(as Shape, size int) Shape {
	if size > 0 {
		return Shape{H: size, W: size}
	}
	if s.H == as.H && s.W == as.W {
		return Shape{H: s.H, W: s.W}
	}
	return Shape{H: usualSize, W: usualSize}
}

// file returns the path of picture i.
func (c *classFolders) file(i int) string {
	return filepath.Join(c.root, filepath.FromSlash(c.pictures[i].path))
}

// decodeAs decodes the pictures to images of a shape. If a picture needs another one,
// it returns that with errAgain.
func (c *classFolders) decodeAs(ctx context.Context, shape Shape, o FolderOptions) (d *decoded, next Shape, err error) {
	n := len(c.pictures)
	if err := checkBytes(c.root, n, shape); err != nil {
		return nil, next, err
	}
	d = &decoded{Shape: shape, pixels: make([]byte, n*shape.Len())}
	var mu sync.Mutex // protects d, but for its pixels, next and the count
	done := 0
	err = parallel(ctx, n, func(i int) error {
		img, err := openPicture(c.file(i))
		if systemFails(err) {
			return c.notRead(err)
		}
		var own Shape
		grey := false
		if err == nil {
			own = Shape{H: img.Bounds().Dy(), W: img.Bounds().Dx()}
			img = picture.Crop(img, own.H, own.W) // converts it once for all that follows
			grey = picture.IsGray(img)
			if needs := own.needs(shape, o.ImageSize, grey); needs != shape {
				mu.Lock()
				defer mu.Unlock()
				next = needs
				return errAgain
			}
			copy(d.image(i), imageOf(img, shape))
		}
		mu.Lock()
		defer mu.Unlock()
		d.count(i, own, grey, c.file(i), err)
		done++
		if o.Progress != nil {
			o.Progress(done, n)
		}
		return nil
	})
	slices.SortFunc(d.Bad, func(a, b badPicture) int { return a.Index - b.Index })
	return d, next, err
}

// needs returns the shape that images need, given that they were going to have a
// shape, for a picture with the height and width of s.
func (s Shape) needs(shape Shape, size int, grey bool) Shape {
	needed := s.fit(shape, size)
	needed.C = shape.C
	if !grey {
		needed.C = 3
	}
	return needed
}

// imageOf returns the bytes of an image of a shape.
func imageOf(img image.Image, s Shape) []byte {
	return picture.Bytes(picture.Crop(img, s.H, s.W), s.C)
}

// count takes account of picture i: its height and width, whether it is grey, and the
// error if it cannot be read.
func (d *decoded) count(i int, own Shape, grey bool, path string, err error) {
	if err != nil {
		problem := strings.TrimPrefix(err.Error(), path+": ")
		var file *fs.PathError
		if errors.As(err, &file) {
			problem, d.passing = file.Err.Error(), true
		}
		d.Bad = append(d.Bad, badPicture{i, problem})
		return
	}
	if grey && d.C == 3 {
		d.Grey++
	}
	if own.H != d.H || own.W != d.W {
		d.Scaled++
	}
}

// parallel calls do for 0 to n−1 on all CPUs, and returns the first error. It starts
// no call after an error or the context's end.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(n, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}
