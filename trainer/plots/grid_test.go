package plots

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

const imageSide = 28

// square is the shape of a grey image of that side.
var square = dataset.Shape{H: imageSide, W: imageSide, C: 1}

// greyCells returns cells of the given greys.
func greyCells(greys ...byte) []Cell {
	var cells []Cell
	for _, g := range greys {
		cells = append(cells, Cell{Image: dataset.Picture(bytes.Repeat([]byte{g}, imageSide*imageSide), square)})
	}
	return cells
}

func TestGrid(t *testing.T) {
	g := Grid{Cells: greyCells(100, 150, 200), Columns: 2}
	g.Cells[2].Image.(*image.Gray).Pix[imageSide+2] = 7 // row 1, column 2
	g.Cells[1].Frame = orange
	g.Cells[0].Caption, g.Cells[2].Caption = "Ankle boot", "two\nlines"
	b, err := g.PNG()
	picture := decode(t, b, err)
	places := g.layout(Scale).places
	if len(places) != 3 || places[0].Dx() != Scale*gridCell || places[1].Min.Y != places[0].Min.Y || places[2].Min.X != places[0].Min.X {
		t.Fatalf("places %v, want two columns", places)
	}
	middle := func(r image.Rectangle) image.Point { return r.Min.Add(r.Max).Div(2) }
	pixel := Scale * gridCell / imageSide
	for _, c := range []struct {
		at   image.Point
		want color.Color
	}{
		{image.Pt(0, 0), color.White},
		{middle(places[0]), color.Gray{Y: 100}},
		{middle(places[1]), color.Gray{Y: 150}},
		{middle(places[2]), color.Gray{Y: 200}},
		{places[2].Min.Add(image.Pt(2*pixel, pixel)), color.Gray{Y: 7}},
		{places[2].Min.Add(image.Pt(3*pixel, pixel)), color.Gray{Y: 200}},
		{places[1].Min.Sub(image.Pt(1, 1)), orange},
		{places[0].Min.Sub(image.Pt(1, 1)), color.White},
	} {
		gr, gg, gb, _ := picture.At(c.at.X, c.at.Y).RGBA()
		if wr, wg, wb, _ := c.want.RGBA(); gr != wr || gg != wg || gb != wb {
			t.Errorf("pixel %v is %v, want %v", c.at, picture.At(c.at.X, c.at.Y), c.want)
		}
	}
	caption := image.Rect(places[0].Min.X, places[0].Max.Y, places[0].Max.X, places[2].Min.Y)
	if n := dark(picture, caption); n < 100 {
		t.Errorf("%d dark pixels where the first caption should be", n)
	}
}

// dark counts the pixels of text in a part of a picture.
func dark(picture image.Image, in image.Rectangle) int {
	n := 0
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			if r, _, _, _ := picture.At(x, y).RGBA(); r < 0x8000 {
				n++
			}
		}
	}
	return n
}

// Captions are neither cut nor overlap others, even with long class names.
func TestCaptionsNeverCollide(t *testing.T) {
	for _, name := range []string{
		"Ankle boot 99.98\u00a0%", "a name of many short words that goes on and on",
		"Donaudampfschifffahrtsgesellschaftskapitän", "path/to/some/class_folder-of.a/data/set", "狗狗狗狗狗狗狗狗狗狗狗狗狗狗狗狗狗狗",
		strings.Repeat("W", 200),
	} {
		g := Grid{Cells: greyCells(255, 255, 255, 255), Columns: 2}
		g.Cells[0].Caption = name
		l := g.layout(Scale)
		var letters []string
		for _, line := range l.captions[0] {
			letters = append(letters, strings.ReplaceAll(line, " ", ""))
			if width := captionStyle.Width(line); width > l.points(Scale*(gridCell+gridGap)) {
				t.Errorf("%q is %v wide", line, width)
			}
		}
		if got, want := strings.Join(letters, ""), strings.ReplaceAll(name, " ", ""); got != want {
			t.Errorf("the caption reads %q, want %q", got, want)
		}
		if room := l.places[2].Min.Y - l.places[0].Max.Y; l.points(room) < vg.Length(len(letters))*lineHeight(captionStyle) {
			t.Errorf("%d lines have %d pixels", len(letters), room)
		}
		b, err := g.PNG()
		picture := decode(t, b, err)
		if n := dark(picture, image.Rect(l.places[1].Min.X, 0, l.width, l.height)); n > 0 {
			t.Errorf("%q: %d pixels of its caption are under the next image", name, n)
		}
		if n := dark(picture, image.Rect(0, l.places[2].Min.Y, l.width, l.height)); n > 0 {
			t.Errorf("%q: %d pixels of its caption are in the next row", name, n)
		}
	}
}

