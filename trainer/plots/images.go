package plots

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot/palette/moreland"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// gridColumns is the usual number of columns.
const gridColumns = 10

// frames explains the frames' colours.
var frames = []entry{sample("right", swatch{blue}), sample("wrong", swatch{orange})}

// Samples draws the first images of every class, in columns of a class each, with the
// predicted class and its probability: probabilities is (N, classes), names are those
// of the classes.
func Samples(images dataset.Split, probabilities []float32, names []string) ([]byte, error) {
	return samples(images, probabilities, names).PNG()
}

func samples(images dataset.Split, probabilities []float32, names []string) Grid {
	l, labels := layoutSamples(len(names)), captionLabels(names)
	cells := make([]Cell, l.cells())
	drawn := make([]int, len(names))
	for i, label := range images.Labels {
		if n := drawn[label]; n < l.across*l.rows {
			cells[l.at(int(label), n)] = predictedCell(images, probabilities, labels, i)
			drawn[label]++
		}
	}
	for class, n := range drawn {
		if n == 0 {
			cells[l.at(class, 0)].Caption = labels[class] + ":\nno image"
		}
	}
	note := "The first test images of each class, with the predicted class and its probability; if it is wrong, the true class is below it."
	return Grid{Cells: cells, Columns: l.across * l.classes, header: header{"Samples", note, frames}, band: l.rows}
}

// sampleLayout says where the images of [Samples] are: bands of classes side by side.
type sampleLayout struct {
	bands, classes int // number of bands, and of classes in each; the last may have fewer
	across, rows   int // columns and rows of images of a class
}

// layoutSamples returns the layout of n classes: one band for up to ten, with four rows;
// with more classes there are fewer images of each.
func layoutSamples(n int) sampleLayout {
	most, rows := gridColumns, 4
	switch {
	case n > 100:
		most, rows = 16, 1
	case n > 40:
		rows = 1
	case n > 10:
		rows = 2
	}
	bands := (n + most - 1) / most
	return sampleLayout{bands, (n + bands - 1) / bands, max(1, gridColumns/n), rows}
}

// cells returns the number of places.
func (l sampleLayout) cells() int { return l.bands * l.rows * l.classes * l.across }

// at returns the place of image i of a class.
func (l sampleLayout) at(class, i int) int {
	row := class/l.classes*l.rows + i/l.across
	return (row*l.classes+class%l.classes)*l.across + i%l.across
}

// captionLabels returns the labels of classes for captions: short if there are many.
func captionLabels(names []string) []string {
	longest := longestName
	if len(names) > gridColumns {
		longest = longestOfMany
	}
	return apart(ClassLabels(names), longest)
}

// predictedCell returns image i over its prediction. labels are those of the classes.
func predictedCell(images dataset.Split, probabilities []float32, labels []string, i int) Cell {
	p := probabilities[i*len(labels):][:len(labels)]
	class, label := metrics.Predicted(p), int(images.Labels[i])
	c := Cell{Image: images.Picture(i), Frame: blue, Caption: labels[class] + " " + sureness(p, class, 2)}
	if class != label {
		c.Frame = orange
		c.Caption += "\ntrue: " + labels[label]
	}
	return c
}

// sureness formats the probability of a class with the decimals needed to tell it from
// 100 %, but no more than most. Its spaces do not break.
func sureness(p []float32, class, most int) string {
	rest := 0. // exact where p[class] is rounded to 1
	for c, x := range p {
		if c != class {
			rest += float64(x)
		}
	}
	percent := 100 * rest
	if least := math.Pow(10, -float64(most)); percent < least {
		return fmt.Sprintf(">\u00a0%.*f\u00a0%%", most, 100-least)
	}
	decimals := max(0, -int(math.Floor(math.Log10(percent))))
	return fmt.Sprintf("%.*f\u00a0%%", decimals, 100-percent)
}

