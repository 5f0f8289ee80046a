package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
)

// Crop differs from torchvision by one level of 255 at most: Pillow rounds after each
// direction, and draw rounds down once.
func TestCrop(t *testing.T) {
	img := open(t, "colour.png")
	for _, size := range [][2]int{{28, 28}, {16, 16}, {10, 24}, {28, 12}, {36, 36}} {
		h, w := size[0], size[1]
		name := fmt.Sprintf("crop_%dx%d.png", h, w)
		got := Crop(img, h, w)
		if got.Bounds() != image.Rect(0, 0, w, h) {
			t.Errorf("%s: bounds %v", name, got.Bounds())
		}
		if d := worst(t, Bytes(got, 3), Bytes(open(t, name), 3)); d > 1 {
			t.Errorf("%s: differs by %d from torchvision's, want at most 1", name, d)
		}
	}
	if d := worst(t, Bytes(Crop(img, 29, 40), 3), Bytes(img, 3)); d != 0 {
		t.Errorf("its own size: differs by %d", d)
	}
}

// uniform returns a picture of one colour.
func uniform(w, h int, c color.Color) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	fill(img, img.Rect, c)
	return img
}

func fill(img *image.NRGBA, r image.Rectangle, c color.Color) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.Set(x, y, c)
		}
	}
}

// Pictures of every size, however long, and without pixels give an input.
func TestOddSizes(t *testing.T) {
	grey := color.NRGBA{90, 90, 90, 255}
	for _, size := range []image.Point{{1, 1}, {2, 1}, {1, 3}, {100_000, 1}, {1, 100_000}, {50_000, 3}, {28, 27}, {27, 28}, {500, 499}} {
		img := uniform(size.X, size.Y, grey)
		for _, c := range []int{1, 3} {
			want := bytes.Repeat([]byte{90}, 28*20*c)
			if got := Input(img, FrameCrop, InvertAuto, 28, 20, c); !bytes.Equal(got, want) {
				t.Errorf("%v, crop to %d channels: %v", size, c, got)
			}
			for _, invert := range []Invert{InvertAuto, InvertYes, InvertNo, ""} {
				if got := Input(img, FrameObject, invert, 28, 20, c); len(got) != len(want) {
					t.Errorf("%v, object in %d channels: %d bytes", size, c, len(got))
				}
			}
		}
		if got := Input(img, FrameObject, InvertAuto, 28, 20, 1); !bytes.Equal(got, make([]byte, 28*20)) {
			t.Errorf("%v: all background, but not black: %v", size, got)
		}
	}
	for _, framing := range []Framing{FrameCrop, FrameObject} {
		if got := Input(image.NewGray(image.Rectangle{}), framing, InvertAuto, 4, 4, 1); len(got) != 16 {
			t.Errorf("no pixels, %s: %d bytes", framing, len(got))
		}
	}
}

// Where a picture's memory begins elsewhere than its bounds, and where those are not
// at the origin.
func TestSubImage(t *testing.T) {
	whole := image.NewRGBA(image.Rect(0, 0, 9, 9))
	for i := range whole.Pix {
		whole.Pix[i] = byte(i)
		if i%4 == 3 {
			whole.Pix[i] = 255
		}
	}
	part := whole.SubImage(image.Rect(0, 0, 4, 3))
	shifted := whole.SubImage(image.Rect(2, 1, 6, 4))
	for _, img := range []image.Image{part, shifted} {
		got := Bytes(img, 3)
		for i := range 4 * 3 {
			at := img.Bounds().Min.Add(image.Pt(i%4, i/4))
			if c := whole.RGBAAt(at.X, at.Y); !bytes.Equal(got[3*i:3*i+3], []byte{c.R, c.G, c.B}) {
				t.Fatalf("%v: pixel %d is %v, want %v", img.Bounds(), i, got[3*i:3*i+3], c)
			}
		}
	}
}

func TestTransparency(t *testing.T) {
	img := uniform(3, 1, color.NRGBA{200, 0, 0, 0})
	img.SetNRGBA(1, 0, color.NRGBA{0, 0, 0, 128})
	img.SetNRGBA(2, 0, color.NRGBA{10, 20, 30, 255})
	if got, want := Bytes(img, 3), []byte{255, 255, 255, 127, 127, 127, 10, 20, 30}; !bytes.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !IsGray(img.SubImage(image.Rect(0, 0, 2, 1))) || IsGray(img) {
		t.Error("IsGray sees the colour of what is transparent, or not that of what is opaque")
	}
}

