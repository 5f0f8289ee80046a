package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, name string) image.Image {
	t.Helper()
	img, err := Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// worst returns the largest difference of two pictures' bytes.
func worst(t *testing.T, got, want []byte) int {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d bytes, want %d", len(got), len(want))
	}
	most := 0
	for i, v := range got {
		most = max(most, int(v)-int(want[i]), int(want[i])-int(v))
	}
	return most
}

func TestIsPicture(t *testing.T) {
	for name, want := range map[string]bool{
		"a.png": true, "b/a.JPG": true, "a.Jpeg": true, "a.gif": true, "a.b.WEBP": true,
		"a.bmp": false, "png": false, ".png": false, "a.png.txt": false, "b/._a.jpg": false, "": false,
	} {
		if IsPicture(name) != want {
			t.Errorf("IsPicture(%q) = %v", name, !want)
		}
	}
}

// Pictures are decoded as Pillow does: exactly, but for partial transparency (other
// rounding) and lossy formats (another inverse DCT). Lossy WebP has chroma of half the
// resolution, which Pillow's decoder interpolates and Go's does not.
func TestPillow(t *testing.T) {
	for _, c := range []struct {
		name      string
		rgb, grey int // bounds of the largest difference
		grayscale bool
	}{
		{name: "colour.png"},
		{name: "palette.png"},
		{name: "grey16.png", grayscale: true},
		{name: "lossless.webp"},
		{name: "animated.gif"},
		{name: "alpha.png", rgb: 1, grey: 1},
		{name: "lossless_alpha.webp", rgb: 1, grey: 1},
		{name: "grey.jpg", rgb: 1, grey: 1, grayscale: true},
		{name: "colour.jpg", rgb: 2, grey: 1},
		{name: "progressive.jpg", rgb: 2, grey: 1},
		{name: "cmyk.jpg", rgb: 2, grey: 1},
		{name: "lossy.webp", rgb: 6, grey: 2},
		{name: "lossy_alpha.webp", rgb: 6, grey: 2},
		{name: "black_white.webp", grayscale: true},
	} {
		img := open(t, c.name)
		stem := strings.ReplaceAll(c.name, ".", "_")
		if d := worst(t, Bytes(img, 3), Bytes(open(t, stem+".rgb.png"), 3)); d > c.rgb {
			t.Errorf("%s: colours differ by %d from Pillow's, want at most %d", c.name, d, c.rgb)
		}
		if d := worst(t, Bytes(img, 1), Bytes(open(t, stem+".grey.png"), 1)); d > c.grey {
			t.Errorf("%s: greys differ by %d from Pillow's, want at most %d", c.name, d, c.grey)
		}
		if IsGray(img) != c.grayscale {
			t.Errorf("%s: IsGray is %v", c.name, !c.grayscale)
		}
	}
}

func TestOrientation(t *testing.T) {
	want := Bytes(open(t, "upright.png"), 1)
	files, err := filepath.Glob("testdata/orientation_*")
	if err != nil || len(files) != 10 {
		t.Fatalf("%d pictures, want 10: %v", len(files), err)
	}
	for _, path := range files {
		img, err := Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if size := img.Bounds().Size(); size != image.Pt(24, 16) {
			t.Errorf("%s: %v, want (24,16)", path, size)
		} else if d := worst(t, Bytes(img, 1), want); d > 3 {
			t.Errorf("%s differs by %d from the upright picture, want at most 3", path, d)
		}
	}
}

// The first frame of a GIF may be smaller than the picture.
func TestPartialFrame(t *testing.T) {
	frame := image.NewPaletted(image.Rect(2, 1, 4, 3), color.Palette{color.Black, color.White})
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{frame}, Delay: []int{0}, Config: image.Config{Width: 5, Height: 4}}); err != nil {
		t.Fatal(err)
	}
	img, err := Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	const w = 255
	if got, want := Bytes(img, 1), []byte{w, w, w, w, w, w, w, 0, 0, w, w, w, 0, 0, w, w, w, w, w, w}; !bytes.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// pngHeader returns the start of a PNG of a size.
