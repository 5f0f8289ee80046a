package trainer

import (
	"context"
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// View is a version of an image to classify besides the image itself.
type View struct {
	Mirrored bool // left and right are exchanged, before the shift
	DY, DX   int  // pixels by which the image is shifted down and to the right; what enters is 0
}

// views are the sets of views of test-time augmentation, by name.
var views = map[string][]View{
	"none":       {{}},
	"flip":       {{}, {Mirrored: true}},
	"shift":      shifts(false),
	"flip-shift": append(shifts(false), shifts(true)...),
}

// shifts returns an image and its shifts by one pixel.
func shifts(mirrored bool) []View {
	return []View{{mirrored, 0, 0}, {mirrored, -1, 0}, {mirrored, 1, 0}, {mirrored, 0, -1}, {mirrored, 0, 1}}
}

// Views returns the views of a kind of test-time augmentation: none (the image alone),
// flip (and its mirror image), shift (and its shifts by one pixel) or flip-shift. The
// error is [ErrUsage].
func Views(name string) ([]View, error) {
	v, ok := views[name]
	if !ok {
		return nil, usage("test-time augmentation is %q: want one of %v", name, ViewNames())
	}
	return slices.Clone(v), nil
}

// ViewNames returns the names that [Views] takes.
func ViewNames() []string { return names(views) }

// EvaluateEnsemble classifies every view of a split with every model, averages the
// probabilities, and computes all metrics of the means. The models must take the same
// images and have the same classes; pictures of the evaluation show the first one. The
// errors are those of [Model.Evaluate], and [ErrUsage] for models that do not go
// together.
func EvaluateEnsemble(ctx context.Context, models []*Model, images dataset.Split, views []View) (*Evaluation, error) {
	if len(models) == 0 || len(views) == 0 {
		return nil, usage("an ensemble of %d models and %d views: want at least one of each", len(models), len(views))
	}
	if len(models) == 1 && len(views) == 1 && views[0] == (View{}) {
		return models[0].Evaluate(ctx, images)
	}
	first := models[0].info()
	var sums []float64
	mean := &Evaluation{Images: images, model: models[0]}
	for _, m := range models {
		if in := m.info(); in.Shape != first.Shape || !slices.Equal(in.Classes, first.Classes) {
			return nil, usage("the models %s and %s take images of %v and %v and have the classes %v and %v: an ensemble's must be the same",
				first.Name, in.Name, first.Shape, in.Shape, first.Classes, in.Classes)
		}
		for _, v := range views {
			e, err := m.Evaluate(ctx, v.of(images))
			if err != nil {
				return nil, err
			}
			sums = added(sums, e.Probabilities)
			mean.add(e)
		}
	}
	for _, sum := range sums {
		mean.Probabilities = append(mean.Probabilities, float32(sum/float64(len(models)*len(views))))
	}
	about := mean.Metrics
	figures, err := metrics.Compute(images.Labels, mean.Probabilities, first.Classes)
	if err != nil {
		return nil, fmt.Errorf("the mean of %d models: %w", len(models), err)
	}
	figures.Protocol, figures.FLOPsPerImage = about.Protocol, about.FLOPsPerImage
	figures.PeakDeviceMemoryBytes, figures.PeakHostMemoryBytes = about.PeakDeviceMemoryBytes, about.PeakHostMemoryBytes
	for _, m := range models {
		figures.Parameters += m.net.ParameterCount()
		figures.ModelBytes += int64(4 * (m.net.ParameterCount() + runningStatistics(m.net)))
	}
	figures.ImagesPerSecond = float64(images.N) / mean.Seconds
	mean.Metrics = figures
	return mean, nil
}

// added adds probabilities to sums, which may be nil.
func added(sums []float64, probabilities []float32) []float64 {
	if sums == nil {
		sums = make([]float64, len(probabilities))
	}
	for i, p := range probabilities {
		sums[i] += float64(p)
	}
	return sums
}

// add counts what an evaluation took to the mean's. Models of different protocols make
// one that is unknown.
func (e *Evaluation) add(one *Evaluation) {
	e.Seconds += one.Seconds
	if e.Metrics == nil {
		m := *one.Metrics
		e.Metrics = &m
		return
	}
	if e.Metrics.Protocol != one.Metrics.Protocol {
		e.Metrics.Protocol = unknownProtocol
	}
	e.Metrics.FLOPsPerImage += one.Metrics.FLOPsPerImage
	e.Metrics.PeakDeviceMemoryBytes = max(e.Metrics.PeakDeviceMemoryBytes, one.Metrics.PeakDeviceMemoryBytes)
	e.Metrics.PeakHostMemoryBytes = max(e.Metrics.PeakHostMemoryBytes, one.Metrics.PeakHostMemoryBytes)
}

// of returns the split as the view shows it; labels are shared.
func (v View) of(images dataset.Split) dataset.Split {
	if v == (View{}) {
		return images
	}
	shown := images
	shown.Images = make([]byte, len(images.Images))
	h, w, c := images.H, images.W, images.C
	for i := range images.N {
		from, to := images.Image(i), shown.Image(i)
		for y := max(0, v.DY); y < min(h, h+v.DY); y++ {
			for x := max(0, v.DX); x < min(w, w+v.DX); x++ {
				column := x - v.DX
				if v.Mirrored {
					column = w - 1 - column
				}
				copy(to[(y*w+x)*c:][:c], from[((y-v.DY)*w+column)*c:])
			}
		}
	}
	return shown
}