// shirt draws a T-shirt that takes the box from (150, 130) to (450, 730) of 600 × 800
// pixels, with noise of a standard deviation.
func shirt(cloth, background color.NRGBA, noise float64) *image.NRGBA {
	img := uniform(600, 800, background)
	fill(img, image.Rect(200, 130, 400, 730), cloth)
	fill(img, image.Rect(150, 130, 450, 330), cloth)
	fill(img, image.Rect(270, 130, 330, 160), background) // the neck
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		if i%4 != 3 {
			img.Pix[i] = byte(min(max(float64(img.Pix[i])+noise*rng.NormFloat64(), 0), 255))
		}
	}
	return img
}

// extent returns the box of what is above a level in a 28 × 28 input.
func extent(pixels []byte, level byte) image.Rectangle {
	var box image.Rectangle
	for i, v := range pixels {
		if v > level {
			box = box.Union(image.Rect(i%28, i/28, i%28+1, i/28+1))
		}
	}
	return box
}

// A garment on a plain background fills the longer side and is centred, light on a
// background of exactly 0.
func TestProductPhotograph(t *testing.T) {
	var (
		white, black = color.NRGBA{255, 255, 255, 255}, color.NRGBA{0, 0, 0, 255}
		navy, cream  = color.NRGBA{20, 25, 60, 255}, color.NRGBA{228, 222, 205, 255}
		wall, red    = color.NRGBA{198, 200, 203, 255}, color.NRGBA{200, 30, 40, 255}
	)
	for _, c := range []struct {
		name              string
		cloth, background color.NRGBA
		noise             float64
		least             byte // value of the cloth
	}{
		{"dark on white", navy, white, 3, 220},
		{"cream on white", cream, white, 2, 25},
		{"dark on a grey wall", navy, wall, 6, 200},
		{"white on a grey wall", white, wall, 2, 60},
		{"red on a grey wall", red, wall, 6, 120},
		{"white on black", white, black, 4, 230},
		{"transparent background", navy, color.NRGBA{}, 0, 220},
	} {
		img := image.Image(shirt(c.cloth, c.background, c.noise))
		if c.background.A != 0 {
			img = jpegOf(t, img, 75)
		}
		got := Input(img, FrameObject, InvertAuto, 28, 28, 1)
		box := extent(got, c.least/2)
		if box.Min.Y != 0 || box.Max.Y != 28 || max(box.Min.X-7, 7-box.Min.X, box.Max.X-21, 21-box.Max.X) > 1 {
			t.Errorf("%s: the cloth takes %v, want (7,0)-(21,28), and within a pixel across", c.name, box)
		}
		for i, v := range got {
			x, y := i%28, i/28
			inside := x >= 10 && x < 18 && y >= 2 || x >= 8 && x < 20 && y >= 2 && y < 9
			outside := x < 6 || x >= 22 || y >= 11 && (x < 8 || x >= 20)
			if inside && v < c.least {
				t.Errorf("%s: cloth at (%d, %d) is %d, want at least %d", c.name, x, y, v, c.least)
			}
			if outside && v != 0 {
				t.Errorf("%s: background at (%d, %d) is %d, want 0", c.name, x, y, v)
			}
		}
	}
}

// Colours are kept under three channels, as distances from the background's.
func TestObjectColours(t *testing.T) {
	img := uniform(90, 60, color.NRGBA{0, 0, 0, 255})
	fill(img, image.Rect(30, 0, 60, 60), color.NRGBA{200, 100, 50, 255})
	got := Input(img, FrameObject, InvertAuto, 28, 28, 3)
	middle := got[3*(14*28+14):][:3]
	if !bytes.Equal(middle, []byte{200, 100, 50}) || !bytes.Equal(got[:3], make([]byte, 3)) {
		t.Errorf("the object is %v, its background %v", middle, got[:3])
	}
}

