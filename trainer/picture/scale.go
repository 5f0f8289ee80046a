package picture

import (
	"fmt"
	"image"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// IsGray reports whether every pixel is grey: red, green and blue are equal. What is
// transparent counts as white.
func IsGray(img image.Image) bool {
	switch img.(type) {
	case *image.Gray, *image.Gray16:
		return true
	}
	p := flatten(img)
	for y := range p.Rect.Dy() {
		row := p.Pix[y*p.Stride:][:4*p.Rect.Dx()]
		for i := 0; i < len(row); i += 4 {
			if row[i] != row[i+1] || row[i] != row[i+2] {
				return false
			}
		}
	}
	return true
}

// Bytes returns the pixels of a picture, (H, W, C), grey for 1 channel and red,
// green and blue for 3. Colours become grey as Pillow's convert("L") has it (ITU-R
// 601 luma), and what is transparent lies on white. It panics for another number of
// channels.
func Bytes(img image.Image, channels int) []byte {
	if channels != 1 && channels != 3 {
		panic(fmt.Sprintf("picture: %d channels, want 1 or 3", channels))
	}
	p := flatten(img)
	pixels := make([]byte, 0, p.Rect.Dx()*p.Rect.Dy()*channels)
	for y := range p.Rect.Dy() {
		row := p.Pix[y*p.Stride:][:4*p.Rect.Dx()]
		for i := 0; i < len(row); i += 4 {
			if channels == 1 {
				pixels = append(pixels, luma(row[i:]))
			} else {
				pixels = append(pixels, row[i:i+3]...)
			}
		}
	}
	return pixels
}

// luma returns the grey of a pixel as Pillow rounds it. The standard library's
// color.GrayModel has the same weights but rounds down.
func luma(rgb []byte) byte {
	return byte((19595*uint32(rgb[0]) + 38470*uint32(rgb[1]) + 7471*uint32(rgb[2]) + 1<<15) >> 16)
}

// Crop scales a picture so that it covers h × w, keeping its aspect ratio, and cuts
// off what is over, half of it on each side. It is the size and the place that
// torchvision's Resize and CenterCrop give, and their antialiased bilinear filter.
// A picture of that size is taken as it is, but for what is transparent, which
// becomes white.
func Crop(img image.Image, h, w int) image.Image {
	p := flatten(img)
	size := p.Rect.Size()
	if size.X == w && size.Y == h {
		return p
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if p.Rect.Empty() {
		return flatten(dst) // white
	}
	scaled := image.Pt(w, size.Y*w/size.X)
	if h*size.X >= w*size.Y {
		scaled = image.Pt(size.X*h/size.Y, h)
	}
	half := func(n int) int { return int(math.RoundToEven(float64(n) / 2)) }
	place := image.Pt(-half(scaled.X-w), -half(scaled.Y-h))
	scale(dst, image.Rectangle{place, place.Add(scaled)}, p)
	return dst
}

// scale draws src into the rectangle dr, which may reach beyond dst. Scaling down is
// antialiased: every pixel of src counts.
func scale(dst *image.RGBA, dr image.Rectangle, src *image.RGBA) {
	sr := src.Rect
	sx, sy := float64(dr.Dx())/float64(sr.Dx()), float64(dr.Dy())/float64(sr.Dy())
	tx, ty := float64(dr.Min.X)-sx*float64(sr.Min.X), float64(dr.Min.Y)-sy*float64(sr.Min.Y)
	// Transform counts the pixels of dr in 32 bits, too few for a very long picture:
	// it is given the part of src that dst needs.
	need := func(least, most int, s, t float64) (int, int) {
		reach := max(1, 1/s) + 1 // of the filter, in pixels of src, and one for rounding
		return int(math.Floor((float64(least)-t)/s - reach)), int(math.Ceil((float64(most)-t)/s + reach))
	}
	x0, x1 := need(dst.Rect.Min.X, dst.Rect.Max.X, sx, tx)
	y0, y1 := need(dst.Rect.Min.Y, dst.Rect.Max.Y, sy, ty)
	sr = sr.Intersect(image.Rect(x0, y0, x1, y1))
	draw.BiLinear.Transform(dst, f64.Aff3{sx, 0, tx, 0, sy, ty}, src, sr, draw.Src, nil)
}

// flatten returns a picture as opaque 8-bit colours from the origin on; what is
// transparent lies on white. The result may share the picture's memory.
func flatten(img image.Image) *image.RGBA {
	b := img.Bounds()
	if p, ok := img.(*image.RGBA); ok && b.Min == (image.Point{}) && p.Opaque() {
		return p
	}
	flat := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(flat, flat.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, img, b.Min, draw.Over)
	return flat
}
