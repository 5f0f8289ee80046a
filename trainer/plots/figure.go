package plots

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Scale is the number of picture pixels per CSS pixel: shown at its width in pixels
// divided by Scale, a picture is sharp on a high-density screen.
const Scale = 2

// baseDPI is the resolution at a scale of 1.
const baseDPI = 110

const (
	margin = vg.Length(8) // around a picture
	gap    = vg.Length(6) // between the parts of a header
)

// entry is a line of a legend.
type entry struct {
	name   string
	thumbs []plot.Thumbnailer // drawn on top of each other; none for a remark
}

// header is the text above the data, which it does not cover.
type header struct {
	title  string
	note   string // what the picture shows and how to read it
	legend []entry
}

// thumbWidth is the width of the samples in a legend.
const thumbWidth = vg.Length(22)

// labels returns the names in the legend as they are drawn.
func (h header) labels() []string {
	names := make([]string, len(h.legend))
	for i, e := range h.legend {
		names[i] = e.name
	}
	return apart(names, longestName)
}

// legendColumns returns the number of columns, of equal width, in which the legend is
// arranged, and their width.
func (h header) legendColumns(width vg.Length) (columns int, column vg.Length) {
	style := textStyle(labelSize, ink)
	for _, label := range h.labels() {
		column = max(column, style.Width(label)+thumbWidth+3*gap)
	}
	return min(max(1, int(width/column)), len(h.legend)), column
}

// height returns the height of the header at a width.
func (h header) height(width vg.Length) vg.Length {
	var total vg.Length
	if h.title != "" {
		total += lineHeight(titleStyle()) + gap/2
	}
	if h.note != "" {
		style := textStyle(smallSize, grey)
		total += vg.Length(len(wrapped(h.note, width, style)))*lineHeight(style) + gap
	}
	if len(h.legend) > 0 {
		columns, _ := h.legendColumns(width)
		rows := (len(h.legend) + columns - 1) / columns
		total += vg.Length(rows)*lineHeight(textStyle(labelSize, ink)) + gap
	}
	return total
}

// draw draws the header at the top of a canvas and returns the rest of the canvas.
func (h header) draw(c draw.Canvas) draw.Canvas {
	y := c.Max.Y
	if h.title != "" {
		c.FillText(titleStyle(), vg.Point{X: c.Min.X, Y: y}, h.title)
		y -= lineHeight(titleStyle()) + gap/2
	}
	if h.note != "" {
		style := textStyle(smallSize, grey)
		for _, line := range wrapped(h.note, c.Size().X, style) {
			c.FillText(style, vg.Point{X: c.Min.X, Y: y}, line)
			y -= lineHeight(style)
		}
		y -= gap
	}
	if len(h.legend) > 0 {
		y = h.drawLegend(c, y) - gap
	}
	c.Max.Y = y
	return c
}

// drawLegend draws the legend below y, row by row, and returns where it ends.
func (h header) drawLegend(c draw.Canvas, y vg.Length) vg.Length {
	style := textStyle(labelSize, ink)
	columns, column := h.legendColumns(c.Size().X)
	height, labels := lineHeight(style), h.labels()
	for i, e := range h.legend {
		if i > 0 && i%columns == 0 {
			y -= height
		}
		x := c.Min.X + vg.Length(i%columns)*column
		sample := c
		sample.Rectangle = vg.Rectangle{Min: vg.Point{X: x, Y: y - height*.8}, Max: vg.Point{X: x + thumbWidth, Y: y - height*.1}}
		for _, t := range e.thumbs {
			t.Thumbnail(&sample)
		}
		if len(e.thumbs) > 0 {
			x += thumbWidth + gap
		}
		c.FillText(style, vg.Point{X: x, Y: y}, labels[i])
	}
	return y - height
}

// lineHeight is the distance from one line of text to the next.
func lineHeight(style text.Style) vg.Length { return style.Font.Size * 1.3 }

