// Package canvas builds pictures of triangles: lines, rectangles, letters and small
// pictures, all with one texture, the atlas. It knows nothing of what draws them.
package canvas

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/math/fixed"
)

// Colour is a colour with straight alpha.
type Colour = color.NRGBA

// RGB returns an opaque colour, given as 0xRRGGBB.
func RGB(hex uint32) Colour {
	return Colour{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

// VertexBytes is the size of a vertex: position in pixels and place in the atlas in
// texels, of two float32 each, and a colour of four bytes.
const VertexBytes = 20

// Canvas is a frame under construction: triangles from back to front.
type Canvas struct {
	Atlas         *Atlas
	Width, Height int // of the frame, in pixels
	Vertices      []byte
}

// Reset begins a new frame of a size.
func (c *Canvas) Reset(width, height int) {
	c.Width, c.Height, c.Vertices = width, height, c.Vertices[:0]
}

// point is a place in the frame or in the atlas.
type point struct{ x, y float64 }

func (c *Canvas) vertex(at, texel point, colour Colour) {
	b := c.Vertices
	for _, v := range []float64{at.x, at.y, texel.x, texel.y} {
		b = binary.NativeEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	c.Vertices = append(b, colour.R, colour.G, colour.B, colour.A)
}

// plain is the middle of the white texel.
var plain = point{.5, .5}

// quad draws a, b, c, d around a convex area, each corner in its own colour.
func (c *Canvas) quad(corners [4]point, colours [4]Colour) {
	for _, i := range []int{0, 1, 2, 0, 2, 3} {
		c.vertex(corners[i], plain, colours[i])
	}
}

// Rectangle fills a rectangle.
func (c *Canvas) Rectangle(x, y, width, height float64, colour Colour) {
	c.quad([4]point{{x, y}, {x + width, y}, {x + width, y + height}, {x, y + height}}, [4]Colour{colour, colour, colour, colour})
}

// Frame draws the outline of a rectangle, inside it.
func (c *Canvas) Frame(x, y, width, height, thickness float64, colour Colour) {
	c.Rectangle(x, y, width, thickness, colour)
	c.Rectangle(x, y+height-thickness, width, thickness, colour)
	c.Rectangle(x, y+thickness, thickness, height-2*thickness, colour)
	c.Rectangle(x+width-thickness, y+thickness, thickness, height-2*thickness, colour)
}

// Line draws lines through points, x and y in turn, with smooth edges. It breaks them at
// values that are NaN.
func (c *Canvas) Line(xy []float64, thickness float64, colour Colour) {
	for i := 0; i+3 < len(xy); i += 2 {
		c.segment(point{xy[i], xy[i+1]}, point{xy[i+2], xy[i+3]}, thickness, colour)
	}
}

// segment draws a straight line: a core of the colour, and a pixel on each side in which
// it fades.
func (c *Canvas) segment(a, b point, thickness float64, colour Colour) {
	dx, dy := b.x-a.x, b.y-a.y
	length := math.Hypot(dx, dy)
	if !(length > 0) {
		return
	}
	core := max(thickness-1, 0) / 2
	if thickness < 1 {
		colour.A = uint8(float64(colour.A) * thickness)
	}
	at := func(p point, side float64) point { return point{p.x - dy/length*side, p.y + dx/length*side} }
	clear := colour
	clear.A = 0
	fade := [4]Colour{clear, clear, colour, colour}
	c.quad([4]point{at(a, -core-1), at(b, -core-1), at(b, -core), at(a, -core)}, fade)
	c.quad([4]point{at(a, core+1), at(b, core+1), at(b, core), at(a, core)}, fade)
	if core > 0 {
		c.quad([4]point{at(a, -core), at(b, -core), at(b, core), at(a, core)}, [4]Colour{colour, colour, colour, colour})
	}
}

// textured draws a rectangle of the atlas.
func (c *Canvas) textured(x, y, width, height float64, from image.Rectangle, colour Colour) {
	corner := func(u, v float64) {
		c.vertex(point{x + u*width, y + v*height},
			point{float64(from.Min.X) + u*float64(from.Dx()), float64(from.Min.Y) + v*float64(from.Dy())}, colour)
	}
	for _, uv := range [][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 0}, {1, 1}, {0, 1}} {
		corner(uv[0], uv[1])
	}
}

// Picture draws a picture, enlarged or reduced without smoothing. Pictures of equal keys
// are the same until [Atlas.Forget]; make is called for a new key.
func (c *Canvas) Picture(x, y, width, height float64, key any, make func() image.Image) {
	if from := c.Atlas.picture(key, make); !from.Empty() {
		c.textured(x, y, width, height, from, RGB(0xFFFFFF))
	}
}

// Text draws a text whose baseline begins at x, y, and returns its width.
func (c *Canvas) Text(x, y float64, f Font, colour Colour, text string) (width float64) {
	pen, before := fixed.Int26_6(0), rune(-1)
	left, base := math.Round(x), math.Round(y)
	for _, letter := range text {
		if before >= 0 {
			pen += c.Atlas.face(f).Kern(before, letter)
		}
		g := c.Atlas.glyph(f, letter)
		if !g.at.Empty() {
			c.textured(left+float64(pen.Round()+g.offset.X), base+float64(g.offset.Y), float64(g.at.Dx()), float64(g.at.Dy()), g.at, colour)
		}
		pen += g.advance
		before = letter
	}
	return float64(pen.Ceil())
}

// TextWidth returns the width of a text.
func (c *Canvas) TextWidth(f Font, text string) float64 { return float64(c.Atlas.advance(f, text)) }

// Fitted returns a text, or as much of its beginning as fits a width, with an ellipsis.
func (c *Canvas) Fitted(f Font, text string, width float64) string {
	if c.TextWidth(f, text) <= width {
		return text
	}
	letters := []rune(text)
	for len(letters) > 0 && c.TextWidth(f, string(letters)+"…") > width {
		letters = letters[:len(letters)-1]
	}
	if len(letters) == 0 {
		return ""
	}
	return string(letters) + "…"
}
