package plots

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

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

// count returns how many pixels have about the given colour.
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

// All lines are drawn, also for a run of one epoch.
func TestCurves(t *testing.T) {
	epochs := []Epoch{{.9, .6, .7, .75, .001}, {.5, .5, .8, .82, .001}, {.3, .55, .9, .81, .0001}}
	for n := 1; n <= len(epochs); n++ {
		b, err := Curves(epochs[:n], "val", min(n, 2))
		picture := decode(t, b, err)
		if train, val := count(picture, blue), count(picture, orange); train < 200 || val < 200 {
			t.Errorf("%d epochs: %d and %d pixels of the lines' colours", n, train, val)
		}
	}
	none := math.NaN()
	for _, e := range []Epoch{{none, none, none, none, none}, {none, none, none, .9, none}, {none, math.Inf(1), .5, .5, .1}} {
		b, err := Curves([]Epoch{e}, "val", 1)
		decode(t, b, err)
	}
}

// Epochs are whole numbers, and every axis has round ones.
func TestRoundTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		whole     bool
		want      string
	}{
		{1, 2, true, "1 2"},
		{.5, 1.5, true, "1"},
		{1, 3, true, "1 2 3"},
		{1, 10, true, "2 4 6 8 10"},
		{1, 100, true, "20 40 60 80 100"},
		{0, 1, false, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{-1e-17, 1, false, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{88.3, 92.4, false, "89 90 91 92"},
		{.2514, .3773, false, "0.26 0.28 0.30 0.32 0.34 0.36"},
		{0, .001, false, "0.0000 0.0002 0.0004 0.0006 0.0008 0.0010"},
		{0, 3e-6, false, "0 5e-07 1e-06 1.5e-06 2e-06 2.5e-06 3e-06"},
		{0, 4e7, false, "0 1e+07 2e+07 3e+07 4e+07"},
		{3, 3, false, "3"},
		{4e15, 4e15 + .5, false, "4e+15"}, // no float between them
		{4e17 - 64, 4e17, true, "4e+17"},
		{-math.MaxFloat64, math.MaxFloat64, false, "-1.798e+308"},
	} {
		var labels []string
		for _, tick := range (roundTicks{c.whole}).Ticks(c.low, c.high) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
	}
}

// named returns the names of n classes.
func named(n int) []string {
	names := make([]string, n)
	for c := range names {
		names[c] = fmt.Sprint("class ", c)
	}
	return names
}

// diagonal returns the matrix of n classes with 1,000 images each, all right.
func diagonal(n int) [][]int {
	counts := make([][]int, n)
	for c := range counts {
		counts[c] = make([]int, n)
		counts[c][c] = 1000
	}
	return counts
}

// A perfect classifier's matrix is blue on the diagonal only; one mistake in a
// thousand is visible and has another hue.
func TestConfusionMatrix(t *testing.T) {
	for _, c := range []struct {
		classes int
		seen    int // pixels of a mistake
	}{{2, 10000}, {3, 10000}, {10, 1000}, {26, 1000}, {100, 300}, {256, 30}} {
		counts, names := diagonal(c.classes), named(c.classes)
		b, err := ConfusionMatrix(counts, names)
		picture := decode(t, b, err)
		size := picture.Bounds().Size()
		share := float64(count(picture, darkBlue)) / float64(size.X*size.Y) * float64(c.classes)
		if !(share > .3 && share < 1) {
			t.Errorf("%d classes: %.3f times the picture is dark, want the diagonal", c.classes, share)
		}
		if size.X > 3300 || size.Y > 3300 {
			t.Errorf("%d classes: %v pixels are too many", c.classes, size)
		}
		before := count(picture, wrongShade(.1))
		counts[c.classes-1][0] = 1
		b, err = ConfusionMatrix(counts, names)
		if more := count(decode(t, b, err), wrongShade(.1)) - before; more < c.seen {
			t.Errorf("%d classes: a mistake has coloured %d pixels, want %d", c.classes, more, c.seen)
		}
	}
	b, err := ConfusionMatrix([][]int{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}, named(3)) // a test set of nothing
	if blue := count(decode(t, b, err), darkBlue); blue > 4000 {
		t.Errorf("%d dark pixels in an empty matrix", blue)
	}
}

// Small shares differ visibly.
func TestShades(t *testing.T) {
	for _, shares := range [][2]float64{{0, .1}, {.1, 1}, {1, 10}, {10, 100}} {
		if apart := contrast(wrongShade(shares[0]), wrongShade(shares[1])); !(apart > 1.09) {
			t.Errorf("%v %% and %v %% have a contrast of %v", shares[0], shares[1], apart)
		}
	}
}

// Where the cells have no counts, the note tells the most frequent mistakes.
func TestConfusionNote(t *testing.T) {
	for _, n := range []int{10, 40, 41, 100} {
		m := matrix(diagonal(n))
		m[1][2], m[3][4] = 7, 2000
		note := m.note(named(n))
		if got, want := strings.Contains(note, "class 3 taken for class 4 (2,000), class 1 taken for class 2 (7)."), n > cellText; got != want {
			t.Errorf("%d classes: %s", n, note)
		}
	}
	if note := matrix(diagonal(50)).note(named(50)); strings.Contains(note, "frequent") {
		t.Error("without mistakes: " + note)
	}
}

// Labels that are too many for an axis are smaller, then fewer, but never overlap.
func TestCrowded(t *testing.T) {
	for _, c := range []struct {
		length vg.Length
		size   vg.Length
		labels int
	}{{40, smallSize, 12}, {8, 8, 12}, {6, 6, 12}, {3.1, 6, 6}, {2, 6, 4}} {
		labels, size := crowded(named(12), c.length)
		kept := 0
		for i, label := range labels {
			if label != "" {
				kept++
				if label != fmt.Sprint("class ", i) {
					t.Errorf("label %d is %s", i, label)
				}
			}
		}
		if size != c.size || kept != c.labels {
			t.Errorf("%v points for each: %d labels of %v points, want %d of %v", c.length, kept, size, c.labels, c.size)
		}
	}
}

// Long names leave room for the matrix.
func TestConfusionOfLongNames(t *testing.T) {
	for _, n := range []int{2, 10, 26, 100} {
		names := named(n)
		for c := range names {
			names[c] = strings.Repeat("Donaudampfschifffahrt ", 10) + names[c]
		}
		b, err := ConfusionMatrix(diagonal(n), names)
		picture := decode(t, b, err)
		size := picture.Bounds().Size()
		if share := float64(count(picture, darkBlue)) / float64(size.X*size.Y) * float64(n); !(share > .15) {
			t.Errorf("%d classes: the matrix takes %.2f of the picture", n, share)
		}
	}
}

// Labels are one line of letters that the font has, and differ.
func TestClassLabels(t *testing.T) {
	got := ClassLabels([]string{"T-shirt/top", "Mütze, größer", "お", "き", "a\tb\n c", "Ёж", "cat 🐈", "\xff"})
	want := []string{"T-shirt/top", "Mütze, größer", "class 2", "class 3", "a b c", "Ёж", "class 6", "class 7"}
	if !slices.Equal(got, want) {
		t.Errorf("labels %q, want %q", got, want)
	}
}

// contrast returns the contrast of two colours by WCAG 2, from 1 to 21.
func contrast(a, b color.Color) float64 {
	luminance := func(c color.Color) float64 {
		linear := func(v uint32) float64 {
			x := float64(v) / 0xFFFF
			if x <= .04045 {
				return x / 12.92
			}
			return math.Pow((x+.055)/1.055, 2.4)
		}
		r, g, b, _ := c.RGBA()
		return .2126*linear(r) + .7152*linear(g) + .0722*linear(b)
	}
	x, y := luminance(a)+.05, luminance(b)+.05
	return max(x, y) / min(x, y)
}

// Lines are legible on white, and text on the cells of the matrix.
func TestContrast(t *testing.T) {
	for _, colours := range [][]color.Color{SeriesColours, classColours, {blue, orange, grey, ink}} {
		for _, c := range colours {
			if got := contrast(c, color.White); !(got >= 3) {
				t.Errorf("%v has a contrast of %v with white", c, got)
			}
		}
	}
	for share := range 101 {
		for _, shade := range []color.Color{rightShade(float64(share)), wrongShade(float64(share))} {
			if got := contrast(readable(shade), shade); !(got >= 4) {
				t.Errorf("text on %d %% has a contrast of %v", share, got)
			}
		}
	}
	seen := map[string]bool{}
	for i := range 4 * len(SeriesColours) {
		seen[fmt.Sprint(seriesStyle(i, SeriesColours))] = true
	}
	if len(seen) != 4*len(SeriesColours) {
		t.Errorf("%d styles of %d lines", len(seen), 4*len(SeriesColours))
	}
}

// scores are predictions for 400 images, none of the last class; the class is a bit
// likelier to be right.
func scores(classes int) (labels []byte, probabilities []float32) {
	const n = 400
	labels, probabilities = make([]byte, n), make([]float32, n*classes)
	for i := range labels {
		labels[i] = byte(i % (classes - 1))
		for c := range classes {
			probabilities[i*classes+c] = float32((i*7+c*13)%97) / 970
		}
		probabilities[i*classes+int(labels[i])] += float32(i%5) / 50
	}
	return labels, probabilities
}

// Every class that occurs has its line; of many, only some have a colour.
func TestROC(t *testing.T) {
	for _, classes := range []int{2, 3, 10, 26, 100} {
		labels, probabilities := scores(classes)
		if classes == 2 { // all images of one class have no curve
			copy(labels, []byte{1, 1, 1, 1})
		}
		b, err := ROC(labels, probabilities, named(classes))
		picture := decode(t, b, err)
		for i, colour := range classColours[:min(classes, len(classColours))] {
			if i < classes-1 && count(picture, colour) < 300 {
				t.Errorf("%d classes: colour %d has no line", classes, i)
			}
		}
		if size := picture.Bounds().Size(); size.Y > 1700 {
			t.Errorf("%d classes: %v pixels", classes, size)
		}
	}
	b, err := ROC(make([]byte, 50), make([]float32, 50*25), named(25)) // one class only
	decode(t, b, err)
}

// Of many classes, those with the smallest areas have names, the worst first.
func TestROCOfManyClasses(t *testing.T) {
	const n = 30
	var lines []characteristic
	for c := range n {
		y := float64((c*7)%n) / n
		lines = append(lines, characteristic{name: fmt.Sprint(y), x: []float64{0, .5, 1}, y: []float64{0, y, 1}})
	}
	lines[0].x, lines[0].y = nil, nil // the smallest, undefined
	lines = summarisedLines(lines)
	if len(lines) != n-1 {
		t.Errorf("%d lines, want %d", len(lines), n-1)
	}
	for i, l := range lines {
		want := ""
		if place := i - (n - 1 - worstListed); place >= 0 {
			want = fmt.Sprint(float64(place+1) / n)
		}
		if l.name != want {
			t.Errorf("line %d is named %q, want %q", i, l.name, want)
		}
	}
}

// The corner shows the bend of the worst class's curve, and the whole axis if a class
// has learnt nothing.
func TestCornerOfROC(t *testing.T) {
	bent := characteristic{x: []float64{0, .01, .02, .5, 1}, y: []float64{0, .5, .68, .9, 1}}
	if got := cornerBottom([]characteristic{bent, {}}); got != 60 {
		t.Errorf("the corner begins at %v %%, want 60", got)
	}
	chance := characteristic{x: []float64{0, 1}, y: []float64{0, 1}}
	if got := cornerBottom([]characteristic{bent, chance}); got != 0 {
		t.Errorf("with chance it begins at %v %%, want 0", got)
	}
	for _, xy := range []plotter.XYs{thinned(bent, 10, 60), thinned(chance, 10, 60), thinned(chance, 100, 0)} {
		for _, p := range xy {
			if p.X < 0 || p.X > 100 || p.Y < 0 || p.Y > 100 {
				t.Errorf("point %v", p)
			}
		}
	}
	in := thinned(bent, 10, 60)
	if first, last := in[0], in[len(in)-1]; !(first.Y == 60 && first.X > 1 && first.X < 2 && last.X == 10 && last.Y > 68 && last.Y < 90) {
		t.Errorf("the bent curve goes from %v to %v", first, last)
	}
}

// The note says whether a network is over- or underconfident.
func TestReliability(t *testing.T) {
	const n = 200
	network := func(confidence float32, right int) (labels []byte, probabilities []float32) {
		labels, probabilities = make([]byte, n), make([]float32, n*2)
		for i := range labels {
			probabilities[i*2], probabilities[i*2+1] = confidence, 1-confidence
			if i >= right {
				labels[i] = 1
			}
		}
		return labels, probabilities
	}
	labels, probabilities := network(.9, n/2)
	if note := reliabilityNote(metrics.Calibration(labels, probabilities), .4); !strings.Contains(note, "overconfident") || !strings.Contains(note, "40.00 points") {
		t.Error(note)
	}
	b, err := Reliability(labels, probabilities, .4)
	over := count(decode(t, b, err), orange)
	labels, probabilities = network(.6, n)
	if note := reliabilityNote(metrics.Calibration(labels, probabilities), .4); !strings.Contains(note, "underconfident") {
		t.Error(note)
	}
	b, err = Reliability(labels, probabilities, .4)
	if under := count(decode(t, b, err), orange); over < 2*under {
		t.Errorf("%d pixels of mistakes and gap, want many more than %d", over, under)
	}
	b, err = Reliability(labels[:1], probabilities[:2], 0)
	decode(t, b, err)
}

// Different probabilities near 1 and near 0 are formatted differently.
func TestProbabilities(t *testing.T) {
	for _, c := range []struct {
		rest float32
		most int
		want string
	}{
		{.4, 6, "60 %"}, {.02, 6, "98 %"}, {.0112, 6, "99 %"}, {.007, 6, "99.3 %"}, {.0002, 6, "99.98 %"}, {.0002, 2, "99.98 %"},
		{.00002, 2, "> 99.99 %"}, {3e-7, 6, "99.99997 %"}, {1e-9, 6, "> 99.999999 %"}, {0, 2, "> 99.99 %"},
	} {
		p := []float32{1 - c.rest, c.rest / 2, c.rest / 2}
		if got := strings.ReplaceAll(sureness(p, 0, c.most), "\u00a0", " "); got != c.want {
			t.Errorf("without %v: %s, want %s", c.rest, got, c.want)
		}
	}
	for p, want := range map[float32]string{
		.25: "25 %", .012: "1.2 %", .0099: "1 in 100", .00002: "1 in 50,000", 1.9e-5: "1 in 53,000", 4e-7: "1 in 2.5 million",
		3e-10: "1 in 3.3 billion", 1e-30: "< 1 in a trillion", 0: "< 1 in a trillion",
	} {
		if got := strings.ReplaceAll(odds(p), "\u00a0", " "); got != want {
			t.Errorf("%v: %s, want %s", p, got, want)
		}
	}
}

// predictions are of nine images of each class that are grey by their class, every
// ninth wrong and the later ones surer of it.
func predictions(shape dataset.Shape, classes int) (images dataset.Split, probabilities []float32) {
	images = dataset.Split{N: 9 * classes, Shape: shape}
	probabilities = make([]float32, images.N*classes)
	for i := range images.N {
		label := i % classes
		images.Images = append(images.Images, bytes.Repeat([]byte{greyOf(label)}, shape.Len())...)
		images.Labels = append(images.Labels, byte(label))
		said := label
		if i%9 == 0 {
			said = (label + 1) % classes
		}
		sure := .35 * float32(i) / float32(images.N)
		probabilities[i*classes+said] = .6 + sure
		probabilities[i*classes+(said+1)%classes] = .4 - sure
	}
	return images, probabilities
}

// greyOf is the grey of a class's images, which differs from its neighbours'.
func greyOf(class int) byte { return byte(20 * (class % 11)) }

// middle returns the grey in the middle of a cell's image.
func middle(picture image.Image, l gridLayout, i int) uint8 {
	at := l.places[i].Min.Add(l.places[i].Max).Div(2)
	return color.GrayModel.Convert(picture.At(at.X, at.Y)).(color.Gray).Y
}

// Every column is a class, and the frames are as many as the predictions.
func TestSamples(t *testing.T) {
	images, probabilities := predictions(square, 10)
	g := samples(images, probabilities, named(10))
	b, err := g.PNG()
	picture := decode(t, b, err)
	for class := range 10 {
		if got := middle(picture, g.layout(Scale), class+10); got != greyOf(class) {
			t.Errorf("column %d has an image of grey %d, want %d", class, got, greyOf(class))
		}
	}
	right, wrong := count(picture, blue), count(picture, orange)
	if share := float64(wrong) / float64(right+wrong); !(share > .1 && share < .15) { // 5 of 40
		t.Errorf("%d and %d pixels frame right and wrong predictions", right, wrong)
	}
}

// Any number of classes, of images of any shape, makes a picture of bounded size in
// which each class is at its place.
func TestSamplesOfManyClasses(t *testing.T) {
	for _, c := range []struct {
		classes, each int // images of each class
		shape         dataset.Shape
	}{
		{2, 9, square}, {3, 9, dataset.Shape{H: 20, W: 26, C: 1}}, {6, 4, square}, {11, 2, square},
		{26, 2, dataset.Shape{H: 32, W: 32, C: 3}}, {100, 1, dataset.Shape{H: 26, W: 20, C: 3}}, {256, 1, square},
	} {
		images, probabilities := predictions(c.shape, c.classes)
		g := samples(images, probabilities, named(c.classes))
		b, err := g.PNG()
		if size := decode(t, b, err).Bounds().Size(); size.X > 4000 || size.Y > 5000 {
			t.Errorf("%d classes make a picture of %v pixels", c.classes, size)
		}
		l, drawn := layoutSamples(c.classes), 0
		for _, cell := range g.Cells {
			if cell.Image != nil {
				drawn++
			}
		}
		if drawn != c.each*c.classes {
			t.Errorf("%d classes: %d images, want %d of each", c.classes, drawn, c.each)
		}
		for class := range c.classes {
			for i := range c.each {
				got := color.GrayModel.Convert(g.Cells[l.at(class, i)].Image.At(0, 0)).(color.Gray).Y
				if got != greyOf(class) {
					t.Errorf("%d classes: image %d of class %d has grey %d, want %d", c.classes, i, class, got, greyOf(class))
				}
			}
		}
	}
}

// A class without images is named at its place.
func TestSamplesOfAbsentClass(t *testing.T) {
	images, probabilities := predictions(square, 12)
	for i, label := range images.Labels {
		if label == 7 {
			images.Labels[i] = 0
		}
	}
	g := samples(images, probabilities, named(12))
	cell := g.Cells[layoutSamples(12).at(7, 0)]
	if cell.Image != nil || !strings.Contains(cell.Caption, "class 7") || !strings.Contains(cell.Caption, "no image") {
		t.Errorf("class 7 has the caption %q", cell.Caption)
	}
}

// The surest mistake comes first, right predictions not at all.
func TestMisclassified(t *testing.T) {
	for _, shape := range []dataset.Shape{square, {H: 20, W: 26, C: 1}, {H: 32, W: 32, C: 3}} {
		images, probabilities := predictions(shape, 10)
		g := misclassified(images, probabilities, named(10))
		b, err := g.PNG()
		picture := decode(t, b, err)
		for i, want := range []int{81, 72, 63, 54, 45, 36, 27, 18, 9, 0} {
			if got := middle(picture, g.layout(Scale), i); got != greyOf(want%10) {
				t.Errorf("place %d has grey %d, want that of image %d", i, got, want)
			}
		}
		if len(g.Cells) != 10 {
			t.Errorf("%d cells, want one row", len(g.Cells))
		}
		perfect := make([]float32, len(probabilities))
		for i, label := range images.Labels {
			perfect[i*10+int(label)] = 1
		}
		if _, err := Misclassified(images, perfect, named(10)); err != nil {
			t.Errorf("without mistakes: %v", err)
		}
	}
	images, probabilities := predictions(square, 100)
	if n := len(misclassified(images, probabilities, named(100)).Cells); n != mistakesDrawn {
		t.Errorf("%d mistakes are drawn of 100, want %d", n, mistakesDrawn)
	}
}

// The largest weight is red, its negative blue, and zero neither.
func TestFilters(t *testing.T) {
	shape := dataset.Shape{H: 3, W: 3, C: 1}
	weights := make([]float32, 20*9)
	weights[4], weights[9+4] = 2, -2
	g := filters(weights, make([]string, 20), shape)
	b, err := g.PNG()
	picture := decode(t, b, err)
	at := func(i int) (r, b uint32) {
		middle := g.layout(Scale).places[i].Min.Add(g.layout(Scale).places[i].Max).Div(2)
		r, _, b, _ = picture.At(middle.X, middle.Y).RGBA()
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
	if _, err := Filters(make([]float32, 10*784), make([]string, 10), square); err != nil {
		t.Errorf("weights of 0: %v", err)
	}
	for _, channels := range []int{1, 3} {
		nan := make([]float32, channels)
		nan[0] = float32(math.NaN())
		if _, err := Filters(nan, []string{"diverged"}, dataset.Shape{H: 1, W: 1, C: channels}); err != nil {
			t.Errorf("a weight of NaN: %v", err)
		}
	}
	for _, bad := range []dataset.Shape{{H: 3, W: 3, C: 2}, {H: 3, W: 2, C: 1}, {H: 3, W: 3, C: 3}} {
		if _, err := Filters(weights, make([]string, 20), bad); err == nil {
			t.Errorf("weights of another shape than %v pass", bad)
		}
	}
}

// The channels of a filter are those of its picture: the largest weight is 255, its
// negative 0, and zero mid grey.
func TestColourFilters(t *testing.T) {
	weights := []float32{
		2, 0, 0, 0, -2, 0, // filter 0: two pixels of red, green, blue
		0, 0, 2, 1, 1, 1,
	}
	g := filters(weights, []string{"0", "1"}, dataset.Shape{H: 1, W: 2, C: 3})
	for i, want := range []color.RGBA{{255, 128, 128, 255}, {128, 0, 128, 255}, {128, 128, 255, 255}, {191, 191, 191, 255}} {
		if got := g.Cells[i/2].Image.At(i%2, 0); got != want {
			t.Errorf("pixel %d of filter %d is %v, want %v", i%2, i/2, got, want)
		}
	}
}

// A layer of thousands of filters makes a picture of the first.
func TestManyFilters(t *testing.T) {
	shape := dataset.Shape{H: 3, W: 3, C: 3}
	g := filters(make([]float32, 2000*27), make([]string, 2000), shape)
	if len(g.Cells) != mostFilters || !strings.Contains(g.note, "128 of 2000") {
		t.Errorf("%d filters of 2000 are drawn, with the note %q", len(g.Cells), g.note)
	}
}

// Heat colours the image only where it is hot, and the lighter the hotter it is.
func TestAttentions(t *testing.T) {
	for _, shape := range []dataset.Shape{square, {H: 28, W: 20, C: 1}, {H: 28, W: 40, C: 3}} {
		testAttentions(t, dataset.Picture(make([]byte, shape.Len()), shape))
	}
	for i := range 10 {
		if from, to := contrast(heatShade(float64(i)/10), color.Black), contrast(heatShade(float64(i+1)/10), color.Black); !(to > from) {
			t.Errorf("heat %.1f is not lighter than %.1f", float64(i+1)/10, float64(i)/10)
		}
	}
}

func testAttentions(t *testing.T, from image.Image) {
	t.Helper()
	heat := make([]float32, from.Bounds().Dx()*from.Bounds().Dy())
	for i := range heat[:len(heat)/2] {
		heat[i] = 1
	}
	picture := Heated(from, heat)
	if picture.Bounds() != from.Bounds() {
		t.Fatalf("an image of %v becomes one of %v", from.Bounds(), picture.Bounds())
	}
	if r, g, b, _ := picture.At(3, 3).RGBA(); r < 0xC000 || g < 0xC000 || b > 0xA000 {
		t.Errorf("the hot half is %x %x %x, want yellow", r, g, b)
	}
	if r, g, b, _ := picture.At(3, 20).RGBA(); r+g+b != 0 {
		t.Errorf("the cold half is %x %x %x, want the black image", r, g, b)
	}
	b, err := Attentions([]Attention{{Image: from, Heat: heat, Right: true}, {Image: from, Heat: make([]float32, len(heat))}}, "HiResCAM", "note")
	decode(t, b, err)
}

// A bar twice as long has twice the pixels, and one of 0 none.
func TestClassF1(t *testing.T) {
	for _, n := range []int{2, 10, 26, 100} {
		area := func(f1 float64) int {
			classes := make([]metrics.ClassMetrics, n)
			for c := range classes {
				classes[c] = metrics.ClassMetrics{Name: strings.Repeat("name ", c), F1: f1, Support: 1}
			}
			b, err := ClassF1(classes)
			picture := decode(t, b, err)
			if size := picture.Bounds().Size(); size.Y > 2300 {
				t.Errorf("%d classes: %v pixels", n, size)
			}
			return count(picture, mix(color.White, blue, .35))
		}
		none := area(0)
		if half, whole := area(.45)-none, area(.9)-none; !(math.Abs(float64(whole)/float64(half)-2) < .1) {
			t.Errorf("%d classes: bars of .45 and .9 have %d and %d pixels", n, half, whole)
		}
	}
}

// Of many classes the worst are drawn, and the note says what is left out.
func TestWorstClasses(t *testing.T) {
	classes := make([]metrics.ClassMetrics, 100)
	for c := range classes {
		classes[c] = metrics.ClassMetrics{Name: fmt.Sprint(c), F1: float64(c*37%100) / 100, Support: 5}
	}
	classes[50].Support = 0 // F1 .5
	classes[0].Support = 0  // F1 0
	worst, note := worstClasses(classes)
	if len(worst) != mostBars || worst[0].F1 != .01 || worst[mostBars-1].F1 != .4 {
		t.Errorf("%d classes from %v to %v", len(worst), worst[0], worst[len(worst)-1])
	}
	if want := "The 40 of 100 classes with the lowest F1, the lowest first. The others have an F1 from 0.410 to 0.990. Classes without images, left out: 2."; note != want {
		t.Errorf("note %q, want %q", note, want)
	}
	if few, note := worstClasses(classes[:mostBars]); len(few) != mostBars || few[3].Name != "3" || note != "" {
		t.Errorf("of %d classes %d are drawn, with the note %q", mostBars, len(few), note)
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
	if original, bars := count(picture, orange), count(picture, mix(color.White, blue, .75)); original < 50 || bars < 500 {
		t.Errorf("%d pixels of the original's mark, %d of bars", original, bars)
	}
}

// The axis of errors that are close together has numbers, and an interval beyond
// 100 % leaves space for the rest.
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

// Runs of a recipe share a line and a band, and the legend does not grow with
// the seeds.
func TestRunCurves(t *testing.T) {
	b, err := RunCurves([]Series{
		{"lr 0.01", [][]Epoch{{{ValLoss: .5, ValAccuracy: .8}, {ValLoss: .4, ValAccuracy: .85}}, {{ValLoss: .6, ValAccuracy: .7}, {ValLoss: .5, ValAccuracy: .8}}}},
		{"lr 0.001", [][]Epoch{{{ValLoss: .4, ValAccuracy: .85}, {ValLoss: .3, ValAccuracy: .9}, {ValLoss: math.NaN(), ValAccuracy: .9}}}},
		{"nothing", [][]Epoch{{{ValLoss: math.NaN(), ValAccuracy: math.Inf(1)}}}},
		{"no run", nil},
	}, "test")
	picture := decode(t, b, err)
	for i := range 2 {
		if n := count(picture, SeriesColours[i]); n < 400 {
			t.Errorf("line %d has %d pixels", i, n)
		}
	}
	if n := count(picture, mix(color.White, SeriesColours[0], .15)); n < 10000 {
		t.Errorf("the band has %d pixels", n)
	}
	var many []Series
	for range 30 {
		many = append(many, Series{strings.Repeat("long name ", 20), [][]Epoch{{{ValLoss: 1}, {ValLoss: .5}}}})
	}
	b, err = RunCurves(many, "val")
	if got, most := decode(t, b, err).Bounds().Dy(), 2*picture.Bounds().Dy(); got > most {
		t.Errorf("30 recipes take %d pixels of height, want at most %d", got, most)
	}
}

// The mean ends where the shortest run ends.
func TestSummarised(t *testing.T) {
	runs := [][]Epoch{{{ValLoss: 1}, {ValLoss: 3}, {ValLoss: 9}}, {{ValLoss: 2}, {ValLoss: 5}}}
	mean, low, high := summarised(runs, func(e Epoch) float64 { return e.ValLoss })
	want := []plotter.XYs{{{X: 1, Y: 1.5}, {X: 2, Y: 4}}, {{X: 1, Y: 1}, {X: 2, Y: 3}}, {{X: 1, Y: 2}, {X: 2, Y: 5}}}
	for i, got := range []plotter.XYs{mean, low, high} {
		if !slices.Equal(got, want[i]) {
			t.Errorf("%v, want %v", got, want[i])
		}
	}
}

// Long names are shortened in the middle, because their ends differ.
func TestShortened(t *testing.T) {
	if got := shortened("fashioncnn lr=0.001", 40); got != "fashioncnn lr=0.001" {
		t.Error(got)
	}
	if got := shortened(strings.Repeat("a", 50)+"42", 10); got != "aaaaaa…a42" {
		t.Error(got)
	}
}

// Names that differ only where they would be cut are longer.
func TestApart(t *testing.T) {
	short := strings.Repeat("a", 30) + " 1 " + strings.Repeat("b", 15)
	names := []string{short, strings.Replace(short, "1", "2", 1), "c", short}
	labels := apart(names, longestName)
	if labels[0] == labels[1] || labels[0] != labels[3] || labels[2] != "c" || len([]rune(labels[0])) > 60 {
		t.Errorf("%q", labels)
	}
	alone := apart(names[:1], longestName)
	if want := shortened(short, longestName); alone[0] != want {
		t.Errorf("%q, want %q", alone[0], want)
	}
	long := strings.Repeat("a", 100) + "1" + strings.Repeat("b", 100)
	for _, label := range apart([]string{long, strings.Replace(long, "1", "2", 1)}, longestName) {
		if n := len([]rune(label)); n != 2*longestName {
			t.Errorf("%d characters, want %d", n, 2*longestName)
		}
	}
}

// The average and the marks are drawn, also where the loss explodes.
func TestRateCurve(t *testing.T) {
	var rates, losses, smoothed []float64
	for i := range 60 {
		x := float64(i)
		rates = append(rates, 1e-6*math.Pow(10, x/10))
		losses, smoothed = append(losses, 2+math.Sin(x)/9), append(smoothed, 2.3-x/50)
	}
	losses[59], smoothed[59] = 1e30, 1e28
	b, err := RateCurve(rates, losses, smoothed, []Mark{{"valley", 1e-3}, {"steepest", 1e-2}})
	picture := decode(t, b, err)
	if average, mark := count(picture, blue), count(picture, orange); average < 200 || mark < 100 {
		t.Errorf("%d pixels of the average's colour and %d of a mark's", average, mark)
	}
	for n := range 2 { // a sweep may end at once
		b, err := RateCurve(rates[:n], losses[:n], smoothed[:n], nil)
		decode(t, b, err)
	}
}

// A picture of many models draws the first hundred.
func TestManyModels(t *testing.T) {
	size := func(n int) image.Config {
		models := make([]Model, n)
		for i := range models {
			models[i] = Model{Name: fmt.Sprint(i), Accuracies: []float64{.9}, Mean: .9, Low: math.NaN(), High: math.NaN(), Seconds: 1}
		}
		b, err := Models(models)
		if err != nil {
			t.Fatal(err)
		}
		c, err := png.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if all, many := size(100), size(3000); many.Height < all.Height || many.Height > all.Height*11/10 {
		t.Errorf("3,000 models make a picture of %d pixels' height, 100 one of %d", many.Height, all.Height)
	}
}
