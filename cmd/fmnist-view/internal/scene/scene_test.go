package scene_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene/scenetest"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// Whatever the window's size and whatever is known of the run, all triangles are whole,
// lie in the window, and show a part of the atlas.
func TestDrawStaysInTheWindow(t *testing.T) {
	states := map[string]source.State{"nothing": {}, "started": {Run: "r", Start: &live.Start{Epochs: 3}},
		"training": scenetest.Training(10, 1), "colour, many classes": scenetest.Training(150, 3), "diverged": scenetest.Diverged(),
		"finished": scenetest.Finished()}
	for name, state := range states {
		for _, size := range [][2]int{{1, 1}, {90, 40}, {160, 120}, {420, 300}, {700, 500}, {1280, 800}, {500, 1400}, {2600, 1500}} {
			for _, scale := range []float64{1, 2} {
				c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
				c.Reset(size[0], size[1])
				scene.Draw(c, state, scene.Options{Scale: scale, Drawn: "drawn by a device", Message: "saved"})
				if err := check(c, 2*scale); err != nil {
					t.Errorf("%s, %v, scale %v: %v", name, size, scale, err)
				}
			}
		}
	}
}

// The window goes on where figures are so large that neighbouring floats lie further apart
// than the ticks of an axis, or that a difference is NaN.
func TestDrawEndsWithHugeFigures(t *testing.T) {
	for _, huge := range []float64{4e15, 1e17, 1e300, math.MaxFloat64, -math.MaxFloat64} {
		s := scenetest.Training(10, 1)
		s.Steps = nil
		for i := range s.Epochs {
			s.Epochs[i].TrainAccuracy, s.Epochs[i].ValAccuracy = huge, huge
			s.Epochs[i].TrainLoss, s.Epochs[i].ValLoss = huge, -huge
		}
		c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
		c.Reset(1280, 800)
		scene.Draw(c, s, scene.Options{Scale: 1})
	}
}

// check returns an error if a vertex lies further outside the frame than a margin.
func check(c *canvas.Canvas, margin float64) error {
	if len(c.Vertices)%(3*canvas.VertexBytes) != 0 {
		return fmt.Errorf("%d bytes are not whole triangles", len(c.Vertices))
	}
	for at := 0; at < len(c.Vertices); at += canvas.VertexBytes {
		var v [4]float64
		for i := range v {
			v[i] = float64(math.Float32frombits(binary.NativeEndian.Uint32(c.Vertices[at+4*i:])))
		}
		// Small windows show one line of text, whose letters are as high as they are.
		w, h := max(float64(c.Width), 40), max(float64(c.Height), 60)
		if !(v[0] >= -margin && v[0] <= w+margin && v[1] >= -margin && v[1] <= h+margin) {
			return fmt.Errorf("a vertex at %.1f, %.1f in %d×%d", v[0], v[1], c.Width, c.Height)
		}
		if !(min(v[2], v[3]) >= 0 && max(v[2], v[3]) <= canvas.AtlasSize) {
			return fmt.Errorf("texel %.1f, %.1f", v[2], v[3])
		}
	}
	return nil
}
