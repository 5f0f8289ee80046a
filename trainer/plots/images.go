package plots

import (
	"fmt"
	"image"
	"image/color"
	"slices"

	"gonum.org/v1/plot/palette/moreland"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// A right prediction's frame is blue, a wrong one's vermilion.
var (
	rightColour = trainColour
	wrongColour = valColour
)

// samplesPerClass is the number of rows of [Samples].
const samplesPerClass = 4

// Samples draws the first images of every class, a column each, with what was
// predicted and how probable that is. The arguments are as of
// [metrics.Compute], with the images (N, 28, 28).
func Samples(images, labels []byte, probabilities []float32) ([]byte, error) {
	cells := make([]Cell, samplesPerClass*metrics.Classes)
	var drawn [metrics.Classes]int
	for i, label := range labels {
		if row := drawn[label]; row < samplesPerClass {
			cells[row*metrics.Classes+int(label)] = predictedCell(images, labels, probabilities, i)
			drawn[label]++
		}
	}
	return Grid(cells, metrics.Classes)
}

func predictedCell(images, labels []byte, probabilities []float32, i int) Cell {
	p := probabilities[i*metrics.Classes:][:metrics.Classes]
	class := metrics.Predicted(p)
	c := Cell{Image: imageAt(images, i), Frame: rightColour, Caption: fmt.Sprintf("%s %.0f%%", dataset.ClassNames[class], 100*p[class])}
	if class != int(labels[i]) {
		c.Frame = wrongColour
		c.Caption += "\ntrue " + dataset.ClassNames[labels[i]]
	}
	return c
}

func imageAt(images []byte, i int) *image.Gray {
	return Gray(images[i*dataset.ImageBytes:][:dataset.ImageBytes])
}

// mistakesDrawn is the number of images of [Misclassified].
const mistakesDrawn = 40

// Misclassified draws the images that were misclassified with the greatest
// confidence, worst first, with the probabilities of what was said and of what
// is true. The arguments are as of [Samples].
func Misclassified(images, labels []byte, probabilities []float32) ([]byte, error) {
	var cells []Cell
	for _, i := range metrics.Worst(labels, probabilities, mistakesDrawn) {
		p := probabilities[i*metrics.Classes:][:metrics.Classes]
		class, label := metrics.Predicted(p), labels[i]
		cells = append(cells, Cell{Image: imageAt(images, i), Caption: fmt.Sprintf("said %s\ntrue %s\n%.1f%% / %.1f%%",
			dataset.ClassNames[class], dataset.ClassNames[label], 100*p[class], 100*p[label])})
	}
	if len(cells) == 0 {
		cells = []Cell{{Caption: "no mistakes"}}
	}
	return Grid(cells, metrics.Classes)
}

// Filters draws each filter's weights, (n, height, width): zero is grey,
// positive red, negative blue, all on one scale.
func Filters(weights []float32, n, height, width int) ([]byte, error) {
	largest := slices.Max(weights)
	largest = max(largest, -slices.Min(weights))
	scale := moreland.SmoothBlueRed()
	scale.SetMin(-1)
	scale.SetMax(1)
	cells := make([]Cell, n)
	for f := range cells {
		picture := image.NewRGBA(image.Rect(0, 0, width, height))
		for i := range height * width {
			value := 0.
			if largest > 0 {
				value = float64(weights[f*height*width+i] / largest)
			}
			c, err := scale.At(value)
			if err != nil {
				return nil, err
			}
			picture.Set(i%width, i/width, c)
		}
		cells[f] = Cell{Image: picture, Caption: fmt.Sprint(f)}
	}
	return Grid(cells, filterColumns(n))
}

// filterColumns makes the rows of a grid of n equally long, if it can.
func filterColumns(n int) int {
	for columns := 10; columns >= 5; columns-- {
		if n%columns == 0 {
			return columns
		}
	}
	return min(n, 8)
}

// Attention is an image and where the network looked in it.
type Attention struct {
	Image   []byte    // (28, 28)
	Heat    []float32 // (28, 28), from 0 to 1; all 0 where nothing speaks for Class
	Class   int       // that Heat is of
	Right   bool      // Class is the image's
	Caption string
}

// GradCAM draws every image beside itself under its heat.
func GradCAM(list []Attention) ([]byte, error) {
	var cells []Cell
	for _, a := range list {
		frame, caption := rightColour, "for "
		if !a.Right {
			frame = wrongColour
		}
		if slices.Max(a.Heat) == 0 {
			caption = "none for "
		}
		cells = append(cells, Cell{Image: Gray(a.Image), Caption: a.Caption, Frame: frame},
			Cell{Image: heated(a.Image, a.Heat), Caption: caption + dataset.ClassNames[a.Class], Frame: frame})
	}
	return Grid(cells, 10)
}

// heated blends pixels into vermilion where they are hot.
func heated(pixels []byte, heat []float32) image.Image {
	const most = .85 // of the colour; the rest lets the image show through
	hot := color.NRGBAModel.Convert(valColour).(color.NRGBA)
	picture := image.NewRGBA(image.Rect(0, 0, dataset.ImageSize, dataset.ImageSize))
	for i, grey := range pixels {
		mix := func(c uint8) uint8 { return uint8(float32(grey) + (float32(c)-float32(grey))*most*heat[i]) }
		picture.Set(i%dataset.ImageSize, i/dataset.ImageSize, color.RGBA{mix(hot.R), mix(hot.G), mix(hot.B), 255})
	}
	return picture
}
