package main

import (
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// isolateCache gives the test and the programs that it runs a cache folder of their own.
func isolateCache(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

// stripe returns a picture of a light stripe on a dark ground, of which the class decides
// the height and i some of the pixels. A colour is a tint of all of it.
func stripe(side, class, i int, tint color.Color) *image.RGBA {
	p := image.NewRGBA(image.Rect(0, 0, side, side))
	r, g, b, _ := tint.RGBA()
	for y := range side {
		for x := range side {
			level := uint32(10 + (x*7+y*3+i*11)%20)
			if y >= side/6+class*side/5 && y < side/6+class*side/5+side/6 {
				level = uint32(200 + (x+i)%50)
			}
			p.SetRGBA(x, y, color.RGBA{uint8(level * r >> 16), uint8(level * g >> 16), uint8(level * b >> 16), 255})
		}
	}
	return p
}

// writePicture writes a PNG.
func writePicture(t *testing.T, path string, p image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(file, p); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// stripeClasses are the classes of writeClassFolders.
var stripeClasses = []string{"high", "low", "middle"}

// writeClassFolders writes n pictures of stripes in each of three class folders.
func writeClassFolders(t *testing.T, dir string, side, n int, tints ...color.Color) {
	t.Helper()
	height := map[string]int{"high": 0, "middle": 1, "low": 2}
	for _, class := range stripeClasses {
		for i := range n {
			writePicture(t, filepath.Join(dir, class, strconv.Itoa(i)+".png"), stripe(side, height[class], i, tints[i%len(tints)]))
		}
	}
}

// writeIDX writes an IDX file of bytes.
func writeIDX(t *testing.T, path string, data []byte, shape ...int) {
	t.Helper()
	content := []byte{0, 0, 8, byte(len(shape))}
	for _, extent := range shape {
		content = binary.BigEndian.AppendUint32(content, uint32(extent))
	}
	writeFile(t, path, string(append(content, data...)))
}

// writeLetters writes a dataset in MNIST's format: 26 classes, images of 20×16 with one
// light row or column per class.
func writeLetters(t *testing.T, dir string, train, test int) {
	t.Helper()
	const h, w, classes = 20, 16, 26
	for name, n := range map[string]int{"train": train, "t10k": test} {
		images, labels := make([]byte, n*h*w), make([]byte, n)
		for i := range n {
			class := i % classes
			labels[i] = byte(class)
			for j := range max(h, w) {
				switch {
				case class < h && j < w:
					images[i*h*w+class*w+j] = byte(180 + i%50)
				case class >= h && j < h:
					images[i*h*w+j*w+2*(class-h)] = byte(180 + i%50)
				}
			}
		}
		writeIDX(t, filepath.Join(dir, name+"-images-idx3-ubyte"), images, n, h, w)
		writeIDX(t, filepath.Join(dir, name+"-labels-idx1-ubyte"), labels, n)
	}
}
