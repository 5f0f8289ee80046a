package scene

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"sync"

	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/palette/moreland"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// shades is a colour map in steps, for parts from 0 to 1.
type shades [256]color.RGBA

func newShades(m palette.ColorMap) *shades {
	m.SetMin(0)
	m.SetMax(255)
	s := &shades{}
	for i := range s {
		c, err := m.At(float64(i))
		if err != nil {
			panic(err) // cannot happen: the value is in the map's range
		}
		s[i] = color.RGBAModel.Convert(c).(color.RGBA)
	}
	return s
}

// at returns a part's colour; NaN, of a network that has diverged, is grey.
func (s *shades) at(part float64) color.RGBA {
	if math.IsNaN(part) {
		return color.RGBA{128, 128, 128, 255}
	}
	return s[int(math.Round(255*min(max(part, 0), 1)))]
}

var (
	heat      = sync.OnceValue(func() *shades { return newShades(moreland.Kindlmann()) })
	diverging = sync.OnceValue(func() *shades { return newShades(moreland.SmoothBlueRed()) })
)

// pictureKey identifies a picture of an atlas.
type pictureKey struct {
	what    string
	version int
	part    int
	columns int
}

// tiles is a mosaic of equal pictures.
type tiles struct {
	n, w, h int // number, and size of each in texels
	gap     int // between them, in texels
	at      func(tile, x, y int) color.RGBA
}

// layout returns the number of columns that shows the tiles largest in an area, and
// the size of a texel there, which is whole if it can be.
func (t tiles) layout(a area) (columns int, texel float64) {
	for c := 1; c <= t.n; c++ {
		rows := (t.n + c - 1) / c
		size := min(a.w/float64(c*(t.w+t.gap)-t.gap), a.h/float64(rows*(t.h+t.gap)-t.gap))
		if size > texel {
			columns, texel = c, size
		}
	}
	if texel >= 1 {
		texel = math.Floor(texel)
	}
	return columns, texel
}

// mosaic draws tiles in an area and returns the size that they take.
func (s *scene) mosaic(a area, t tiles, key pictureKey, most float64) (w, h float64) {
	columns, texel := t.layout(a)
	if columns == 0 {
		return 0, 0
	}
	texel = min(texel, most)
	rows := (t.n + columns - 1) / columns
	width, height := columns*(t.w+t.gap)-t.gap, rows*(t.h+t.gap)-t.gap
	key.columns = columns
	w, h = float64(width)*texel, float64(height)*texel
	s.Picture(math.Round(a.x), math.Round(a.y), w, h, key, func() image.Image {
		img := image.NewRGBA(image.Rect(0, 0, width, height))
		for i := range img.Pix {
			img.Pix[i] = []uint8{panelFill.R, panelFill.G, panelFill.B, 255}[i%4]
		}
		for i := range t.n {
			for y := range t.h {
				for x := range t.w {
					img.SetRGBA(i%columns*(t.w+t.gap)+x, i/columns*(t.h+t.gap)+y, t.at(i, x, y))
				}
			}
		}
		return img
	})
	return w, h
}

func (s *scene) filterTitle() string {
	if e := s.state.Inside.Epoch; e > 0 {
		return fmt.Sprintf("Filters of the first layer after epoch %d", e)
	}
	return "Filters of the first layer"
}

// filters draws the first layer's weights.
func (s *scene) filters(a area) {
	in := s.state.Inside
	if in.Filters == nil {
		s.say(a, s.lacking())
		return
	}
	n, h, w, channels := in.FilterShape[0], in.FilterShape[1], in.FilterShape[2], in.FilterShape[3]
	largest := max(slices.Max(in.Filters), -slices.Min(in.Filters))
	a.h -= s.u(15)
	s.mosaic(a, tiles{n: min(n, 64), w: w, h: h, gap: 1, at: func(tile, x, y int) color.RGBA {
		at := ((tile*h+y)*w + x) * channels
		if channels == 3 {
			level := func(v float32) uint8 { return uint8(255 * min(max((float64(v/largest)+1)/2, 0), 1)) }
			return color.RGBA{level(in.Filters[at]), level(in.Filters[at+1]), level(in.Filters[at+2]), 255}
		}
		return diverging().at((float64(in.Filters[at]/largest) + 1) / 2)
	}}, pictureKey{what: "filters", version: in.Version}, s.u(16))
	note := fmt.Sprintf("%d filters of %d×%d; blue −%.2g, red +%.2g", n, h, w, largest, largest)
	if channels == 3 {
		note = fmt.Sprintf("%d filters of %d×%d in colour; mid grey 0, black −%.2g, white +%.2g", n, h, w, largest, largest)
	}
	s.Text(a.x, a.y+a.h+s.u(12), s.font(10), grey, s.Fitted(s.font(10), note, a.w))
}

// lacking says why there are no weights to look at.
func (s *scene) lacking() string {
	if n := len(s.state.Notes); n > 0 {
		return s.state.Notes[n-1]
	}
	if s.state.End == nil && len(s.state.Epochs) == 0 {
		return "The first weights come with the end of the first epoch."
	}
	return "The run's weights are not here: name its folder on the command line."
}

