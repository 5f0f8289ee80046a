package picture

import (
	"image"
	"math"
	"slices"
)

// Framing says how the pictures of a dataset were framed, so that others can be
// framed alike. The zero value means [FrameCrop].
type Framing string

// The framings.
const (
	// FrameCrop: scaled and centre-cropped, as [Crop] does.
	FrameCrop Framing = "crop"
	// FrameObject: the object alone, light on black, its longer side scaled to fill
	// the image and its shorter one centred, as Fashion-MNIST was made (Xiao, Rasul
	// and Vollgraf 2017, section 2).
	FrameObject Framing = "object"
)

// Invert says whether the background of a picture is light, so that the picture is
// inverted to be light on dark. The zero value means [InvertAuto].
type Invert string

// The choices of Invert.
const (
	// InvertAuto: judged by the border of each picture.
	InvertAuto Invert = "auto"
	// InvertYes: every background is light.
	InvertYes Invert = "yes"
	// InvertNo: every background is dark.
	InvertNo Invert = "no"
)

// Input makes the input of a network, (h, w, c), from any picture; c is 1 (grey) or
// 3 (red, green, blue).
//
// Under [FrameCrop] that is [Crop], and inverted under [InvertYes] alone.
//
// Under [FrameObject] every pixel becomes its distance from the background's colour,
// the background black. Edges like the background are trimmed off, and what is left
// is scaled to fill the image's longer side and centred. A picture that already has
// h × w pixels counts as one of the dataset's own: it is inverted if its background
// is light, and otherwise taken as it is.
func Input(img image.Image, framing Framing, invert Invert, h, w, c int) []byte {
	if framing != FrameObject {
		pixels := Bytes(Crop(img, h, w), c)
		if invert == InvertYes {
			negate(pixels)
		}
		return pixels
	}
	p := flatten(img)
	if p.Rect.Empty() {
		return make([]byte, h*w*c)
	}
	if p.Rect.Dx() == w && p.Rect.Dy() == h {
		pixels := Bytes(p, c)
		if back := backgroundOf(p, InvertAuto); invert == InvertYes || invert != InvertNo && back.light() {
			negate(pixels)
		}
		return pixels
	}
	back := backgroundOf(p, invert)
	box, found := back.trim(p)
	if !found {
		back.tolerance = -1 // as little as there is to see, nothing is masked
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := 3; i < len(dst.Pix); i += 4 {
		dst.Pix[i] = 255 // black
	}
	scale(dst, fit(box.Size(), h, w), back.subtract(p, box, c))
	return Bytes(dst, c)
}

func negate(pixels []byte) {
	for i, v := range pixels {
		pixels[i] = 255 - v
	}
}

// fit returns the place of a thing of a size in h × w pixels: scaled to fill one
// side, its other side centred and at least one pixel.
func fit(size image.Point, h, w int) image.Rectangle {
	scaled := func(n, to, of int) int { return max(1, int(math.Round(float64(n)*float64(to)/float64(of)))) }
	fitted := image.Pt(w, scaled(size.Y, w, size.X))
	if size.Y*w >= size.X*h {
		fitted = image.Pt(scaled(size.X, h, size.Y), h)
	}
	place := image.Pt((w-fitted.X)/2, (h-fitted.Y)/2)
	return image.Rectangle{place, place.Add(fitted)}
}

// background is the plain background of an object.
type background struct {
	colour    [3]byte
	tolerance int // the largest distance from colour of what is background still
}

// Distances are Euclidean, from 0 to the 442 between black and white. Fashion-MNIST
// was trimmed of what is within 5 % of the corners' colour. A background that varies,
// such as an unevenly lit or a noisy one, is given up to four times that. A shadow
// that is darker belongs to the object.
const (
	leastTolerance = 22
	mostTolerance  = 4 * leastTolerance
)

// backgroundOf judges the background by the border within a quarter of the sides
// from each corner, where it is right for all of Fashion-MNIST's 70,000 images: the
// middle of a side is where an object touches it. If the user knows the background to
// be light or dark, border pixels that are not belong to the object.
func backgroundOf(p *image.RGBA, invert Invert) background {
	border := corners(p)
	if invert == InvertYes || invert == InvertNo {
		border = slices.DeleteFunc(border, func(rgb [3]byte) bool { return (luma(rgb[:]) >= 128) != (invert == InvertYes) })
	}
	if len(border) == 0 {
		if invert == InvertYes {
			return background{[3]byte{255, 255, 255}, leastTolerance}
		}
		return background{[3]byte{}, leastTolerance}
	}
	var b background
	values := make([]int, len(border))
	for channel := range b.colour {
		for i, rgb := range border {
			values[i] = int(rgb[channel])
		}
		b.colour[channel] = byte(median(values))
	}
	for i, rgb := range border {
		values[i] = b.distance2(rgb[:])
	}
	// Five times the median leaves out one in a thousand pixels of Gaussian noise,
	// even if it is the same in all colours.
	noise := int(5 * math.Sqrt(float64(median(values))))
	b.tolerance = min(max(leastTolerance, noise), mostTolerance)
	return b
}

// corners returns the colours of the border within a quarter of the sides from each
// corner, of a long side about a thousand.
func corners(p *image.RGBA) [][3]byte {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	var colours [][3]byte
	add := func(x, y int) {
		colours = append(colours, [3]byte(p.Pix[y*p.Stride+4*x:]))
	}
	for x := 0; x < (w+3)/4; x += 1 + w/4000 {
		for _, y := range []int{0, h - 1} {
			add(x, y)
			add(w-1-x, y)
		}
	}
	for y := 1; y < (h+3)/4; y += 1 + h/4000 {
		for _, x := range []int{0, w - 1} {
			add(x, y)
			add(x, h-1-y)
		}
	}
	return colours
}

// median sorts the values and returns the middle one.
func median(values []int) int {
	slices.Sort(values)
	return values[len(values)/2]
}

func (b background) light() bool { return luma(b.colour[:]) >= 128 }

// distance2 returns the squared distance of a pixel from the background's colour.
func (b background) distance2(rgb []byte) int {
	sum := 0
	for channel, v := range b.colour {
		d := int(rgb[channel]) - int(v)
		sum += d * d
	}
	return sum
}

// covers reports whether a pixel belongs to the background.
func (b background) covers(rgb []byte) bool {
	return b.tolerance >= 0 && b.distance2(rgb) <= b.tolerance*b.tolerance
}

// trim returns the box of the object. A row or column belongs to it if one per cent
// of its pixels do, so that specks do not count, or failing that, if one pixel does.
// A picture of nothing but background is all object, and found is false.
func (b background) trim(p *image.RGBA) (box image.Rectangle, found bool) {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	rows, columns := make([]int, h), make([]int, w)
	for y := range h {
		row := p.Pix[y*p.Stride:][:4*w]
		for x := range w {
			if !b.covers(row[4*x:]) {
				rows[y]++
				columns[x]++
			}
		}
	}
	for _, least := range []image.Point{{max(1, h/100), max(1, w/100)}, {1, 1}} {
		x0, x1 := span(columns, least.X)
		y0, y1 := span(rows, least.Y)
		if x0 < x1 && y0 < y1 {
			return image.Rect(x0, y0, x1, y1), true
		}
	}
	return p.Rect, false
}

// span returns the first of the counts that is at least a number, and the one after
// the last.
func span(counts []int, least int) (from, to int) {
	for i, n := range counts {
		if n >= least {
			if to == 0 {
				from = i
			}
			to = i + 1
		}
	}
	return from, to
}

// subtract returns the part of a picture in the box as distances from the background,
// which is black: of the grey values for one channel, else of each colour. The
// largest distance that the background's colour leaves room for becomes 255, so a
// white background, or a black one, makes it a plain negative, or no change.
func (b background) subtract(p *image.RGBA, box image.Rectangle, channels int) *image.RGBA {
	back := b.colour
	if channels == 1 {
		grey := luma(b.colour[:])
		back = [3]byte{grey, grey, grey}
	}
	var levels [3][256]byte
	for channel, v := range back {
		from := int(v)
		for to := range 256 {
			levels[channel][to] = byte(max(from-to, to-from) * 255 / max(from, 255-from))
		}
	}
	object := image.NewRGBA(image.Rect(0, 0, box.Dx(), box.Dy()))
	for y := range box.Dy() {
		from := p.Pix[(box.Min.Y+y)*p.Stride+4*box.Min.X:][:4*box.Dx()]
		to := object.Pix[y*object.Stride:]
		for i := 0; i < len(from); i += 4 {
			rgb := [3]byte(from[i:])
			to[i+3] = 255
			if b.covers(rgb[:]) {
				continue
			}
			if channels == 1 {
				grey := luma(rgb[:])
				rgb = [3]byte{grey, grey, grey}
			}
			for channel, v := range rgb {
				to[i+channel] = levels[channel][v]
			}
		}
	}
	return object
}
