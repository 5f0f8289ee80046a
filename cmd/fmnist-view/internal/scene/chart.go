package scene

import (
	"fmt"
	"math"
	"strconv"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// line is a line of a chart.
type line struct {
	name   string // in the legend, "" for none
	colour canvas.Colour
	width  float64
	marks  bool      // at every point
	xy     []float64 // x and y in turn
}

// chart is a plot of lines.
type chart struct {
	lines       []line
	x           string // name of the x axis
	low, high   float64
	label       func(v float64, decimals int) string // of a tick of the y axis
	xLow, xHigh float64
	wholeX      bool
}

// mostValue is the largest one on an axis: the difference of two is a number.
const mostValue = 1e300

// chart draws a chart with its legend and round numbers on its axes.
func (s *scene) chart(a area, c chart) {
	small := s.font(10)
	plot := area{a.x + s.u(40), a.y + s.u(18), a.w - s.u(48), a.h - s.u(18) - s.u(32)}
	if plot.w < s.u(30) || plot.h < s.u(20) {
		return
	}
	if !(c.high > c.low) {
		c.low, c.high = c.low-.5, c.low+.5
	}
	c.low, c.high = max(c.low, -mostValue), min(c.high, mostValue)
	if !(c.high > c.low) { // no float between them, or NaN
		return
	}
	if !(c.xHigh > c.xLow) {
		c.xHigh = c.xLow + 1
	}
	px := func(x float64) float64 { return plot.x + (x-c.xLow)/(c.xHigh-c.xLow)*plot.w }
	py := func(y float64) float64 {
		return plot.y + plot.h - (min(max(y, c.low), c.high)-c.low)/(c.high-c.low)*plot.h
	}
	thin := max(1, s.u(1))
	values, decimals := plots.RoundTicks(c.low, c.high, max(2, plot.h/s.u(34)), false)
	for _, v := range values {
		s.Rectangle(plot.x, math.Round(py(v)), plot.w, thin, faint)
		s.right(plot.x-s.u(6), py(v)+s.u(4), small, grey, c.label(v, decimals))
	}
	values, decimals = plots.RoundTicks(c.xLow, c.xHigh, max(2, plot.w/s.u(60)), c.wholeX)
	base := plot.y + plot.h
	for _, v := range values {
		text := strconv.FormatFloat(v, 'f', decimals, 64)
		s.Text(px(v)-s.TextWidth(small, text)/2, base+s.u(14), small, grey, text)
	}
	s.Rectangle(plot.x, base, plot.w, thin, grey)
	s.right(plot.x+plot.w, base+s.u(29), small, grey, c.x)
	s.legend(a, c.lines)
	for _, l := range c.lines {
		points := make([]float64, 0, len(l.xy))
		for i := 0; i+1 < len(l.xy); i += 2 {
			y := math.NaN() // beyond the axis: the line breaks
			if x, v := l.xy[i], l.xy[i+1]; v >= c.low && v <= c.high && x >= c.xLow && x <= c.xHigh {
				y = py(v)
			}
			points = append(points, px(l.xy[i]), y)
		}
		s.curve(l, points)
	}
}

// curve draws a line through points in pixels.
func (s *scene) curve(l line, points []float64) {
	s.Line(points, l.width*s.o.Scale, l.colour)
	if r := s.u(2.5); l.marks && len(points) <= 200 {
		for i := 0; i+1 < len(points); i += 2 {
			if !math.IsNaN(points[i+1]) {
				s.Rectangle(points[i]-r, points[i+1]-r, 2*r, 2*r, l.colour)
			}
		}
	}
}

func (s *scene) legend(a area, lines []line) {
	f, x := s.font(11), a.x
	for _, l := range lines {
		if l.name == "" {
			continue
		}
		s.Rectangle(x, a.y+s.u(5), s.u(14), s.u(3), l.colour)
		x += s.u(18)
		x += s.Text(x, a.y+s.u(10), f, ink, l.name) + s.u(14)
	}
}

func (s *scene) lossTitle() string {
	if len(s.state.Steps) > 0 {
		return "Loss by step"
	}
	return "Loss by epoch"
}

// stepsPerEpoch returns the number of steps of an epoch, derived from the epochs' speed
// if the run does not say, or 0.
func (s *scene) stepsPerEpoch() float64 {
	start := s.state.Start
	switch {
	case start == nil:
		return 0
	case start.StepsPerEpoch > 0:
		return float64(start.StepsPerEpoch)
	case len(s.state.Epochs) == 0 || start.BatchSize <= 0:
		return 0
	}
	e := s.state.Epochs[0]
	return math.Ceil(e.ImagesPerSecond * e.Seconds / float64(start.BatchSize))
}

// loss draws the loss of training steps, or of epochs if no steps were logged, and
// that of the images that select the best epoch.
func (s *scene) loss(a area) {
	c := chart{x: "step", low: 0, wholeX: true, label: func(v float64, d int) string {
		if v >= 1e6 {
			return strconv.FormatFloat(v, 'g', 3, 64)
		}
		return strconv.FormatFloat(v, 'f', d, 64)
	}}
	perEpoch := s.stepsPerEpoch()
	steps := line{colour: faded(blue, .4), width: 1.2}
	smooth := line{name: "training", colour: blue, width: 2}
	sum, weight := 0., 0. // of a running mean in which a step's weight fades
	for _, step := range s.state.Steps {
		x := float64(step.Step)
		steps.xy = append(steps.xy, x, step.RecentLoss)
		if !math.IsNaN(step.RecentLoss) && !math.IsInf(step.RecentLoss, 0) {
			sum, weight = .9*sum+step.RecentLoss, .9*weight+1
		}
		smooth.xy = append(smooth.xy, x, sum/weight)
	}
	if len(s.state.Steps) == 0 {
		c.x, perEpoch, smooth.marks = "epoch", 1, true
	}
	most := math.Inf(1) // the last epoch may be cut short
	if start := s.state.Start; start != nil && start.Steps > 0 && len(s.state.Steps) > 0 {
		most = float64(start.Steps)
	}
	selected := line{name: s.selectedName(), colour: orange, width: 2, marks: true}
	for _, e := range s.state.Epochs {
		if len(s.state.Steps) == 0 {
			smooth.xy = append(smooth.xy, float64(e.Epoch), e.TrainLoss)
		}
		if perEpoch > 0 {
			selected.xy = append(selected.xy, min(float64(e.Epoch)*perEpoch, most), e.ValLoss)
		}
	}
	c.lines = []line{steps, smooth, selected}
	if !c.fit() {
		s.say(a, "The curve begins with the first steps; a finished run has it if it was trained with --log-every.")
		return
	}
	c.low, c.high = 0, min(c.high, 4*c.median())*1.05
	s.chart(a, c)
}

// accuracy draws the accuracy by epoch.
func (s *scene) accuracy(a area) {
	c := chart{x: "epoch", wholeX: true, label: func(v float64, d int) string { return fmt.Sprintf("%.*f %%", max(0, d-2), 100*v) }}
	training := line{name: "training", colour: blue, width: 2, marks: true}
	selected := line{name: s.selectedName(), colour: orange, width: 2, marks: true}
	running := line{colour: faded(blue, .45), width: 1.2}
	for _, e := range s.state.Epochs {
		training.xy = append(training.xy, float64(e.Epoch), e.TrainAccuracy)
		selected.xy = append(selected.xy, float64(e.Epoch), e.ValAccuracy)
	}
	perEpoch := s.stepsPerEpoch()
	for i, step := range s.state.Steps {
		if step.Images == 0 || perEpoch == 0 {
			continue // from steps.csv
		}
		if i > 0 && s.state.Steps[i-1].Epoch != step.Epoch {
			running.xy = append(running.xy, float64(step.Epoch)-1, math.NaN())
		}
		running.xy = append(running.xy, float64(step.Epoch-1)+float64(step.ImagesDone)/float64(step.Images), step.Accuracy)
	}
	c.lines = []line{running, training, selected}
	if !c.fit() {
		s.say(a, "The curve begins with the first epoch.")
		return
	}
	// The first steps' low accuracy would flatten the rest.
	later := c
	later.lines = []line{{xy: after(running.xy, .15)}, training, selected}
	if later.fit() {
		c.low, c.high = later.low, later.high
	}
	c.xHigh = max(c.xHigh, 1)
	margin := max(.005, (c.high-c.low)*.08)
	c.low, c.high = max(0, c.low-margin), min(1, c.high+margin)
	s.chart(a, c)
}

// after returns the points of a line whose x is at least the given one.
func after(xy []float64, x float64) []float64 {
	for i := 0; i+1 < len(xy); i += 2 {
		if xy[i] >= x {
			return xy[i:]
		}
	}
	return nil
}

// fit sets the axes to what the lines need, and reports whether there is anything.
func (c *chart) fit() bool {
	c.low, c.high, c.xLow, c.xHigh = math.Inf(1), math.Inf(-1), 0, 0
	any := false
	for _, l := range c.lines {
		for i := 0; i+1 < len(l.xy); i += 2 {
			if x, y := l.xy[i], l.xy[i+1]; !math.IsNaN(y) && !math.IsInf(y, 0) && math.Abs(x) <= mostValue {
				c.low, c.high, c.xHigh = min(c.low, y), max(c.high, y), max(c.xHigh, x)
				any = true
			}
		}
	}
	return any
}

// median returns the middle value of the lines' last half, so that a few large losses
// at the start do not flatten the rest.
func (c *chart) median() float64 {
	var values []float64
	for _, l := range c.lines {
		for i := len(l.xy)/4*2 + 1; i < len(l.xy); i += 2 {
			if y := l.xy[i]; !math.IsNaN(y) && !math.IsInf(y, 0) {
				values = append(values, y)
			}
		}
	}
	if len(values) == 0 {
		return c.high
	}
	return middle(values)
}