// mostChannels is the number of channels of a layer that are drawn.
const mostChannels = 64

// activations draws what each layer makes of the sample.
func (s *scene) activations(a area) {
	list := s.state.Inside.Activations
	if len(list) == 0 {
		s.say(a, s.lacking())
		return
	}
	list = s.shownLayers(list, a.h)
	var weights []float64
	for _, l := range list {
		weight := 1.1 // of a picture
		if len(l.Shape) == 1 {
			weight = .42
		}
		weights = append(weights, weight)
	}
	for i, part := range a.split(false, s.u(4), weights...) {
		s.layer(part, list[i], i)
	}
}

// shownLayers leaves out layers, from the first, until the others have room.
func (s *scene) shownLayers(list []trainer.Activation, height float64) []trainer.Activation {
	var kept []trainer.Activation
	for i, l := range list {
		// A fully connected layer is better seen after its activation function.
		if i+1 < len(list)-1 && len(l.Shape) == 1 && slices.Equal(l.Shape, list[i+1].Shape) {
			continue
		}
		kept = append(kept, l)
	}
	most := max(1, int(height/s.u(56)))
	if len(kept) > most {
		every := float64(len(kept)) / float64(most)
		var some []trainer.Activation
		for i := range most {
			some = append(some, kept[min(len(kept)-1, int(float64(i+1)*every)-1)])
		}
		kept = some
	}
	return kept
}

// figure formats a value with two digits.
func figure(v float32) string { return strings.Replace(fmt.Sprintf("%.2g", v), "-", "−", 1) }

func (s *scene) layer(a area, l trainer.Activation, number int) {
	f := s.font(10)
	low, high := slices.Min(l.Values), slices.Max(l.Values)
	t := tiles{n: l.Shape[len(l.Shape)-1], w: 1, h: 1}
	text := fmt.Sprintf("%s   %d values, %s to %s", strings.Join(l.Layers, " "), t.n, figure(low), figure(high))
	if len(l.Shape) == 3 {
		t.h, t.w, t.gap = l.Shape[0], l.Shape[1], 1
		text = fmt.Sprintf("%s   %d×%d, %d channels, %s to %s", strings.Join(l.Layers, " "), t.h, t.w, t.n, figure(low), figure(high))
		if t.n > mostChannels {
			text += fmt.Sprintf(" (%d shown)", mostChannels)
		}
	}
	channels := t.n
	t.n = min(t.n, map[bool]int{true: mostChannels, false: 512}[len(l.Shape) == 3])
	t.at = func(tile, x, y int) color.RGBA {
		v := l.Values[(y*t.w+x)*channels+tile]
		if !(high > low) {
			return heat().at(0)
		}
		return heat().at(float64((v - low) / (high - low)))
	}
	s.Text(a.x, a.y+s.u(9), f, grey, s.Fitted(f, text, a.w))
	a.y, a.h = a.y+s.u(14), a.h-s.u(14)
	if a.h >= s.u(4) {
		s.mosaic(a, t, pictureKey{what: "layer", version: s.state.Inside.Version, part: number}, s.u(14))
	}
}

func (s *scene) sampleTitle() string {
	if in := s.state.Inside; in.Samples > 0 {
		return fmt.Sprintf("Sample %d of %d", in.Sample+1, in.Samples)
	}
	return "Sample"
}

func (s *scene) class(label int) string {
	if label < len(s.classes) {
		return s.classes[label]
	}
	return fmt.Sprint("class ", label)
}

// sample draws the image, and what it is and is taken for.
func (s *scene) sample(a area) {
	in := s.state.Inside
	if in.Pixels == nil {
		s.say(a, s.lacking())
		return
	}
	h, w, channels := in.Shape[0], in.Shape[1], in.Shape[2]
	side := min(a.h, a.w/2)
	width, _ := s.mosaic(area{a.x, a.y, side, side}, tiles{n: 1, w: w, h: h, at: func(_, x, y int) color.RGBA {
		p := in.Pixels[(y*w+x)*channels:]
		if channels == 3 {
			return color.RGBA{p[0], p[1], p[2], 255}
		}
		return color.RGBA{p[0], p[0], p[0], 255}
	}}, pictureKey{what: "sample", version: in.Version}, s.u(12))
	s.verdict(area{a.x + width + s.u(12), a.y, a.w - width - s.u(12), a.h})
}

// verdict writes the sample's class and what it is taken for.
func (s *scene) verdict(a area) {
	in := s.state.Inside
	y, labels := a.y, a.h >= s.u(64) // with little room, the two classes alone
	write := func(label string, class int, c canvas.Colour) {
		if labels {
			s.Text(a.x, y+s.u(10), s.font(11), grey, label)
			y += s.u(16)
		}
		s.Text(a.x, y+s.u(10), s.bold(13), c, s.Fitted(s.bold(13), s.class(class), a.w))
		y += s.u(20)
	}
	write("is", in.Label, ink)
	if in.Probabilities == nil {
		return
	}
	best, colour := argmax(in.Probabilities), blue
	if best != in.Label {
		colour = orange
	}
	write("is taken for", best, colour)
}

