package dataset

import (
	"bytes"
	"image/color"
	"testing"
)

func TestGrid(t *testing.T) {
	images := make([][]byte, 3)
	for i := range images {
		images[i] = bytes.Repeat([]byte{byte(100 + 50*i)}, ImageBytes)
	}
	images[2][ImageSize+2] = 7 // row 1, column 2

	plain, titled := Grid(images, nil, 2), Grid(images, []string{"Ankle boot", "", "two\nlines"}, 2)
	wantWidth := 2*(gridCell+gridMargin) + gridMargin
	if got := plain.Bounds().Size(); got.X != wantWidth || got.Y != wantWidth {
		t.Errorf("without captions the size is %v, want %d×%d", got, wantWidth, wantWidth)
	}
	if got, want := titled.Bounds().Dy(), wantWidth+2*2*gridLine; got != want {
		t.Errorf("with two lines the height is %d, want %d", got, want)
	}
	rowHeight := gridCell + 2*gridLine + gridMargin
	for _, c := range []struct {
		x, y int
		want uint8
	}{
		{0, 0, 255},
		{gridMargin, gridMargin, 100},
		{2*gridMargin + gridCell, gridMargin, 150},
		{gridMargin, gridMargin + rowHeight, 200},
		{gridMargin + 2*gridScale, gridMargin + gridScale + rowHeight, 7},
		{gridMargin + 3*gridScale, gridMargin + gridScale + rowHeight, 200},
		{2*gridMargin + gridCell, gridMargin + rowHeight, 255}, // no fourth image
	} {
		if got := titled.GrayAt(c.x, c.y).Y; got != c.want {
			t.Errorf("pixel (%d, %d) is %d, want %d", c.x, c.y, got, c.want)
		}
	}
	ink := 0
	for y := gridMargin + gridCell; y < gridMargin+gridCell+gridLine; y++ {
		for x := gridMargin; x < gridMargin+gridCell; x++ {
			if titled.GrayAt(x, y) == (color.Gray{Y: 0}) {
				ink++
			}
		}
	}
	if ink < 50 {
		t.Errorf("%d black pixels where the first caption should be", ink)
	}
	for _, name := range ClassNames {
		if len(name) > GridCaption {
			t.Errorf("%s does not fit in %d characters", name, GridCaption)
		}
	}
}