// odds formats a probability: as a percentage or, if it is small, as "1 in N".
func odds(p float32) string {
	if p >= .01 {
		return fmt.Sprintf("%.2g\u00a0%%", 100*p)
	}
	n := 1 / float64(p)
	if p <= 0 || n > 1e12 {
		return "<\u00a01\u00a0in\u00a0a\u00a0trillion"
	}
	unit, name := 1., ""
	switch {
	case n >= 1e9:
		unit, name = 1e9, "\u00a0billion"
	case n >= 1e6:
		unit, name = 1e6, "\u00a0million"
	}
	n /= unit
	if n < 99.5 {
		return fmt.Sprintf("1\u00a0in\u00a0%.2g%s", n, name)
	}
	digits := math.Pow(10, math.Floor(math.Log10(n))-1) // two significant ones
	return "1\u00a0in\u00a0" + humanize.Comma(int64(math.Round(n/digits)*digits)) + name
}

// mistakesDrawn is the number of images of [Misclassified].
const mistakesDrawn = 40

// Misclassified draws the images that were misclassified with the greatest
// confidence, worst first, with the probabilities of the predicted and the true class.
// The arguments are as for [Samples].
func Misclassified(images dataset.Split, probabilities []float32, names []string) ([]byte, error) {
	return misclassified(images, probabilities, names).PNG()
}

func misclassified(images dataset.Split, probabilities []float32, names []string) Grid {
	labels := captionLabels(names)
	var cells []Cell
	for _, i := range metrics.Worst(images.Labels, probabilities, mistakesDrawn) {
		p := probabilities[i*len(names):][:len(names)]
		class, label := metrics.Predicted(p), images.Labels[i]
		cells = append(cells, Cell{Image: images.Picture(i), Caption: fmt.Sprintf("%s\n%s\ntrue: %s\n%s",
			labels[class], sureness(p, class, 6), labels[label], odds(p[label]))})
	}
	note := "The test images misclassified with the greatest confidence: predicted class and its probability, then true class and its probability."
	if len(cells) == 0 {
		note = "Every test image is classified correctly."
	}
	return Grid{Cells: cells, Columns: gridColumns, header: header{title: "Worst mistakes", note: note}}
}

// mostFilters is the largest number of filters of [Filters].
const mostFilters = 128

// Filters draws the weights of a layer's filters, (len(names), H, W, C) in the given
// shape, above their names, all on one scale. With one channel zero is light, positive
// red, negative blue; with three, those of an image, each channel has its own colour and
// zero is mid grey. Of many filters it draws the first.
func Filters(weights []float32, names []string, shape dataset.Shape) ([]byte, error) {
	if (shape.C != 1 && shape.C != 3) || len(names) == 0 || len(weights) != len(names)*shape.Len() {
		return nil, fmt.Errorf("plots: %d weights of %d filters of shape %v, want 1 or 3 channels", len(weights), len(names), shape)
	}
	return filters(weights, names, shape).PNG()
}

func filters(weights []float32, names []string, shape dataset.Shape) Grid {
	largest := max(slices.Max(weights), -slices.Min(weights))
	scale, note := divergingShade, ""
	if shape.C == 3 {
		scale = greyShade
		note = "The red, green and blue of a pixel are the weights of these channels: mid grey is 0, less is negative, more positive."
	}
	cells := make([]Cell, min(mostFilters, len(names)))
	if len(cells) < len(names) {
		note = fmt.Sprintf("The first %d of %d filters. ", len(cells), len(names)) + note
	}
	for f := range cells {
		part := make([]float64, shape.Len())
		for i := range part {
			if largest > 0 {
				part[i] = float64(weights[f*len(part)+i] / largest)
			}
		}
		cells[f] = Cell{Image: filterPicture(part, shape), Caption: shortened(names[f], longestName)}
	}
	legend := sample(fmt.Sprintf("weights, −%.3g to %.3g", largest, largest), gradient(func(part float64) color.Color { return scale(2*part - 1) }))
	return Grid{Cells: cells, Columns: filterColumns(len(cells)), header: header{"Filters of the first layer", note, []entry{legend}}}
}

