package kernels

import (
	"math"
	"testing"
)

// draw applies a draw to an image of one row per string.
func draw(d AugmentDraw, rows ...string) []string {
	h, w := len(rows), len(rows[0])
	out := make([]string, h)
	for y := range h {
		for x := range w {
			pixel := byte('.')
			if sy, sx, inside := d.Source(y, x, h, w); inside {
				pixel = rows[sy][sx]
			}
			out[y] += string(pixel)
		}
	}
	return out
}

func TestAugmentByHand(t *testing.T) {
	none := AugmentDraw{Cos: 1 << 16}
	quarter := AugmentDraw{Sin: 1 << 16}
	flip, cropped, erased, all := none, none, none, quarter
	flip.Flip = true
	cropped.Down, cropped.Over = 1, -1
	erased.EraseTop, erased.EraseLeft, erased.EraseHeight, erased.EraseWidth = 1, 0, 1, 2
	all.Flip, all.Down = true, 1
	for _, c := range []struct {
		name string
		d    AugmentDraw
		want []string
	}{
		{"nothing", none, []string{"abc", "def", "ghi"}},
		{"a quarter turn", quarter, []string{"gda", "heb", "ifc"}},
		{"mirrored", flip, []string{"cba", "fed", "ihg"}},
		{"shifted up and right", cropped, []string{".de", ".gh", "..."}},
		{"erased", erased, []string{"abc", "..f", "ghi"}},
		// rotated (gda heb ifc), then mirrored (adg beh cfi), then shifted up
		{"in this order", all, []string{"beh", "cfi", "..."}},
	} {
		got := draw(c.d, "abc", "def", "ghi")
		for y := range got {
			if got[y] != c.want[y] {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
				break
			}
		}
	}
	// The centre of an even number of pixels lies between two of them.
	if got := draw(quarter, "ab", "cd"); got[0] != "ca" || got[1] != "db" {
		t.Errorf("a quarter turn of 2×2: %q, want [ca db]", got)
	}
}

// A rotation by a few degrees takes the pixel nearest to the exact source
// position.
func TestAugmentRotatesToTheNearest(t *testing.T) {
	const side = 28
	for degrees := -10.; degrees <= 10; degrees += .5 {
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		d := AugmentDraw{Cos: int32(math.Round(cos * 65536)), Sin: int32(math.Round(sin * 65536))}
		for y := range side {
			for x := range side {
				const centre = (side - 1) / 2.
				v, u := float64(y)-centre, float64(x)-centre
				wantY, wantX := cos*v-sin*u+centre, cos*u+sin*v+centre
				sy, sx, _ := d.Source(y, x, side, side)
				if !(math.Abs(float64(sy)-wantY) <= .5+1e-3) || !(math.Abs(float64(sx)-wantX) <= .5+1e-3) {
					t.Fatalf("%v°: (%d, %d) takes (%d, %d), exactly (%.3f, %.3f)", degrees, y, x, sy, sx, wantY, wantX)
				}
			}
		}
	}
}

// Draws are uniform and within their bounds.
func TestAugmentDraws(t *testing.T) {
	const n = 20_000
	rotations := make([]uint32, 2*16)
	for i := range rotations {
		rotations[i] = uint32(i)
	}
	erasures := []uint32{5<<16 | 9}
	a := Augment{Flip: FlipRandom, Crop: 4, Erase: 1 << 30}
	counts := map[string]map[int]int{"angle": {}, "flip": {}, "down": {}, "over": {}, "erase": {}, "top": {}, "left": {}}
	for i := range n {
		d := a.Draw(State{Seed: 42, Step: uint32(i / 64)}, uint32(i%64), 0, 28, 28, rotations, erasures)
		counts["angle"][int(d.Cos)]++
		counts["down"][d.Down]++
		counts["over"][d.Over]++
		counts["erase"][d.EraseHeight]++
		if d.Flip {
			counts["flip"][1]++
		}
		if d.EraseHeight > 0 {
			counts["top"][d.EraseTop]++
			counts["left"][d.EraseLeft]++
		}
	}
	even := func(name string, from, to, step int, total float64) {
		t.Helper()
		places := float64((to-from)/step + 1)
		mean := total / places
		for v := from; v <= to; v += step {
			if got := float64(counts[name][v]); !(math.Abs(got-mean) <= 5*math.Sqrt(mean)) {
				t.Errorf("%s %d was drawn %v times, want about %.0f", name, v, got, mean)
			}
		}
		if len(counts[name]) != int(places) {
			t.Errorf("%s has %d values, want %v", name, len(counts[name]), places)
		}
	}
	even("angle", 0, 30, 2, n)
	even("down", -4, 4, 1, n)
	even("over", -4, 4, 1, n)
	even("flip", 1, 1, 1, n/2)
	even("top", 0, 28-5, 1, n/4)
	even("left", 0, 28-9, 1, n/4)
	if got := counts["erase"][5]; math.Abs(float64(got)-n/4) > 5*math.Sqrt(n/4) {
		t.Errorf("%d of %d erased, want about a quarter", got, n)
	}
}

// With alternating flips an image is mirrored in every other epoch, and about
// half of the images start mirrored.
func TestAugmentAlternatesFlips(t *testing.T) {
	a, first := Augment{Flip: FlipAlternating}, 0
	for image := range uint32(1000) {
		flips := [4]bool{}
		for epoch := range flips {
			s := State{Seed: 42, Epoch: uint32(epoch), Step: uint32(epoch) * 937}
			flips[epoch] = a.Draw(s, image%64, image, 28, 28, nil, nil).Flip
		}
		if flips[0] == flips[1] || flips[0] != flips[2] || flips[1] != flips[3] {
			t.Fatalf("image %d: flips %v", image, flips)
		}
		if flips[0] {
			first++
		}
	}
	if first < 400 || first > 600 {
		t.Errorf("%d of 1000 images start mirrored, want about half", first)
	}
}
