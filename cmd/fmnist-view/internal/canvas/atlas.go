package canvas

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"sync"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// AtlasSize is the height and width of an [Atlas].
const AtlasSize = 2048

// glyphRows is the height of the atlas' part for letters; the rest is for pictures.
const glyphRows = 640

// Atlas is a picture that holds everything that a canvas draws with: letters,
// pictures, and a white texel for plain colour.
type Atlas struct {
	Pixels *image.RGBA

	faces    map[Font]font.Face
	glyphs   map[glyphKey]glyph
	letters  shelves
	pictures map[any]image.Rectangle // empty if there was no room
	rest     shelves
	dirty    image.Rectangle
}

// Font is a size of the family that the project's plots use, in pixels per em.
type Font struct {
	Size int
	Bold bool
}

type glyphKey struct {
	Font
	letter rune
}

// glyph is a letter in the atlas.
type glyph struct {
	at      image.Rectangle // in the atlas; empty for a space
	offset  image.Point     // from the letter's origin on the baseline to its top left corner
	advance fixed.Int26_6
}

// shelves places rectangles in rows, from the top.
type shelves struct {
	area         image.Rectangle
	x, y, height int // of the current row
}

// place returns room for a rectangle, with a margin of a texel; ok is false if there is
// none.
func (s *shelves) place(size image.Point) (r image.Rectangle, ok bool) {
	w, h := size.X+1, size.Y+1
	if s.x+w > s.area.Dx() {
		s.x, s.y, s.height = 0, s.y+s.height, 0
	}
	if s.x+w > s.area.Dx() || s.y+h > s.area.Dy() {
		return image.Rectangle{}, false
	}
	corner := s.area.Min.Add(image.Pt(s.x, s.y))
	s.x, s.height = s.x+w, max(s.height, h)
	return image.Rectangle{corner, corner.Add(size)}, true
}

// Typefaces, parsed once.
var typefaces = sync.OnceValue(func() map[bool]*opentype.Font {
	faces := map[bool]*opentype.Font{}
	for bold, ttf := range map[bool][]byte{false: liberationsansregular.TTF, true: liberationsansbold.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			panic(err) // a font that is part of the program
		}
		faces[bold] = f
	}
	return faces
})

// NewAtlas returns an atlas whose first texel is white.
func NewAtlas() *Atlas {
	a := &Atlas{Pixels: image.NewRGBA(image.Rect(0, 0, AtlasSize, AtlasSize)), faces: map[Font]font.Face{}, glyphs: map[glyphKey]glyph{}}
	a.letters.area = image.Rect(0, 0, AtlasSize, glyphRows)
	white, _ := a.letters.place(image.Pt(1, 1))
	a.Pixels.SetRGBA(white.Min.X, white.Min.Y, color.RGBA{255, 255, 255, 255})
	a.dirty = white
	a.Forget()
	return a
}

// Forget drops the pictures, so that others have room.
func (a *Atlas) Forget() {
	a.pictures = map[any]image.Rectangle{}
	a.rest = shelves{area: image.Rect(0, glyphRows, AtlasSize, AtlasSize)}
}

// Dirty returns the part that has changed since the last call.
func (a *Atlas) Dirty() image.Rectangle {
	r := a.dirty
	a.dirty = image.Rectangle{}
	return r
}

// face returns a size of the family.
func (a *Atlas) face(f Font) font.Face {
	if face := a.faces[f]; face != nil {
		return face
	}
	face, err := opentype.NewFace(typefaces()[f.Bold], &opentype.FaceOptions{Size: float64(f.Size), DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic(err) // cannot happen: the options are valid
	}
	a.faces[f] = face
	return face
}

// glyph returns a letter, which it draws into the atlas when it is first needed.
func (a *Atlas) glyph(f Font, letter rune) glyph {
	key := glyphKey{f, letter}
	if g, ok := a.glyphs[key]; ok {
		return g
	}
	box, mask, from, advance, ok := a.face(f).Glyph(fixed.Point26_6{}, letter)
	g := glyph{advance: advance}
	if ok && !box.Empty() {
		if at, ok := a.letters.place(box.Size()); ok {
			g.at, g.offset = at, box.Min
			// White with the letter's coverage as alpha, so that a colour can tint it.
			for y := range at.Dy() {
				for x := range at.Dx() {
					_, _, _, alpha := mask.At(from.X+x, from.Y+y).RGBA()
					a.Pixels.SetRGBA(at.Min.X+x, at.Min.Y+y, color.RGBA{255, 255, 255, uint8(alpha >> 8)})
				}
			}
			a.dirty = a.dirty.Union(at)
		}
	}
	a.glyphs[key] = g
	return g
}

// picture returns the place of a picture, which it draws into the atlas if the key
// is new.
func (a *Atlas) picture(key any, make func() image.Image) image.Rectangle {
	if r, ok := a.pictures[key]; ok {
		return r
	}
	img := make()
	r, ok := a.rest.place(img.Bounds().Size())
	if ok {
		draw.Draw(a.Pixels, r, img, img.Bounds().Min, draw.Src)
		a.dirty = a.dirty.Union(r)
	}
	a.pictures[key] = r
	return r
}

// advance returns the width of a text in whole pixels.
func (a *Atlas) advance(f Font, text string) int {
	sum, before := fixed.Int26_6(0), rune(-1)
	for _, letter := range text {
		if before >= 0 {
			sum += a.face(f).Kern(before, letter)
		}
		sum += a.glyph(f, letter).advance
		before = letter
	}
	return int(math.Ceil(float64(sum) / 64))
}
