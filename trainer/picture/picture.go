// Package picture reads picture files and makes inputs of a network from them.
package picture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bep/imagemeta"
	"golang.org/x/image/webp"
)

// MaxPixels is the largest width × height of a picture that is decoded. One that
// announces more is refused before memory is taken for it.
const MaxPixels = 64_000_000

// IsPicture reports whether a file's name has the extension of a picture that
// [Open] reads. Hidden files are no pictures: macOS leaves a "._shirt.jpg" beside
// each shirt.jpg in archives.
func IsPicture(name string) bool {
	if strings.HasPrefix(filepath.Base(name), ".") {
		return false
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".webp":
		return true
	}
	return false
}

// Open reads a picture file; see [Decode]. An error is one line that names the file.
func Open(path string) (image.Image, error) {
	info, err := os.Stat(path) // before opening, which waits for a pipe's writer
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: a folder, not a picture", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	img, err := Decode(file)
	if _, named := errors.AsType[*fs.PathError](err); err != nil && !named {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return img, err
}

// Decode reads a PNG, JPEG, WebP or GIF picture, of the last its first frame. The
// content says which it is. A JPEG or PNG is turned as its EXIF orientation says. Of
// damaged data comes an error, never a part of the picture or a panic.
func Decode(r io.ReadSeeker) (image.Image, error) { return DecodeUpTo(r, MaxPixels) }

// DecodeUpTo reads a picture as [Decode] does, but of at most the given number of
// pixels.
func DecodeUpTo(r io.ReadSeeker, pixels int64) (image.Image, error) {
	f, err := recognise(r)
	if err != nil {
		return nil, err
	}
	img, err := f.read(r, pixels)
	if err != nil {
		return nil, err
	}
	return orient(img, f.orientation(r)), nil
}

// format is a picture format.
type format struct {
	name   string
	magic  []string // how a file begins, one of these; "?" stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	exif   imagemeta.ImageFormat // zero: the orientation is not looked for
}

var formats = []format{
	{"PNG", []string{"\x89PNG\r\n\x1a\n"}, png.DecodeConfig, png.Decode, imagemeta.PNG},
	{"JPEG", []string{"\xff\xd8\xff"}, jpeg.DecodeConfig, decodeJPEG, imagemeta.JPEG},
	{"GIF", []string{"GIF87a", "GIF89a"}, gif.DecodeConfig, decodeGIF, 0},
	{"WebP", []string{"RIFF????WEBP"}, webp.DecodeConfig, decodeWebP, 0},
}

// recognise returns the format of a picture.
func recognise(r io.Reader) (*format, error) {
	var buffer [21]byte
	n, err := io.ReadFull(r, buffer[:])
	head := buffer[:n]
	switch {
	case err == io.EOF:
		return nil, errors.New("an empty file, not a picture")
	case err != nil && err != io.ErrUnexpectedEOF:
		return nil, err
	}
	for i := range formats {
		if slices.ContainsFunc(formats[i].magic, func(magic string) bool { return begins(head, magic) }) {
			if formats[i].name == "WebP" && animated(head) {
				return nil, errors.New("an animated WebP picture: only still ones are read")
			}
			return &formats[i], nil
		}
	}
	return nil, errors.New("not a PNG, JPEG, GIF or WebP picture")
}

func begins(head []byte, magic string) bool {
	if len(head) < len(magic) {
		return false
	}
	for i := range magic {
		if magic[i] != '?' && magic[i] != head[i] {
			return false
		}
	}
	return true
}

// animated reports whether the flag of an animation is set in the first chunk of a
// WebP file.
func animated(head []byte) bool {
	return len(head) > 20 && bytes.Equal(head[12:16], []byte("VP8X")) && head[20]&2 != 0
}

// read checks that a picture has at most so many pixels and decodes it.
func (f *format) read(r io.ReadSeeker, most int64) (img image.Image, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			img, err = nil, fmt.Errorf("damaged %s: %v", f.name, cause)
		}
	}()
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	config, err := f.config(bufio.NewReader(r))
	if err != nil {
		return nil, f.explain(err)
	}
	if config.Width <= 0 || config.Height <= 0 {
		return nil, fmt.Errorf("damaged %s: a size of %d×%d pixels", f.name, config.Width, config.Height)
	}
	if int64(config.Width)*int64(config.Height) > most {
		return nil, fmt.Errorf("%d×%d pixels are too many: at most %d million are read", config.Width, config.Height, most/1_000_000)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if img, err = f.decode(bufio.NewReader(r)); err != nil {
		return nil, f.explain(err)
	}
	return img, nil
}

