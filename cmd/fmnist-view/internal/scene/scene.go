// Package scene lays out the live window: curves, filters, activations, a sample with its
// probabilities, and the confusion matrix.
package scene

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// The window's colours. Blue is training, or a right answer; orange is the data that
// select the best epoch, or a wrong answer, as in the project's plots, but lighter.
var (
	Background = canvas.RGB(0x0F1318)
	panelFill  = canvas.RGB(0x171C23)
	panelEdge  = canvas.RGB(0x262D37)
	ink        = canvas.RGB(0xE6E9ED)
	grey       = canvas.RGB(0x98A2AE)
	faint      = canvas.RGB(0x2B333E)
	blue       = canvas.RGB(0x56B4E9)
	orange     = canvas.RGB(0xF0894B)
	green      = canvas.RGB(0x35C49A)
)

func faded(c canvas.Colour, alpha float64) canvas.Colour {
	c.A = uint8(255 * alpha)
	return c
}

// Options are what the user has chosen.
type Options struct {
	Scale   float64 // pixels per unit, 1 on ordinary displays
	Paused  bool
	Message string // of the last key, such as where a picture was saved
	Drawn   string // how the window is drawn, such as the device and frames per second
}

// scene is a frame under construction. Lengths are in pixels.
type scene struct {
	*canvas.Canvas
	state   source.State
	o       Options
	classes []string // as they can be drawn
}

// area is a part of the window.
type area struct{ x, y, w, h float64 }

// inset returns the area without a margin.
func (a area) inset(by float64) area { return area{a.x + by, a.y + by, a.w - 2*by, a.h - 2*by} }

// split divides an area from top to bottom, or from left to right, into parts with
// a gap between them.
func (a area) split(across bool, gap float64, parts ...float64) []area {
	total := 0.
	for _, p := range parts {
		total += p
	}
	length := a.h
	if across {
		length = a.w
	}
	length -= gap * float64(len(parts)-1)
	var list []area
	at := 0.
	for _, p := range parts {
		size := math.Floor(length * p / total)
		if across {
			list = append(list, area{a.x + at, a.y, size, a.h})
		} else {
			list = append(list, area{a.x, a.y + at, a.w, size})
		}
		at += size + gap
	}
	return list
}

// Draw draws the window. The canvas has been reset to its size.
func Draw(c *canvas.Canvas, state source.State, o Options) {
	s := &scene{Canvas: c, state: state, o: o}
	if state.Start != nil {
		s.classes = plots.ClassLabels(state.Start.Classes)
	}
	pad := s.u(10)
	window := area{0, 0, float64(c.Width), float64(c.Height)}.inset(pad)
	head, foot := s.u(26), s.u(52)
	if window.h < head+foot+s.u(60) || window.w < s.u(120) {
		s.status(window)
		return
	}
	s.title(area{window.x, window.y, window.w, head})
	s.footer(area{window.x, window.y + window.h - foot, window.w, foot})
	body := area{window.x, window.y + head + pad, window.w, window.h - head - foot - 2*pad}
	columns := body.split(true, pad, 33, 40, 27)
	left := columns[0].split(false, pad, 1, 1)
	s.panel(left[0], s.lossTitle(), s.loss)
	s.panel(left[1], "Accuracy by epoch", s.accuracy)
	middle := columns[1].split(false, pad, 27, 73)
	s.panel(middle[0], s.filterTitle(), s.filters)
	s.panel(middle[1], "Activations, layer by layer", s.activations)
	right := columns[2].split(false, pad, 21, 34, 45)
	s.panel(right[0], s.sampleTitle(), s.sample)
	s.panel(right[1], "Probabilities of the sample", s.probabilities)
	s.panel(right[2], "Confusion matrix", s.confusion)
}

// u returns a length in pixels.
func (s *scene) u(units float64) float64 { return math.Round(units * s.o.Scale) }

func (s *scene) font(size float64) canvas.Font { return canvas.Font{Size: max(6, int(s.u(size)))} }
func (s *scene) bold(size float64) canvas.Font {
	return canvas.Font{Size: max(6, int(s.u(size))), Bold: true}
}

// panel draws a frame with a title, and what belongs in it if there is room.
func (s *scene) panel(a area, title string, draw func(area)) {
	s.Rectangle(a.x, a.y, a.w, a.h, panelFill)
	s.Frame(a.x, a.y, a.w, a.h, max(1, s.u(1)), panelEdge)
	inner := a.inset(s.u(9))
	if inner.w < s.u(40) || inner.h < s.u(14) {
		return
	}
	s.Text(inner.x, inner.y+s.u(9), s.bold(12), ink, s.Fitted(s.bold(12), title, inner.w))
	inner.y, inner.h = inner.y+s.u(18), inner.h-s.u(18)
	if inner.h > s.u(16) {
		draw(inner)
	}
}

// say writes a note in grey at the top of an area, on as many lines as it needs.
func (s *scene) say(a area, text string) {
	f, y := s.font(11), a.y+s.u(10)
	line := ""
	flush := func() {
		if y <= a.y+a.h {
			s.Text(a.x, y, f, grey, s.Fitted(f, line, a.w))
		}
		y += s.u(15)
	}
	for _, word := range strings.Fields(text) {
		if line != "" && s.TextWidth(f, line+" "+word) > a.w {
			flush()
			line = word
			continue
		}
		line = strings.TrimSpace(line + " " + word)
	}
	flush()
}

