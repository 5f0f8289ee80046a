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

// samplesPerClass is the number of rows of [Samples].
const samplesPerClass = 4

// Samples draws the first images of every class, one column per class, with the
// predicted class and its probability: probabilities is (N, classes), names are those
// of the classes.
func Samples(images dataset.Split, probabilities []float32, names []string) ([]byte, error) {
	return samples(images, probabilities, names).PNG()
}

func samples(images dataset.Split, probabilities []float32, names []string) Grid {
	classes := len(names)
	cells := make([]Cell, samplesPerClass*classes)
	drawn := make([]int, classes)
	for i, label := range images.Labels {
		if row := drawn[label]; row < samplesPerClass {
			cells[row*classes+int(label)] = predictedCell(images, probabilities, names, i)
			drawn[label]++
		}
	}
	return Grid{cells, classes, header{"Samples",
		"The first test images of each class, with the predicted class and its probability; if it is wrong, the true class is below it.", frames}}
}

func predictedCell(images dataset.Split, probabilities []float32, names []string, i int) Cell {
	p := probabilities[i*len(names):][:len(names)]
	class, label := metrics.Predicted(p), int(images.Labels[i])
	c := Cell{Image: images.Picture(i), Frame: blue, Caption: names[class] + " " + sureness(p, class, 2)}
	if class != label {
		c.Frame = orange
		c.Caption += "\ntrue: " + names[label]
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
	var cells []Cell
	for _, i := range metrics.Worst(images.Labels, probabilities, mistakesDrawn) {
		p := probabilities[i*len(names):][:len(names)]
		class, label := metrics.Predicted(p), images.Labels[i]
		cells = append(cells, Cell{Image: images.Picture(i), Caption: fmt.Sprintf("%s\n%s\ntrue: %s\n%s",
			names[class], sureness(p, class, 6), names[label], odds(p[label]))})
	}
	note := "The test images misclassified with the greatest confidence: predicted class and its probability, then true class and its probability."
	if len(cells) == 0 {
		note = "Every test image is classified correctly."
	}
	return Grid{cells, gridColumns, header{"Worst mistakes", note, nil}}
}

// Filters draws the weights of a layer's filters, (len(names), height, width), above
// their names: zero is light, positive red, negative blue, all on one scale.
func Filters(weights []float32, names []string, height, width int) ([]byte, error) {
	return filters(weights, names, height, width).PNG()
}

func filters(weights []float32, names []string, height, width int) Grid {
	largest := max(slices.Max(weights), -slices.Min(weights))
	scale := moreland.SmoothBlueRed()
	scale.SetMin(-1)
	scale.SetMax(1)
	shade := func(value float64) color.Color {
		c, err := scale.At(max(-1, min(1, value)))
		if err != nil { // NaN: a network that has diverged
			return color.Black
		}
		return c
	}
	cells := make([]Cell, len(names))
	for f := range cells {
		picture := image.NewRGBA(image.Rect(0, 0, width, height))
		for i := range height * width {
			value := 0.
			if largest > 0 {
				value = float64(weights[f*height*width+i] / largest)
			}
			picture.Set(i%width, i/width, shade(value))
		}
		cells[f] = Cell{Image: picture, Caption: names[f]}
	}
	legend := sample(fmt.Sprintf("weights, −%.3g to %.3g", largest, largest), gradient(func(part float64) color.Color { return shade(2*part - 1) }))
	return Grid{cells, filterColumns(len(names)), header{"Filters of the first layer", "", []entry{legend}}}
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
	Class   string    // the name of the class that Heat belongs to
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
		cells = append(cells, Cell{Image: a.Image, Caption: a.Caption, Frame: frame},
			Cell{Image: Heated(a.Image, a.Heat), Caption: caption + a.Class, Frame: frame})
	}
	legend := append(slices.Clone(frames), sample("heat, up to the image's strongest", gradient(heatShade)))
	return Grid{cells, gridColumns, header{title, note, legend}}.PNG()
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
