//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/gpu"

// units are a device's matrix units, as shaders/include/matrix_units.glsl uses them.
type units struct {
	gpu.MatrixShape
	subgroup int // threads
	tiles    []tile
}

// unitsStep is how many columns of A are staged at a time: more if the units' shape needs
// more, half as many where a thread would hold more than mostQuads.
const unitsStep = 32

// mostQuads is how many quads of A and B a thread may hold on their way to shared
// memory: with 12, the weight gradient of 128 × 64 spills registers on AMD's chips
// (report/mixed.csv).
const mostQuads = 10

// newUnits picks the shape of a device's matrix units: one for bfloat16 factors if
// there is any, which need no scaling. It returns nil if the device has none that a
// tile consists of.
func newUnits(info gpu.Info) *units {
	for _, factors := range []string{"bf16", "fp16"} {
		for _, s := range info.MatrixShapes {
			u := &units{MatrixShape: s, subgroup: info.SubgroupSize}
			if u.tiles = u.usableTiles(info.Limits); s.Factors == factors && len(u.tiles) > 0 {
				return u
			}
		}
	}
	return nil
}

// usableTiles returns the variants that consist of whole blocks and fit the limits.
func (u *units) usableTiles(l gpu.Limits) []tile {
	var usable []tile
	for _, t := range gpuTiles {
		t.step = max(unitsStep, u.K)
		if quads := (t.bm + t.bn) * t.step / 4 / t.threads(); quads > mostQuads {
			t.step = max(unitsStep/2, u.K)
		}
		if u.regions(t) > 0 && t.step%u.K == 0 && t.threads() <= min(l.MaxWorkgroupInvocations, l.MaxWorkgroupSize[0]) &&
			u.sharedBytes(t) <= l.SharedMemoryBytes {
			usable = append(usable, t)
		}
	}
	return usable
}

// regions returns into how many regions along M the subgroups divide a tile, such
// that a region is nearly square; 0 if there is no way.
func (u *units) regions(t tile) (best int) {
	if t.threads()%u.subgroup != 0 {
		return 0
	}
	subgroups, least := t.threads()/u.subgroup, 0
	for along := 1; along <= subgroups; along++ {
		across := subgroups / along
		if along*across != subgroups || t.bm%(along*u.M) != 0 || t.bn%(across*u.N) != 0 {
			continue
		}
		if loads := t.bm/along + t.bn/across; best == 0 || loads < least {
			best, least = along, loads
		}
	}
	return best
}

// sharedBytes returns the shared memory for two staged steps, a row of blocks of C,
// statistics, and the largest factor of each subgroup.
func (u *units) sharedBytes(t tile) int {
	staged := func(width int) int { return 8 * max(width*(t.step/4+2), t.step*(width/4+2)) }
	statistics := 4*t.bm/t.tm*t.bn + 16*t.threads()
	return 2*(staged(t.bm)+staged(t.bn)) + 16*u.M*(t.bn/4+1) + statistics + 16*t.threads()/u.subgroup
}