// right writes a text that ends at x, and returns where it begins.
func (s *scene) right(x, y float64, f canvas.Font, c canvas.Colour, text string) float64 {
	x -= s.TextWidth(f, text)
	s.Text(x, y, f, c, text)
	return x
}

func (s *scene) title(a area) {
	base := a.y + s.u(18)
	end := a.x + a.w
	state, colour := s.progress()
	end = s.right(end, base, s.bold(14), colour, state) - s.u(16)
	x := a.x + s.Text(a.x, base, s.bold(16), ink, s.Fitted(s.bold(16), s.state.Run, end-a.x)) + s.u(14)
	if start := s.state.Start; start != nil && x < end {
		text := start.Network
		if start.Parameters > 0 {
			text += " · " + humanize.Comma(int64(start.Parameters)) + " parameters"
		}
		if start.Device != "" {
			text += " · trained on " + start.Device
		}
		s.Text(x, base, s.font(12), grey, s.Fitted(s.font(12), text, end-x))
	}
}

// progress says in a word or two how far the run is, and the colour of that.
func (s *scene) progress() (string, canvas.Colour) {
	end := s.state.End
	switch {
	case s.o.Paused:
		return "paused", orange
	case end != nil && end.State == "finished":
		return "finished", green
	case end != nil:
		return end.State, orange
	case s.state.Step != nil:
		return "training", blue
	}
	return fmt.Sprintf("after epoch %d", len(s.state.Epochs)), blue
}

// footer draws the progress bar, the status line and the keys.
func (s *scene) footer(a area) {
	height := s.u(6)
	s.Rectangle(a.x, a.y, a.w, height, faint)
	colour := blue
	if s.state.End != nil {
		colour = green
	}
	s.Rectangle(a.x, a.y, a.w*s.done(), height, colour)
	s.status(area{a.x, a.y + s.u(10), a.w, s.u(18)})
	base := a.y + s.u(47)
	end := s.right(a.x+a.w, base, s.font(11), grey, s.o.Drawn)
	const keys = "space pause   ← → sample   s save picture   f full screen   q quit"
	text, c := keys, grey
	if s.o.Message != "" {
		text, c = s.o.Message, ink
	} else if n := len(s.state.Notes); n > 0 {
		text = keys + "   –   " + s.state.Notes[n-1]
	}
	s.Text(a.x, base, s.font(11), c, s.Fitted(s.font(11), text, end-a.x-s.u(20)))
}

// done is the fraction of the run that is over.
func (s *scene) done() float64 {
	start, step := s.state.Start, s.state.Step
	switch {
	case s.state.End != nil && s.state.End.State == "finished":
		return 1
	case start == nil || start.Epochs <= 0:
		return 0
	case step != nil && step.Images > 0:
		return min(1, (float64(step.Epoch-1)+float64(step.ImagesDone)/float64(step.Images))/float64(start.Epochs))
	}
	return min(1, float64(len(s.state.Epochs))/float64(start.Epochs))
}

// status writes the figures of the moment.
func (s *scene) status(a area) {
	f := s.font(13)
	s.Text(a.x, a.y+s.u(14), f, ink, s.Fitted(f, strings.Join(s.figures(), "   "), a.w))
}

func (s *scene) figures() []string {
	start, step, epochs := s.state.Start, s.state.Step, s.state.Epochs
	if start == nil {
		return []string{"waiting for the first event"}
	}
	if end := s.state.End; end != nil {
		return s.outcome()
	}
	if step != nil {
		list := []string{fmt.Sprintf("epoch %d of %d", step.Epoch, start.Epochs), fmt.Sprintf("%d %%", int(100*float64(step.ImagesDone)/float64(max(step.Images, 1)))),
			fmt.Sprintf("loss %.3f", step.Loss), "accuracy " + percent(step.Accuracy), humanize.Comma(int64(step.ImagesPerSecond)) + " images/s"}
		if step.ETASeconds > 0 {
			list = append(list, duration(step.ETASeconds)+" left")
		}
		return append(list, start.Device)
	}
	list := []string{fmt.Sprintf("epoch %d of %d", len(epochs), start.Epochs)}
	if n := len(epochs); n > 0 {
		last := epochs[n-1]
		list = append(list, fmt.Sprintf("loss %.3f", last.TrainLoss), s.selectedName()+" accuracy "+percent(last.ValAccuracy), humanize.Comma(int64(last.ImagesPerSecond))+" images/s")
		if left := start.Epochs - n; left > 0 {
			list = append(list, "about "+duration(float64(left)*last.Seconds)+" to train after it")
		}
	}
	return append(list, start.Device)
}

// outcome says how the run ended.
func (s *scene) outcome() []string {
	end := s.state.End
	list := []string{end.State + " after " + english.Plural(len(s.state.Epochs), "epoch", "")}
	if end.Stopped != "" {
		list = append(list, end.Stopped)
	}
	if m := end.Metrics; m != nil {
		list = append(list, "test accuracy "+percent(m.Accuracy), fmt.Sprintf("macro F1 %.4f", m.Macro.F1), fmt.Sprintf("loss %.3f", m.Loss))
	}
	if end.Error != "" {
		list = append(list, end.Error)
	}
	return append(list, s.state.Start.Device)
}

func (s *scene) selectedName() string {
	if s.state.Start != nil && s.state.Start.SelectOn == "test" {
		return "test"
	}
	return "validation"
}

func percent(fraction float64) string {
	if math.IsNaN(fraction) {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*fraction)
}

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