// A photograph taken in uneven light, with specks of dust, and a bag that touches
// three sides.
func TestTrim(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 400, 300))
	for i := range 400 * 300 {
		v := byte(215 + 30*(i%400)/400) // lighter to the right
		img.SetNRGBA(i%400, i/400, color.NRGBA{v, v, v, 255})
	}
	fill(img, image.Rect(100, 60, 300, 260), color.NRGBA{60, 40, 30, 255})
	img.Set(3, 3, color.Black)
	img.Set(390, 280, color.Black)
	if box, _ := backgroundOf(flatten(img), InvertAuto).trim(flatten(img)); box != image.Rect(100, 60, 300, 260) {
		t.Errorf("uneven light: %v", box)
	}

	bag := uniform(400, 300, color.White)
	fill(bag, image.Rect(0, 90, 400, 300), color.NRGBA{50, 50, 50, 255})
	fill(bag, image.Rect(0, 280, 100, 300), color.White)
	fill(bag, image.Rect(300, 280, 400, 300), color.White)
	if box, _ := backgroundOf(flatten(bag), InvertAuto).trim(flatten(bag)); box != image.Rect(0, 90, 400, 300) {
		t.Errorf("a bag at the border: %v", box)
	}

	strap := uniform(600, 600, color.White)
	fill(strap, image.Rect(300, 50, 301, 550), color.Black)
	if box, found := backgroundOf(flatten(strap), InvertAuto).trim(flatten(strap)); !found || box != image.Rect(300, 50, 301, 550) {
		t.Errorf("a thin strap: %v", box)
	}
}

// Invert overrules the border where the user knows better: the cloth covers all of it
// but for a few pixels.
func TestInvert(t *testing.T) {
	img := uniform(60, 60, color.NRGBA{40, 40, 40, 255})
	fill(img, image.Rect(0, 20, 60, 40), color.White)
	fill(img, image.Rect(0, 0, 3, 3), color.White)
	if got := Input(img, FrameObject, InvertYes, 28, 28, 1); got[0] != 0 || got[14*28+14] != 0 || got[3*28+14] != 215 {
		t.Errorf("the background is light: corner %d, middle %d, cloth %d", got[0], got[14*28+14], got[3*28+14])
	}
	if got := Input(img, FrameObject, InvertNo, 28, 28, 1); got[14*28+14] != 255 || got[3*28+14] != 0 {
		t.Errorf("the background is dark: middle %d, cloth %d", got[14*28+14], got[3*28+14])
	}

	crop := Bytes(Crop(img, 28, 28), 1)
	for _, invert := range []Invert{InvertAuto, InvertNo, ""} {
		if !bytes.Equal(Input(img, FrameCrop, invert, 28, 28, 1), crop) {
			t.Errorf("a cropped picture was inverted under %q", invert)
		}
	}
	inverted := Input(img, FrameCrop, InvertYes, 28, 28, 1)
	for i, v := range inverted {
		if v != 255-crop[i] {
			t.Fatalf("pixel %d is %d, want %d", i, v, 255-crop[i])
		}
	}
}

// A dataset's own image is taken as it is, and its negative is turned back. Of
// Fashion-MNIST's 70,000 images these have the brightest borders.
func TestOwnSize(t *testing.T) {
	all := open(t, "fashion.png").(*image.Gray)
	for x := 0; x < all.Rect.Dx(); x += 28 {
		img := all.SubImage(image.Rect(x, 0, x+28, 28))
		raw := Bytes(img, 1)
		negative := image.NewGray(image.Rect(0, 0, 28, 28))
		for i, v := range raw {
			negative.Pix[i] = 255 - v
		}
		for _, c := range []struct {
			img    image.Image
			invert Invert
			want   []byte
		}{
			{img, InvertAuto, raw}, {img, "", raw}, {img, InvertNo, raw}, {img, InvertYes, negative.Pix},
			{negative, InvertAuto, raw}, {negative, "", raw}, {negative, InvertNo, negative.Pix}, {negative, InvertYes, raw},
		} {
			if !bytes.Equal(Input(c.img, FrameObject, c.invert, 28, 28, 1), c.want) {
				t.Errorf("image %d, its negative %v, under %q: not as wanted", x/28, c.img == negative, c.invert)
			}
		}
		rgb := Input(img, FrameObject, InvertAuto, 28, 28, 3)
		for i, v := range raw {
			if !bytes.Equal(rgb[3*i:3*i+3], []byte{v, v, v}) {
				t.Fatalf("image %d in 3 channels: pixel %d is %v, want %d", x/28, i, rgb[3*i:3*i+3], v)
			}
		}
	}
}

func BenchmarkInput(b *testing.B) {
	img := shirt(color.NRGBA{20, 25, 60, 255}, color.NRGBA{255, 255, 255, 255}, 3)
	large := Crop(img, 4000, 3000)
	for _, framing := range []Framing{FrameCrop, FrameObject} {
		b.Run(string(framing), func(b *testing.B) {
			for b.Loop() {
				Input(large, framing, InvertAuto, 28, 28, 1)
			}
		})
	}
}