// filterPicture draws a filter, (H, W, C), whose weights are from −1 to 1.
func filterPicture(weights []float64, shape dataset.Shape) image.Image {
	picture := image.NewRGBA(image.Rect(0, 0, shape.W, shape.H))
	for i := range shape.H * shape.W {
		if shape.C == 1 {
			picture.Set(i%shape.W, i/shape.W, divergingShade(weights[i]))
			continue
		}
		channel := func(c int) uint8 { return greyShade(weights[3*i+c]).(color.Gray).Y }
		picture.SetRGBA(i%shape.W, i/shape.W, color.RGBA{channel(0), channel(1), channel(2), 255})
	}
	return picture
}

// divergingShade is the colour of a weight from −1 to 1: blue, light, red.
func divergingShade(value float64) color.Color {
	scale := moreland.SmoothBlueRed()
	scale.SetMin(-1)
	scale.SetMax(1)
	c, err := scale.At(max(-1, min(1, value)))
	if err != nil { // NaN: a network that has diverged
		return color.Black
	}
	return c
}

// greyShade is the grey of a weight from −1 to 1: black, mid grey, white.
func greyShade(value float64) color.Color {
	if math.IsNaN(value) { // a network that has diverged
		return color.Gray{}
	}
	return color.Gray{Y: uint8(math.Round(255 * (max(-1, min(1, value)) + 1) / 2))}
}

// filterColumns returns a number of columns that makes the rows of n cells equally long,
// if there is one.
func filterColumns(n int) int {
	for columns := gridColumns; columns >= 5; columns-- {
		if n%columns == 0 {
			return columns
		}
	}
	return min(n, 8)
}

// Attention is an image with its class activation map.
type Attention struct {
	Image   image.Image
	Heat    []float32 // of each pixel, row by row, from 0 to 1; all 0 if no region speaks for Class
	Class   string    // the label, as of [ClassLabels], of the class that Heat belongs to
	Right   bool      // whether Class is the true class
	Caption string
}

// Attentions draws every image, and beside it the image overlaid with its heat. title
// and note name the method.
func Attentions(list []Attention, title, note string) ([]byte, error) {
	var cells []Cell
	for _, a := range list {
		frame, caption := blue, "for "
		if !a.Right {
			frame = orange
		}
		if slices.Max(a.Heat) == 0 {
			caption = "nothing for "
		}
		cells = append(cells, Cell{Image: a.Image, Caption: shortened(a.Caption, longestName), Frame: frame},
			Cell{Image: Heated(a.Image, a.Heat), Caption: caption + shortened(a.Class, longestName), Frame: frame})
	}
	legend := append(slices.Clone(frames), sample("heat, up to the image's strongest", gradient(heatShade)))
	return Grid{Cells: cells, Columns: gridColumns, header: header{title, note, legend}}.PNG()
}

// heatShade is the colour of heat from 0 to 1, in rising lightness: black,
// purple, red, yellow.
func heatShade(heat float64) color.Color {
	stops := []color.Color{rgb(0x000000), rgb(0x57106E), rgb(0xBC3754), rgb(0xF98E09), rgb(0xFCFFA4)}
	at := max(0, min(1, heat)) * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	return mix(stops[i], stops[i+1], at-float64(i))
}

// Heated overlays an image with the heat of each of its pixels, row by row, from 0 to
// 1. Heat is the more opaque the hotter it is.
func Heated(from image.Image, heat []float32) image.Image {
	const (
		most   = .85 // of the colour; the rest lets the image show through
		levels = 32  // of heat: as good as any to the eye, and few enough for a palette
	)
	b := from.Bounds()
	picture := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for i, value := range heat {
		x, y := i%b.Dx(), i/b.Dx()
		h := math.Round(levels*float64(value)) / levels
		picture.Set(x, y, mix(from.At(b.Min.X+x, b.Min.Y+y), heatShade(.25+.75*h), most*min(1, 2*h)))
	}
	return picture
}
