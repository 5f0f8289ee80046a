package plots

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// decode returns a picture, which must be a PNG of some size.
func decode(t *testing.T, b []byte, err error) image.Image {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X < 500 || size.Y < 300 {
		t.Fatalf("%v pixels are too few to read", size)
	}
	return picture
}

// count returns how many pixels are about of a colour.
func count(picture image.Image, want color.Color) int {
	n := 0
	wr, wg, wb, _ := want.RGBA()
	near := func(a, b uint32) bool { return a>>8+8 >= b>>8 && b>>8+8 >= a>>8 }
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			if r, g, b, _ := picture.At(x, y).RGBA(); near(r, wr) && near(g, wg) && near(b, wb) {
				n++
			}
		}
	}
	return n
}

// Both lines are there, and a run of one epoch can be drawn.
func TestCurves(t *testing.T) {
	epochs := []Epoch{{.9, .6, .7, .75}, {.5, .5, .8, .82}, {.3, .55, .9, .81}}
	for n := 1; n <= len(epochs); n++ {
		b, err := Curves(epochs[:n], "val", min(n, 2))
		picture := decode(t, b, err)
		if train, val := count(picture, trainColour), count(picture, valColour); train < 20 || val < 100 {
			t.Errorf("%d epochs: %d and %d pixels of the lines' colours", n, train, val)
		}
	}
}

// A perfect classifier's matrix is dark on the diagonal alone, a tenth of each
// of the two heat maps.
func TestConfusionMatrix(t *testing.T) {
	var perfect [metrics.Classes][metrics.Classes]int
	for c := range perfect {
		perfect[c][c] = 7
	}
	b, err := ConfusionMatrix(perfect)
	picture := decode(t, b, err)
	scale := blues{}.Colors()
	dark := count(picture, scale[len(scale)-1])
	size := picture.Bounds().Size()
	if share := float64(dark) / float64(size.X*size.Y); share < .03 || share > .1 {
		t.Errorf("%.3f of the picture is dark, want the diagonals", share)
	}
	b, err = ConfusionMatrix([metrics.Classes][metrics.Classes]int{}) // a test set of nothing
	if dark := count(decode(t, b, err), scale[len(scale)-1]); dark > 1000 {
		t.Errorf("%d dark pixels in an empty matrix", dark)
	}
}

// Every class that occurs has its line.
func TestROC(t *testing.T) {
	const n = 400
	labels, probabilities := make([]byte, n), make([]float32, n*metrics.Classes)
	for i := range labels {
		labels[i] = byte(i % (metrics.Classes - 1)) // no ankle boots
		for c := range metrics.Classes {
			probabilities[i*metrics.Classes+c] = float32((i*7+c*13)%97) / 970
		}
		probabilities[i*metrics.Classes+int(labels[i])] += float32(i%5) / 50
	}
	b, err := ROC(labels, probabilities)
	picture := decode(t, b, err)
	for c, colour := range classColours[:metrics.Classes-1] {
		if count(picture, colour) < 30 {
			t.Errorf("class %d has no line", c)
		}
	}
}
