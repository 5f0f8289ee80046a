package plots

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
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
	if size := picture.Bounds().Size(); size.X < 500 || size.Y < 150 {
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

// predictions are of 90 images that are grey by their class, every ninth wrong
// and the later ones surer of it.
func predictions() (images, labels []byte, probabilities []float32) {
	const n = 90
	probabilities = make([]float32, n*metrics.Classes)
	for i := range n {
		label := i % metrics.Classes
		images, labels = append(images, bytes.Repeat([]byte{byte(20 * label)}, dataset.ImageBytes)...), append(labels, byte(label))
		said := label
		if i%9 == 0 {
			said = (label + 1) % metrics.Classes
		}
		probabilities[i*metrics.Classes+said] = .6 + float32(i)/300
		probabilities[i*metrics.Classes+(said+1)%metrics.Classes] = .4 - float32(i)/300
	}
	return images, labels, probabilities
}

// grey returns the middle of cell i of a grid of ten columns with so many lines
// of captions.
func grey(picture image.Image, i, lines int) uint8 {
	x := gridMargin + i%10*(gridCell+gridMargin) + gridCell/2
	y := gridMargin + i/10*(gridCell+lines*gridLine+gridMargin) + gridCell/2
	return color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y
}

// Every column is a class, and the frames are as many as the predictions.
func TestSamples(t *testing.T) {
	b, err := Samples(predictions())
	picture := decode(t, b, err)
	for class := range metrics.Classes {
		if got := grey(picture, class+10, 2); got != byte(20*class) {
			t.Errorf("column %d has an image of grey %d, want %d", class, got, 20*class)
		}
	}
	right, wrong := count(picture, rightColour), count(picture, wrongColour)
	if share := float64(wrong) / float64(right+wrong); !(share > .1 && share < .15) { // 5 of 40
		t.Errorf("%d and %d pixels frame right and wrong predictions", right, wrong)
	}
}

// The surest mistake comes first, right predictions not at all.
func TestMisclassified(t *testing.T) {
	images, labels, probabilities := predictions()
	b, err := Misclassified(images, labels, probabilities)
	picture := decode(t, b, err)
	for i, want := range []int{81, 72, 63, 54, 45, 36, 27, 18, 9, 0} {
		if got := grey(picture, i, 3); got != byte(20*(want%10)) {
			t.Errorf("place %d has grey %d, want that of image %d", i, got, want)
		}
	}
	if height := picture.Bounds().Dy(); height > 2*gridCell {
		t.Errorf("%d pixels high, want one row", height)
	}
	perfect := make([]float32, len(probabilities))
	for i, label := range labels {
		perfect[i*metrics.Classes+int(label)] = 1
	}
	if _, err := Misclassified(images, labels, perfect); err != nil {
		t.Errorf("without mistakes: %v", err)
	}
}

// The largest weight is red, its negative blue, and zero neither.
func TestFilters(t *testing.T) {
	weights := make([]float32, 20*9)
	weights[4], weights[9+4] = 2, -2
	b, err := Filters(weights, 20, 3, 3)
	picture := decode(t, b, err)
	at := func(i int) (r, b uint32) {
		r, _, b, _ = picture.At(gridMargin+i*(gridCell+gridMargin)+gridCell/2, gridMargin+gridCell/2).RGBA()
		return r, b
	}
	if r, b := at(0); r < 2*b {
		t.Errorf("the positive weight has red %d and blue %d", r, b)
	}
	if r, b := at(1); b < 2*r {
		t.Errorf("the negative weight has red %d and blue %d", r, b)
	}
	if r, b := at(2); max(r, b)-min(r, b) > 0x500 {
		t.Errorf("the weight 0 has red %d and blue %d", r, b)
	}
	if _, err := Filters(make([]float32, 10*784), 10, 28, 28); err != nil {
		t.Errorf("weights of 0: %v", err)
	}
}

// Heat colours the image where it is hot alone.
func TestGradCAM(t *testing.T) {
	a := Attention{Image: make([]byte, dataset.ImageBytes), Heat: make([]float32, dataset.ImageBytes), Right: true}
	for i := range a.Heat[:dataset.ImageBytes/2] {
		a.Heat[i] = 1
	}
	b, err := GradCAM([]Attention{a, a, a, a, a, a, a, a, a, a, a})
	picture := decode(t, b, err)
	x := gridMargin + gridCell + gridMargin + gridCell/2 // the second cell
	if r, _, b, _ := picture.At(x, gridMargin+gridCell/4).RGBA(); r < 0x8000 || b > 0x2000 {
		t.Errorf("the hot half has red %x and blue %x", r, b)
	}
	if r, _, _, _ := picture.At(x, gridMargin+gridCell*3/4).RGBA(); r != 0 {
		t.Errorf("the cold half has red %x, want the black image", r)
	}
}

// A bar twice as high has twice the pixels.
func TestClassF1(t *testing.T) {
	area := func(f1 float64) int {
		classes := make([]metrics.ClassMetrics, metrics.Classes)
		for c := range classes {
			classes[c] = metrics.ClassMetrics{Name: dataset.ClassNames[c], F1: f1}
		}
		b, err := ClassF1(classes)
		return count(decode(t, b, err), trainColour)
	}
	if half, whole := area(.45), area(.9); !(math.Abs(float64(whole)/float64(half)-2) < .1) {
		t.Errorf("bars of .45 and .9 have %d and %d pixels", half, whole)
	}
}

// One seed or several, with and without the original's figure.
func TestModels(t *testing.T) {
	none := math.NaN()
	b, err := Models([]Model{
		{Name: "main_no_aug", Accuracies: []float64{.93, .92, .925}, Mean: .925, Low: .91, High: .94, Original: .9271, Seconds: 94},
		{Name: "logistic", Accuracies: []float64{.67}, Mean: .67, Low: none, High: none, Seconds: 1},
	})
	picture := decode(t, b, err)
	if original, bars := count(picture, valColour), count(picture, trainColour); original < 50 || bars < 500 {
		t.Errorf("%d pixels of the original's mark, %d of bars", original, bars)
	}
}

// Errors close together have numbers at their axis, and an interval that
// reaches beyond 100 % leaves room for the rest.
func TestModelsAxis(t *testing.T) {
	for _, r := range [][2]float64{{10.6, 11.3}, {15.9, 17}, {7, 35}, {.004, 90}} {
		marked := 0
		for _, tick := range (errorTicks{}).Ticks(r[0], r[1]) {
			if tick.Label != "" && tick.Value >= r[0] && tick.Value <= r[1] {
				marked++
			}
		}
		if marked < 2 {
			t.Errorf("%d numbers from %v to %v %%", marked, r[0], r[1])
		}
	}
	if got := leastError(Model{Mean: .92875, Accuracies: []float64{.923, .9345}}); !(math.Abs(got-6.55/2) < 1e-9) {
		t.Errorf("the interval is drawn to %v, want half of 6.55", got)
	}
}

func TestRunCurves(t *testing.T) {
	b, err := RunCurves([]Series{
		{"lr 0.01", []Epoch{{ValLoss: .5, ValAccuracy: .8}, {ValLoss: .4, ValAccuracy: .85}}},
		{"lr 0.001", []Epoch{{ValLoss: .4, ValAccuracy: .85}, {ValLoss: .3, ValAccuracy: .9}, {ValLoss: math.NaN(), ValAccuracy: .9}}},
		{"nothing", []Epoch{{ValLoss: math.NaN(), ValAccuracy: math.Inf(1)}}},
	}, "test")
	picture := decode(t, b, err)
	for i := range 2 {
		if n := count(picture, SeriesColours[i]); n < 200 {
			t.Errorf("line %d has %d pixels", i, n)
		}
	}
}
