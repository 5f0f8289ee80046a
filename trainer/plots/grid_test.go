package plots

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

func TestGrid(t *testing.T) {
	cells := make([]Cell, 3)
	for i := range cells {
		pixels := make([]byte, dataset.ImageBytes)
		for j := range pixels {
			pixels[j] = byte(100 + 50*i)
		}
		pixels[dataset.ImageSize+2] = 7 // row 1, column 2
		cells[i].Image = Gray(pixels)
	}
	cells[1].Frame = valColour
	draw := func() image.Image {
		b, err := Grid(cells, 2)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return picture
	}
	plain := draw()
	cells[0].Caption, cells[2].Caption = "Ankle boot", "two\nlines"
	titled := draw()
	wantWidth := 2*(gridCell+gridMargin) + gridMargin
	if got := plain.Bounds().Size(); got.X != wantWidth || got.Y != wantWidth {
		t.Errorf("without captions the size is %v, want %d×%d", got, wantWidth, wantWidth)
	}
	if got, want := titled.Bounds().Dy(), wantWidth+2*2*gridLine; got != want {
		t.Errorf("with two lines the height is %d, want %d", got, want)
	}
	const pixel, rowHeight = gridCell / dataset.ImageSize, gridCell + 2*gridLine + gridMargin
	of := func(y uint8) color.Color { return color.Gray{Y: y} }
	for _, c := range []struct {
		x, y int
		want color.Color
	}{
		{0, 0, color.White},
		{gridMargin, gridMargin, of(100)},
		{2*gridMargin + gridCell, gridMargin, of(150)},
		{gridMargin, gridMargin + rowHeight, of(200)},
		{gridMargin + 2*pixel, gridMargin + pixel + rowHeight, of(7)},
		{gridMargin + 3*pixel, gridMargin + pixel + rowHeight, of(200)},
		{2*gridMargin + gridCell, gridMargin - 1, valColour},
		{gridMargin, gridMargin - 1, color.White},
		{2*gridMargin + gridCell, gridMargin + rowHeight, color.White}, // no fourth image
	} {
		gr, gg, gb, _ := titled.At(c.x, c.y).RGBA()
		if wr, wg, wb, _ := c.want.RGBA(); gr != wr || gg != wg || gb != wb {
			t.Errorf("pixel (%d, %d) is %v, want %v", c.x, c.y, titled.At(c.x, c.y), c.want)
		}
	}
	ink := 0
	for y := gridMargin + gridCell; y < gridMargin+gridCell+gridLine; y++ {
		for x := gridMargin; x < gridMargin+gridCell; x++ {
			if r, _, _, _ := titled.At(x, y).RGBA(); r == 0 {
				ink++
			}
		}
	}
	if ink < 50 {
		t.Errorf("%d black pixels where the first caption should be", ink)
	}
	for _, name := range dataset.ClassNames {
		if len("true "+name) > GridCaption {
			t.Errorf("true %s does not fit in %d characters", name, GridCaption)
		}
	}
}