func argmax(values []float32) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// probabilities draws a bar for each class, or for the most probable ones.
func (s *scene) probabilities(a area) {
	in := s.state.Inside
	if in.Probabilities == nil {
		s.say(a, s.lacking())
		return
	}
	order := make([]int, len(in.Probabilities))
	for i := range order {
		order[i] = i
	}
	most := max(1, int(a.h/s.u(13)))
	if len(order) > most {
		slices.SortStableFunc(order, func(x, y int) int {
			switch p, q := in.Probabilities[x], in.Probabilities[y]; {
			case p > q:
				return -1
			case p < q:
				return 1
			}
			return 0
		})
		order = order[:most]
	}
	row := min(a.h/float64(len(order)), s.u(22))
	f := s.font(min(12, row/s.o.Scale*.75))
	names := 0.
	for _, c := range order {
		names = max(names, s.TextWidth(f, s.class(c)))
	}
	names = min(names, a.w*.4) + s.u(8)
	figures := s.TextWidth(f, "100.0 %") + s.u(6)
	best := argmax(in.Probabilities)
	for i, c := range order {
		y := a.y + float64(i)*row
		base := y + row/2 + float64(f.Size)*.36
		colour, text := faded(blue, .55), grey
		if c == in.Label {
			colour, text = blue, ink
		} else if c == best {
			colour, text = orange, ink
		}
		s.right(a.x+names-s.u(8), base, f, text, s.Fitted(f, s.class(c), names-s.u(8)))
		bar := area{a.x + names, y + row*.2, a.w - names - figures, row * .6}
		s.Rectangle(bar.x, bar.y, bar.w, bar.h, faint)
		if p := float64(in.Probabilities[c]); p > 0 { // not NaN, of a network that has diverged
			s.Rectangle(bar.x, bar.y, bar.w*min(p, 1), bar.h, colour)
		}
		s.right(a.x+a.w, base, f, text, percent(float64(in.Probabilities[c])))
	}
}

// confusion draws the confusion matrix as a heat map, each row by its share.
func (s *scene) confusion(a area) {
	matrix := s.state.Confusion
	if len(matrix) == 0 {
		s.say(a, "The matrix comes with the first epoch's evaluation, or from the run's weights and dataset.")
		return
	}
	n := len(matrix)
	f := s.font(10)
	names := 0.
	if n <= 20 {
		for c := range n {
			names = max(names, s.TextWidth(f, s.class(c)))
		}
		names = min(names, a.w*.3) + s.u(6)
	}
	cell := min((a.w-names)/float64(n), (a.h-s.u(30))/float64(n))
	if cell >= 4 {
		cell = math.Floor(cell)
	}
	if cell*float64(n) < s.u(20) {
		return
	}
	x0 := a.x + names
	s.Rectangle(x0, a.y, cell*float64(n), cell*float64(n), faint)
	right := 0
	total := 0
	for row := range n {
		sum := 0
		for _, count := range matrix[row] {
			sum += count
		}
		total, right = total+sum, right+matrix[row][row]
		if names > 0 && cell >= s.u(10) {
			s.right(x0-s.u(6), a.y+(float64(row)+.5)*cell+s.u(4), f, grey, s.Fitted(f, s.class(row), names-s.u(6)))
		}
		for column, count := range matrix[row] {
			if count == 0 && cell < gridCell {
				continue // many classes have many of these
			}
			s.cell(area{x0 + float64(column)*cell, a.y + float64(row)*cell, cell, cell}, count, sum, row == column)
		}
	}
	below := a.y + cell*float64(n)
	s.Text(a.x, below+s.u(13), f, grey, s.Fitted(f, "rows: true class; columns: the class it is taken for, in the same order", a.w))
	note := s.state.ConfusionLabel
	if total > 0 {
		note += fmt.Sprintf(": %s right", percent(float64(right)/float64(total)))
	}
	s.Text(a.x, below+s.u(26), f, ink, s.Fitted(f, note, a.w))
}

// gridCell is the size in pixels from which cells are drawn with lines between them.
const gridCell = 8

// cell draws one count of a row of sum images.
func (s *scene) cell(a area, count, sum int, diagonal bool) {
	share := 0.
	if sum > 0 {
		share = float64(count) / float64(sum)
	}
	colour := orange
	if diagonal {
		colour = blue
	}
	gap := 0.
	if a.w >= gridCell {
		gap = 1
		s.Rectangle(a.x+a.w-1, a.y, 1, a.h, panelFill)
		s.Rectangle(a.x, a.y+a.h-1, a.w-1, 1, panelFill)
	}
	s.Rectangle(a.x, a.y, a.w-gap, a.h-gap, faded(colour, math.Sqrt(share)))
	f := canvas.Font{Size: int(a.w * .42)}
	if text := fmt.Sprint(count); count > 0 && f.Size >= 7 && s.TextWidth(f, text) < a.w-2 {
		tint := ink
		if share > .4 {
			tint = Background
		}
		s.Text(a.x+(a.w-gap-s.TextWidth(f, text))/2, a.y+a.h/2+float64(f.Size)*.36, f, tint, text)
	}
}
