package canvas

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"
	"testing"
)

func newCanvas() *Canvas {
	c := &Canvas{Atlas: NewAtlas()}
	c.Reset(100, 100)
	return c
}

// positions returns the vertices' places in the frame and in the atlas.
func positions(c *Canvas) (list [][4]float64) {
	for at := 0; at < len(c.Vertices); at += VertexBytes {
		var v [4]float64
		for i := range v {
			v[i] = float64(math.Float32frombits(binary.NativeEndian.Uint32(c.Vertices[at+4*i:])))
		}
		list = append(list, v)
	}
	return list
}

// covered returns the area of the triangles.
func covered(c *Canvas) float64 {
	sum, p := 0., positions(c)
	for i := 0; i+2 < len(p); i += 3 {
		sum += math.Abs((p[i+1][0]-p[i][0])*(p[i+2][1]-p[i][1])-(p[i+2][0]-p[i][0])*(p[i+1][1]-p[i][1])) / 2
	}
	return sum
}

func TestShapes(t *testing.T) {
	c := newCanvas()
	c.Rectangle(10, 20, 30, 5, RGB(0x102030))
	if got := covered(c); got != 150 {
		t.Errorf("a rectangle of 30×5 covers %v", got)
	}
	if got := [4]byte(c.Vertices[16:20]); got != [4]byte{0x10, 0x20, 0x30, 255} {
		t.Errorf("colour %v", got)
	}
	c.Reset(100, 100)
	c.Frame(0, 0, 20, 10, 1, RGB(0))
	if got := covered(c); got != 56 {
		t.Errorf("a frame of 20×10 covers %v, want its 56 pixels", got)
	}
	c.Reset(100, 100)
	c.Line([]float64{0, 0, 30, 40}, 3, RGB(0)) // a core of 2 pixels, and two edges of 1 that fade
	if got := covered(c); !(math.Abs(got-50*4) <= 1e-3) {
		t.Errorf("a line 50 long covers %v, want 200", got)
	}
	c.Reset(100, 100)
	c.Line([]float64{0, 0, 10, math.NaN(), 20, 0, 20, 0}, 1, RGB(0))
	if len(c.Vertices) != 0 {
		t.Error("a line over a gap, or without length, is drawn")
	}
}

// A text's letters are where its width says, and drawn once in the atlas.
func TestText(t *testing.T) {
	c := newCanvas()
	f := Font{Size: 20}
	width := c.Text(10, 50, f, RGB(0xFFFFFF), "Hello, g")
	if want := c.TextWidth(f, "Hello, g"); width != want || width < 50 || width > 100 {
		t.Errorf("width %v, TextWidth %v", width, want)
	}
	letters := len(c.Vertices) / (6 * VertexBytes)
	if letters != 7 { // the space is empty
		t.Errorf("%d letters are drawn, want 7", letters)
	}
	above, below := false, false
	for _, p := range positions(c) {
		if !(p[0] >= 9 && p[0] <= 11+width) || p[0] != math.Round(p[0]) || p[1] != math.Round(p[1]) {
			t.Errorf("a letter at %v, %v", p[0], p[1])
		}
		above, below = above || p[1] < 40, below || p[1] > 51
	}
	if !above || !below {
		t.Error("H does not rise above the baseline, or g does not hang below it")
	}
	if c.Atlas.Dirty().Empty() {
		t.Error("the atlas has not changed")
	}
	c.Text(10, 50, f, RGB(0xFFFFFF), "Hello, g")
	if !c.Atlas.Dirty().Empty() {
		t.Error("the letters are drawn again")
	}
	ink := 0
	for i := 3; i < len(c.Atlas.Pixels.Pix); i += 4 {
		if c.Atlas.Pixels.Pix[i] > 128 {
			ink++
		}
	}
	if ink < 100 {
		t.Errorf("the letters have %d dark texels", ink)
	}
}

func TestFitted(t *testing.T) {
	c := newCanvas()
	f := Font{Size: 12}
	for _, width := range []float64{0, 5, 20, 60, 1000} {
		got := c.Fitted(f, "a text that is rather long", width)
		if c.TextWidth(f, got) > width || width == 1000 && got != "a text that is rather long" || width == 60 && got == "" {
			t.Errorf("%q for %v pixels", got, width)
		}
	}
}

// Pictures are drawn once for a key, until they are forgotten; one too many is left out.
func TestPictures(t *testing.T) {
	c := newCanvas()
	made := 0
	show := func(key any, side int) {
		c.Picture(0, 0, 10, 10, key, func() image.Image {
			made++
			img := image.NewRGBA(image.Rect(0, 0, side, side))
			img.SetRGBA(0, 0, color.RGBA{1, 2, 3, 255})
			return img
		})
	}
	show("a", 28)
	show("a", 28)
	if p := positions(c); made != 1 || len(p) != 12 || p[0] != p[6] {
		t.Fatalf("made %d times, %d vertices", made, len(p))
	}
	at := positions(c)[0]
	if got := c.Atlas.Pixels.RGBAAt(int(at[2]), int(at[3])); got != (color.RGBA{1, 2, 3, 255}) {
		t.Errorf("the atlas has %v", got)
	}
	drawn := len(c.Vertices)
	show("large", AtlasSize)
	if len(c.Vertices) != drawn {
		t.Error("a picture without room is drawn")
	}
	c.Atlas.Forget()
	for i := range 2000 {
		show(i, 28)
	}
	if made != 2002 {
		t.Errorf("made %d pictures, want 2002", made)
	}
}
