//go:build cgo

package painter

import (
	"image"
	"image/color"
	"os"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene/scenetest"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
)

// open opens the machine's first device, with the validation layer on.
func open(t testing.TB) (*gpu.Device, *Painter) {
	t.Helper()
	devices, problems := gpu.List(nil)
	if len(devices) == 0 {
		if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
			t.Fatalf("FMNIST_REQUIRE_VULKAN=1, but there is no Vulkan device: %v", problems)
		}
		t.Skipf("no Vulkan device: %v", problems)
	}
	_, benchmark := t.(*testing.B)
	d, err := gpu.Open("0", gpu.Options{Validate: !benchmark})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return d, p
}

// What a canvas holds is on the screen, pixel by pixel; pictures that replace others
// in the atlas too.
func TestDraw(t *testing.T) {
	_, p := open(t)
	c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
	for round := range 3 {
		c.Atlas.Forget()
		c.Reset(300, 200)
		c.Rectangle(10, 20, 5, 5, canvas.RGB(0x112233))
		c.Picture(100, 50, 20, 20, "picture", func() image.Image {
			img := image.NewRGBA(image.Rect(0, 0, 2, 2))
			for i := range 4 {
				img.SetRGBA(i%2, i/2, color.RGBA{uint8(60 * i), uint8(round), 200, 255})
			}
			return img
		})
		if shown, err := p.Draw(c, canvas.RGB(0x0A0B0C)); err != nil || !shown {
			t.Fatal(shown, err)
		}
		img, err := p.Picture()
		if err != nil {
			t.Fatal(err)
		}
		if img.Bounds() != image.Rect(0, 0, 300, 200) {
			t.Fatalf("bounds %v", img.Bounds())
		}
		for at, want := range map[image.Point]color.RGBA{
			{9, 20}: {10, 11, 12, 255}, {10, 20}: {17, 34, 51, 255}, {14, 24}: {17, 34, 51, 255}, {15, 24}: {10, 11, 12, 255},
			{100, 50}: {0, uint8(round), 200, 255}, {110, 59}: {60, uint8(round), 200, 255}, {119, 69}: {180, uint8(round), 200, 255}, {120, 69}: {10, 11, 12, 255},
		} {
			if got := img.At(at.X, at.Y); got != want {
				t.Errorf("round %d: %v is %v, want %v", round, at, got, want)
			}
		}
	}
}

// The whole window can be drawn, with letters.
func TestDrawScene(t *testing.T) {
	_, p := open(t)
	c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
	c.Reset(1280, 800)
	scene.Draw(c, scenetest.Training(10, 1), scene.Options{Scale: 1})
	if _, err := p.Draw(c, scene.Background); err != nil {
		t.Fatal(err)
	}
	img, err := p.Picture()
	if err != nil {
		t.Fatal(err)
	}
	bright := 0
	for y := range 40 { // the title
		for x := range 200 {
			if r, _, _, _ := img.At(x, y).RGBA(); r > 0x8000 {
				bright++
			}
		}
	}
	if bright < 50 {
		t.Errorf("the title has %d bright pixels", bright)
	}
}

func BenchmarkDraw(b *testing.B) {
	_, p := open(b)
	c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
	state := scenetest.Training(10, 1)
	for b.Loop() {
		c.Reset(1280, 800)
		scene.Draw(c, state, scene.Options{Scale: 1})
		if _, err := p.Draw(c, scene.Background); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