// Images keep their proportions, in the middle of a place that is no higher than they
// need.
func TestGridOfOblongImages(t *testing.T) {
	for _, c := range []struct {
		shape  dataset.Shape
		width  int
		height int
	}{
		{dataset.Shape{H: 20, W: 26, C: 1}, 224, 172}, {dataset.Shape{H: 32, W: 16, C: 3}, 112, 224},
		{dataset.Shape{H: 1, W: 1000, C: 1}, 224, 1}, {dataset.Shape{H: 600, W: 300, C: 3}, 112, 224},
	} {
		g := Grid{Columns: 3}
		for range 3 {
			cell := Cell{Image: dataset.Picture(bytes.Repeat([]byte{90}, c.shape.Len()), c.shape), Frame: orange}
			g.Cells = append(g.Cells, cell)
		}
		b, err := g.PNG()
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := count(picture, color.Gray{Y: 90}), 3*c.width*c.height; got != want {
			t.Errorf("images of %v take %d pixels, want %d", c.shape, got, want)
		}
		frame := 2*gridFrame*Scale*(c.width+c.height) + 4*gridFrame*gridFrame*Scale*Scale
		if got := count(picture, orange); got != 3*frame {
			t.Errorf("frames of %v take %d pixels, want %d", c.shape, got, 3*frame)
		}
		if got, want := picture.Bounds().Dy(), g.layout(Scale).places[0].Min.Y*2+c.height; got != want {
			t.Errorf("the picture of %v is %d pixels high, want %d", c.shape, got, want)
		}
	}
}

// An image with more pixels than its place keeps its thin lines.
func TestGridOfLargeImages(t *testing.T) {
	pixels := make([]byte, 1000*1000)
	for i := range pixels {
		pixels[i] = byte(255 * (i % 2)) // columns of black and white
	}
	g := Grid{Cells: []Cell{{Image: dataset.Picture(pixels, dataset.Shape{H: 1000, W: 1000, C: 1})}}, Columns: 1}
	b, err := g.PNG()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got := middle(picture, g.layout(Scale), 0); got < 110 || got > 145 {
		t.Errorf("a pattern of black and white looks like grey %d, want 127", got)
	}
}

// Thousands of cells are drawn at half the resolution of a few, at the same size
// on paper.
func TestGridOfMany(t *testing.T) {
	g := Grid{Columns: 40}
	for range 400 {
		g.Cells = append(g.Cells, greyCells(9)...)
	}
	b, err := g.PNG()
	many := decode(t, b, err)
	if got, want := many.Bounds().Dx(), g.layout(1).width; got != want {
		t.Errorf("%d pixels wide, want %d", got, want)
	}
	if got, want := resolution(t, b), uint32(4331); got != want { // 110 dpi
		t.Errorf("%d pixels for each metre, want %d", got, want)
	}
	few := Grid{Cells: greyCells(1, 2, 3), Columns: 3}
	b, err = few.PNG()
	decode(t, b, err)
	if got, want := resolution(t, b), uint32(8661); got != want { // 220 dpi
		t.Errorf("%d pixels for each metre, want %d", got, want)
	}
}

// resolution reads a PNG's pHYs chunk.
func resolution(t *testing.T, b []byte) uint32 {
	t.Helper()
	at := bytes.Index(b, []byte("pHYs"))
	if at != 8+25+4 {
		t.Fatalf("pHYs is at %d, want it after the header", at)
	}
	if b[at+4+8] != 1 || !slices.Equal(b[at+4:at+8], b[at+8:at+12]) {
		t.Fatalf("pHYs is % x", b[at+4:at+13])
	}
	return binary.BigEndian.Uint32(b[at+4:])
}

// A palette makes no visible difference, and pictures of many shades get none.
func TestCompact(t *testing.T) {
	smooth := image.NewRGBA(image.Rect(0, 0, 256, 256))
	for i := range 256 * 256 {
		smooth.SetRGBA(i%256, i/256, color.RGBA{uint8(i % 256), uint8(i / 256), 90, 255})
	}
	if compact(smooth) != image.Image(smooth) {
		t.Error("a smooth picture got a palette")
	}
	b, err := Grid{Cells: greyCells(1, 90, 200), Columns: 3}.PNG()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := picture.(*image.Paletted); !ok {
		t.Errorf("three greys are a %T", picture)
	}
}