// explain says in a user's words what a decoder found wrong.
func (f *format) explain(err error) error {
	if _, reading := errors.AsType[*fs.PathError](err); reading {
		return err
	}
	switch e := err.(type) {
	case png.UnsupportedError:
		return fmt.Errorf("unsupported PNG: %s", string(e))
	case jpeg.UnsupportedError:
		return fmt.Errorf("unsupported JPEG: %s", string(e))
	case png.FormatError:
		return fmt.Errorf("damaged PNG: %s", string(e))
	case jpeg.FormatError:
		return fmt.Errorf("damaged JPEG: %s", string(e))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("damaged %s: it ends early", f.name)
	}
	return fmt.Errorf("damaged %s: %s", f.name, strings.TrimPrefix(err.Error(), strings.ToLower(f.name)+": "))
}

// mostScans is the largest number of scans of a JPEG. Each costs time for every block of
// the picture, however few bytes it has; encoders write about ten.
const mostScans = 100

// decodeJPEG reads a JPEG of at most mostScans scans.
func decodeJPEG(r io.Reader) (image.Image, error) { return jpeg.Decode(&scanLimit{r: r}) }

// scanLimit reads a JPEG and fails after mostScans markers of a scan. Metadata can
// contain the two bytes of that marker too, on average once in 64 KiB.
type scanLimit struct {
	r     io.Reader
	last  byte
	scans int
}

// Read implements [io.Reader].
func (s *scanLimit) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	for _, c := range b[:n] {
		if s.last == 0xff && c == 0xda {
			s.scans++
		}
		s.last = c
	}
	if s.scans > mostScans {
		return 0, jpeg.UnsupportedError(fmt.Sprintf("more than %d scans", mostScans))
	}
	return n, err
}

// decodeGIF reads the first frame of a GIF, which may cover a part of the picture
// only: the rest is transparent.
func decodeGIF(r io.Reader) (image.Image, error) {
	var head bytes.Buffer
	config, err := gif.DecodeConfig(io.TeeReader(r, &head))
	if err != nil {
		return nil, err
	}
	frame, err := gif.Decode(io.MultiReader(&head, r))
	if err != nil {
		return nil, err
	}
	whole := image.Rect(0, 0, config.Width, config.Height)
	if frame.Bounds() == whole {
		return frame, nil
	}
	canvas := image.NewNRGBA(whole)
	draw.Draw(canvas, frame.Bounds(), frame, frame.Bounds().Min, draw.Src)
	return canvas, nil
}

// decodeWebP reads a WebP picture. The colours of a lossy one have the range of video
// (BT.601: black is 16, white 235), which package webp hands on as if it were that of
// JPEG: it would show a white background as light grey.
func decodeWebP(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	switch p := img.(type) {
	case *image.YCbCr:
		widenRange(p)
	case *image.NYCbCrA:
		widenRange(&p.YCbCr)
	}
	return img, err
}

// widenRange turns colours in the range of video to that of JPEG, 0 to 255.
func widenRange(p *image.YCbCr) {
	stretch := func(plane []byte, from, to, span float64) { // from becomes to
		var levels [256]byte
		for v := range levels {
			levels[v] = byte(math.Round(min(max((float64(v)-from)*255/span+to, 0), 255)))
		}
		for i, v := range plane {
			plane[i] = levels[v]
		}
	}
	stretch(p.Y, 16, 0, 235-16)
	stretch(p.Cb, 128, 128, 240-16)
	stretch(p.Cr, 128, 128, 240-16)
}

// orientation returns the EXIF orientation of a picture, 1 to 8, and 1 if there is
// none that is readable.
func (f *format) orientation(r io.ReadSeeker) int {
	if _, err := r.Seek(0, io.SeekStart); err != nil || f.exif == 0 {
		return 1
	}
	found := 1
	_, err := imagemeta.Decode(imagemeta.Options{
		R: r, ImageFormat: f.exif, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return tag.Tag == "Orientation" && tag.Namespace == "IFD0" },
		HandleTag: func(tag imagemeta.TagInfo) error {
			if value, ok := tag.Value.(uint16); ok && value >= 1 && value <= 8 {
				found = int(value)
			}
			return imagemeta.ErrStopWalking
		},
	})
	if err != nil {
		return 1
	}
	return found
}

// orient turns a picture as stored so that it is upright. Of the eight EXIF
// orientations, 5 to 8 exchange rows and columns, and half of them mirror either.
func orient(img image.Image, orientation int) image.Image {
	if orientation == 1 {
		return img
	}
	stored := flatten(img)
	w, h := stored.Rect.Dx(), stored.Rect.Dy()
	exchange := orientation >= 5
	mirrorX := slices.Contains([]int{2, 3, 7, 8}, orientation)
	mirrorY := slices.Contains([]int{3, 4, 6, 7}, orientation)
	upright := image.NewRGBA(image.Rect(0, 0, w, h))
	if exchange {
		upright = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range upright.Rect.Dy() {
		for x := range upright.Rect.Dx() {
			fromX, fromY := x, y
			if exchange {
				fromX, fromY = y, x
			}
			if mirrorX {
				fromX = w - 1 - fromX
			}
			if mirrorY {
				fromY = h - 1 - fromY
			}
			upright.SetRGBA(x, y, stored.RGBAAt(fromX, fromY))
		}
	}
	return upright
}