func pngHeader(w, h uint32) []byte {
	chunk := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	chunk = append(binary.BigEndian.AppendUint32(chunk, h), 8, 0, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	jpegHeader := func(w, h byte) []byte {
		return []byte{0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, h, 0, w, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8}
	}
	corrupt := bytes.Clone(read("colour.png"))
	corrupt[60] ^= 0xff
	half := func(name string) []byte { b := read(name); return b[:len(b)/2] }
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty.png":     {nil, "an empty file, not a picture"},
		"text.png":      {[]byte("hello"), "not a PNG, JPEG, GIF or WebP picture"},
		"bitmap.jpg":    {append([]byte("BM"), make([]byte, 100)...), "not a PNG, JPEG, GIF or WebP picture"},
		"sound.webp":    {[]byte("RIFF\x00\x00\x00\x00WAVEfmt "), "not a PNG, JPEG, GIF or WebP picture"},
		"huge.png":      {pngHeader(40000, 40000), "40000×40000 pixels are too many: at most 64 million are read"},
		"long.png":      {pngHeader(64_000_001, 1), "64000001×1 pixels are too many: at most 64 million are read"},
		"short.png":     {pngHeader(4, 4), "damaged PNG: it ends early"},
		"narrow.png":    {pngHeader(0, 4), "damaged PNG: non-positive dimension"},
		"flat.jpg":      {jpegHeader(5, 0), "damaged JPEG: a size of 5×0 pixels"},
		"half.png":      {half("colour.png"), "damaged PNG: not enough pixel data"},
		"half.jpg":      {half("colour.jpg"), "damaged JPEG: it ends early"},
		"half.gif":      {half("animated.gif"), "damaged GIF: "},
		"half.webp":     {half("lossy.webp"), "damaged WebP: "},
		"lossless.webp": {half("lossless.webp"), "damaged WebP: "},
		"magic.webp":    {read("lossy.webp")[:12], "damaged WebP: "},
		"magic.jpg":     {[]byte{0xff, 0xd8, 0xff}, "damaged JPEG: it ends early"},
		"corrupt.png":   {corrupt, "damaged PNG: "},
		"animated.webp": {read("animated.webp"), "an animated WebP picture: only still ones are read"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.content, 0o666); err != nil {
			t.Fatal(err)
		}
		img, err := Open(path)
		if err == nil || img != nil || !strings.HasPrefix(err.Error(), path+": "+c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := Open(dir); err == nil || err.Error() != dir+": a folder, not a picture" {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(os.DevNull); err == nil || err.Error() != os.DevNull+": not a regular file" {
		t.Errorf("a device: %v", err)
	}
}

// A JPEG of many scans, each of which costs time for the whole picture, is refused; one
// of a few is read.
func TestManyScans(t *testing.T) {
	// Grey and progressive, with one Huffman table of one code: an end of band.
	head := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	head = append(head, bytes.Repeat([]byte{1}, 64)...)
	head = append(head, 0xff, 0xc2, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0) // 8×8
	head = append(head, 0xff, 0xc4, 0, 20, 0x10, 1)
	head = append(head, make([]byte, 16)...)
	scan := []byte{0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0, 0x7f} // coefficients 1 to 63, none set
	for _, n := range []int{3, mostScans, mostScans + 1} {
		b := append(append(bytes.Clone(head), bytes.Repeat(scan, n)...), 0xff, 0xd9)
		_, err := Decode(bytes.NewReader(b))
		if n > mostScans {
			if err == nil || err.Error() != "unsupported JPEG: more than 100 scans" {
				t.Errorf("%d scans: %v", n, err)
			}
		} else if err != nil {
			t.Errorf("%d scans: %v", n, err)
		}
	}
}

// A decoder that panics is caught.
func TestPanic(t *testing.T) {
	f := format{name: "PNG", config: png.DecodeConfig, decode: nil}
	if img, err := f.read(bytes.NewReader(pngHeader(4, 4)), MaxPixels); err == nil || img != nil || !strings.HasPrefix(err.Error(), "damaged PNG: ") {
		t.Errorf("%v, %v", img, err)
	}
}

// The content says what a picture is, not its name.
func TestWrongExtension(t *testing.T) {
	b, err := os.ReadFile("testdata/colour.jpg")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "colour.png")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if img, err := Open(path); err != nil || img.Bounds().Size() != image.Pt(32, 24) {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add(pngHeader(300, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if format, err := recognise(bytes.NewReader(b)); err == nil {
			if config, err := format.config(bytes.NewReader(b)); err == nil && int64(config.Width)*int64(config.Height) > 1<<18 {
				t.Skip("would fill the memory of parallel workers")
			}
		}
		img, err := Decode(bytes.NewReader(b))
		if err != nil {
			if img != nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v with error %q", img, err)
			}
			return
		}
		if img.Bounds().Empty() {
			t.Fatal("no pixels")
		}
		for _, framing := range []Framing{FrameCrop, FrameObject} {
			for _, c := range []int{1, 3} {
				if n := len(Input(img, framing, InvertAuto, 12, 9, c)); n != 12*9*c {
					t.Fatalf("%d bytes", n)
				}
			}
		}
	})
}

// jpegOf writes a picture as JPEG and reads it again.
func jpegOf(t *testing.T, img image.Image, quality int) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	read, err := Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return read
}