// wrapped breaks text into lines no wider than width, at spaces and within words that
// are wider than that.
func wrapped(s string, width vg.Length, style text.Style) []string {
	var lines []string
	for _, paragraph := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Split(paragraph, " ") { // not at no-break spaces
			if line != "" && style.Width(line+" "+word) <= width {
				line += " " + word
				continue
			}
			if line != "" {
				lines = append(lines, line)
			}
			line = word
			for style.Width(line) > width && len([]rune(line)) > 1 {
				head := fitting(line, width, style)
				lines = append(lines, head)
				line = line[len(head):]
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// fitting returns the characters of a word that fit into width, at least one. It breaks
// after punctuation if there is any in the second half of them.
func fitting(word string, width vg.Length, style text.Style) string {
	runes := []rune(word)
	n := 1
	for n < len(runes) && style.Width(string(runes[:n+1])) <= width {
		n++
	}
	if at := strings.LastIndexAny(string(runes[:n]), "/-_.,"); at >= len(string(runes[:n]))/2 {
		return string(runes[:n])[:at+1]
	}
	return string(runes[:n])
}

// canvas is a picture that is being drawn.
type canvas struct {
	draw.Canvas // within the margins
	image       *vgimg.Canvas
	dpi         int
}

// newCanvas returns a white picture.
func newCanvas(width, height vg.Length, scale int) *canvas {
	on := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(baseDPI*scale), vgimg.UseBackgroundColor(color.White))
	return &canvas{draw.Crop(draw.New(on), margin, -margin, margin, -margin), on, baseDPI * scale}
}

// png encodes the picture with its resolution, from which programs that print pictures
// take their size.
func (c *canvas) png() ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, compact(c.image.Image().(*image.RGBA))); err != nil {
		return nil, err
	}
	const header = 8 + 25 // signature and IHDR, after which pHYs may follow
	perMetre := uint32(math.Round(float64(c.dpi) / .0254))
	chunk := binary.BigEndian.AppendUint32(nil, 9)
	chunk = append(chunk, "pHYs"...)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = binary.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1) // the unit is the metre
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	plain := b.Bytes()
	return append(append(plain[:header:header], chunk...), plain[header:]...), nil
}

// compact returns the picture with a palette, which makes it a third of the size, if
// every colour that is not in the palette (mostly of edges of text and lines) has one
// there that looks the same, except in a few pixels. Otherwise it returns the picture
// itself.
func compact(picture *image.RGBA) image.Image {
	const (
		alike = 5    // largest difference in a channel that cannot be seen
		seen  = 16   // largest difference in a channel that is hardly seen
		few   = 1000 // one pixel in this many may differ more
	)
	pixels := map[color.RGBA]int{}
	eachRun(picture, func(c color.RGBA, from, to int) { pixels[c] += to - from })
	byCount := slices.SortedFunc(maps.Keys(pixels), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(pixels[b], pixels[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette []color.RGBA
	index, wrong := map[color.RGBA]uint8{}, 0
	for _, c := range byCount {
		at, apart := nearest(palette, c)
		if apart > alike && len(palette) < 256 {
			at, apart = len(palette), 0
			palette = append(palette, c)
		}
		if apart > seen {
			wrong += pixels[c]
		}
		index[c] = uint8(at)
	}
	if wrong*few > len(picture.Pix)/4 {
		return picture
	}
	out := image.NewPaletted(picture.Rect, nil)
	for _, c := range palette {
		out.Palette = append(out.Palette, c)
	}
	eachRun(picture, func(c color.RGBA, from, to int) {
		at := index[c]
		for i := from; i < to; i++ {
			out.Pix[i] = at
		}
	})
	return out
}

// eachRun calls f for each run of pixels of equal colour. All pixels must be opaque.
func eachRun(picture *image.RGBA, f func(c color.RGBA, from, to int)) {
	pix := picture.Pix
	from := 0
	for i := 4; i <= len(pix); i += 4 {
		if i == len(pix) || pix[i] != pix[4*from] || pix[i+1] != pix[4*from+1] || pix[i+2] != pix[4*from+2] {
			f(color.RGBA{pix[4*from], pix[4*from+1], pix[4*from+2], 255}, from, i/4)
			from = i / 4
		}
	}
}

// nearest returns the index of the colour in a palette that is nearest to c, and their
// largest difference in a channel.
func nearest(palette []color.RGBA, c color.RGBA) (at, apart int) {
	apart = math.MaxInt
	for i, p := range palette {
		d := max(absolute(p.R, c.R), absolute(p.G, c.G), absolute(p.B, c.B))
		if d < apart {
			at, apart = i, d
		}
	}
	return at, apart
}

func absolute(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// figure is a header over plots side by side.
type figure struct {
	header
	width, height vg.Length // of the plots; the header adds to it
	panels        []*plot.Plot
}

// png draws the figure.
func (f figure) png() ([]byte, error) {
	inner := f.width - 2*margin
	c := newCanvas(f.width, f.height+f.header.height(inner)+2*margin, Scale)
	rest := f.header.draw(c.Canvas)
	// The panels' titles are aligned, regardless of the space that their axes take.
	titles, line := make([]string, len(f.panels)), rest.Max.Y
	for i, p := range f.panels {
		titles[i], p.Title.Text = p.Title.Text, ""
	}
	style := panelTitleStyle()
	if titles[0] != "" {
		rest.Max.Y -= lineHeight(style) + gap/2
	}
	tiles := draw.Tiles{Rows: 1, Cols: len(f.panels), PadX: vg.Points(18)}
	for i, panel := range plot.Align([][]*plot.Plot{f.panels}, tiles, rest)[0] {
		f.panels[i].Draw(panel)
		data := f.panels[i].DataCanvas(panel)
		c.FillText(style, vg.Point{X: data.Center().X, Y: line}, titles[i])
	}
	return c.png()
}
