//go:build cgo

package vulkan

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// knownGPU is a GPU with the limits that its driver reports: cores is 0 where it does
// not tell. Metal has no fences between workgroups before version 3.2.
type knownGPU struct {
	name, kind      string
	cores, subgroup int
	invocations     int
	groups          [3]int
	shared          int
	lacksFences     bool
}

var knownGPUs = []knownGPU{
	{"H100", "discrete", 132, 32, 1024, [3]int{1<<31 - 1, 65535, 65535}, 49152, false},
	{"RTX 4060", "discrete", 24, 32, 1024, [3]int{1<<31 - 1, 65535, 65535}, 49152, false},
	{"RX 7900 XTX", "discrete", 96, 64, 1024, [3]int{65535, 65535, 65535}, 65536, false},
	{"Arc A770", "discrete", 0, 32, 1024, [3]int{65535, 65535, 65535}, 65536, false},
	{"Vega 8", "integrated", 8, 64, 1024, [3]int{65535, 65535, 65535}, 65536, false},
	{"M2", "integrated", 0, 32, 1024, [3]int{1 << 30, 1 << 30, 1 << 30}, 32768, true},
	{"M2, of 10 cores", "integrated", 10, 32, 1024, [3]int{1 << 30, 1 << 30, 1 << 30}, 32768, true},
	{"least limits", "integrated", 0, 4, 128, [3]int{65535, 65535, 65535}, 16384, false},
}

func (g knownGPU) target() target {
	t := newTarget(gpu.Info{Type: g.kind, Cores: g.cores, SubgroupSize: g.subgroup, Limits: gpu.Limits{
		MaxWorkgroupSize: [3]int{g.invocations, g.invocations, 64}, MaxWorkgroupInvocations: g.invocations,
		MaxWorkgroupCount: g.groups, SharedMemoryBytes: g.shared}})
	t.lastGroup = !g.lacksFences
	return t
}

// Every dispatch of every built-in network, training and evaluating, fits every GPU,
// and every level fills half of it where the arithmetic allows: see atLeastHalf.
func TestPlansForKnownGPUs(t *testing.T) {
	for _, name := range model.Names() {
		for _, batch := range []int{64, 1024} {
			net, err := model.Build(model.Config{Network: network(name), Optimizer: model.DefaultAdam(), Images: batch,
				TrainBatches: []int{batch}, TrainImages: batch, EvalBatches: []int{batch}, EvalImages: batch})
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range knownGPUs {
				for _, s := range net.Plan.Sections {
					l := lowering{target: g.target(), layout: newLayout(net.Plan)}
					if err := l.section(s); err != nil {
						t.Fatal(err)
					}
					if err := checkPlan(&l); err != nil {
						t.Errorf("%s, %s, %s: %v", g.name, name, s.Name, err)
					}
				}
			}
		}
	}
}

func checkPlan(l *lowering) error {
	for _, d := range l.out {
		if err := fits(&l.target, &d); err != nil {
			return fmt.Errorf("op %d: %s: %w", d.op, d.shader, err)
		}
	}
	for i, level := range schedule(l.out) {
		if err := atLeastHalf(&l.target, level); err != nil {
			return fmt.Errorf("level %d: %w", i, err)
		}
	}
	return nil
}

// fits returns an error for a dispatch that a device cannot run.
func fits(t *target, d *dispatch) error {
	if d.isFill() {
		return nil
	}
	bound, _, err := bind(d)
	x, y := t.grid(d.groups)
	threads := int(d.spec[0])
	switch {
	case err != nil:
		return err
	case len(bound) > gpu.MinStorageBuffers:
		return fmt.Errorf("%d bindings", len(bound))
	case threads < 1 || threads > t.limits.MaxWorkgroupInvocations || threads > t.limits.MaxWorkgroupSize[0]:
		return fmt.Errorf("%d threads", threads)
	case x < 1 || y < 1 || d.splits < 1 || x > t.limits.MaxWorkgroupCount[0] || y > t.limits.MaxWorkgroupCount[1] || d.splits > t.limits.MaxWorkgroupCount[2]:
		return fmt.Errorf("a grid of %d × %d × %d", x, y, d.splits)
	case d.product != nil:
		return checkProduct(t, *d.product, d.product.m, d.product.n, d.product.k)
	}
	return nil
}

// atLeastHalf returns an error for a level with fewer than half as many workgroups as
// the device has cores, if one of its products allows more: if its K could be cut in
// twice as many ranges of at least minSplit.
func atLeastHalf(t *target, level []dispatch) error {
	groups := 0
	for _, d := range level {
		groups += d.groups * d.splits
	}
	for _, d := range level {
		if p := d.product; p != nil && 2*groups < t.cores && p.k/(2*p.splits) >= minSplit {
			return fmt.Errorf("%d workgroups, though there is more to split: %+v", groups, *p)
		}
	}
	return nil
}

// The plan of a product is among the best of all variants with any number of splits,
// and leaves no lane of a subgroup idle.
func TestPlansAreNearTheBest(t *testing.T) {
	for _, g := range knownGPUs {
		on := g.target()
		for _, p := range productsOf(t, "fashioncnn", &on) {
			least := math.Inf(1)
			for _, v := range on.tiles {
				for s := range max(1, p.k/minSplit) {
					least = min(least, on.cost(product{m: p.m, n: p.n, k: p.k, tile: v}.split(s+1)))
				}
			}
			if cost := on.cost(p); !(cost <= 1.05*least) {
				t.Errorf("%s: %+v takes %.3g, the best %.3g", g.name, p, cost, least)
			}
			if p.threads() < g.subgroup {
				t.Errorf("%s: %+v has workgroups of %d threads", g.name, p, p.threads())
			}
		}
	}
}

// The test of matrix units tries every tile that products can have, and products whose K is
// split.
func TestTrialOfUnits(t *testing.T) {
	for _, g := range knownGPUs {
		on := g.target()
		u := &units{MatrixShape: gpu.MatrixShape{M: 16, N: 16, K: 16, Factors: "bf16"}, subgroup: g.subgroup}
		u.tiles = u.usableTiles(on.limits)
		if len(u.tiles) < 4 && g.name != "least limits" {
			t.Errorf("%s has %d tiles", g.name, len(u.tiles))
		}
		for _, v := range u.tiles {
			one, splits := *u, 0
			one.tiles = []tile{v}
			on.units = &one
			plan, _ := trialPlan()
			l := lowering{target: on, layout: newLayout(plan)}
			if err := l.section(plan.Sections[0]); err != nil {
				t.Fatal(err)
			}
			for _, d := range l.out {
				if d.product == nil {
					continue
				}
				if !d.product.units || d.product.tile != v {
					t.Errorf("%s: a product in the tile %+v, want %+v on units", g.name, d.product.tile, v)
				}
				splits = max(splits, d.product.splits)
			}
			if splits < 2 {
				t.Errorf("%s: no product is split in tiles of %d×%d", g.name, v.bm, v.bn)
			}
		}
	}
}

// Evaluation in larger batches pays where they fill the device better: how much less
// time FashionCNN takes per image in batches of 1,000 than of 100.
func TestEstimatesOfBatches(t *testing.T) {
	const images = 1000
	net, err := model.Build(model.Config{Network: network("fashioncnn"), Images: images, EvalBatches: []int{100, images}, EvalImages: images})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]float64{"H100": {1.8, 3}, "RX 7900 XTX": {1.6, 2.5}, "Arc A770": {1.2, 1.6}, "RTX 4060": {1.2, 1.6},
		"Vega 8": {1, 1.25}, "M2": {1, 1.25}, "least limits": {1, 1.15}} {
		on := knownGPUs[slices.IndexFunc(knownGPUs, func(g knownGPU) bool { return g.name == name })].target()
		perImage := func(batch int) float64 {
			took, err := on.estimate(net.Plan, net.Plan.Find(model.EvalSection(batch)))
			if err != nil {
				t.Fatal(err)
			}
			return took.Seconds() / float64(batch)
		}
		if gain := perImage(100) / perImage(images); !(gain >= want[0] && gain <= want[1]) {
			t.Errorf("%s: %.2f times as fast in batches of %d as of 100, want %v", name, gain, images, want)
		}
	}
	software := newTarget(gpu.Info{Type: "cpu", SubgroupSize: 8, Limits: knownGPUs[0].target().limits})
	if took, err := software.estimate(net.Plan, net.Plan.Find(model.EvalSection(100))); err != nil || took != 0 {
		t.Errorf("a software driver: %v, %v", took, err)
	}
}

// No submission is expected to take long, though one dispatch may, and short sections are
// not divided.
func TestPartsAreShort(t *testing.T) {
	net, err := model.Build(model.Config{Network: network("fashioncnn"), Optimizer: model.DefaultAdam(), Images: 8192, TrainBatches: []int{16, 8192}, TrainImages: 8192})
	if err != nil {
		t.Fatal(err)
	}
	parts := func(g knownGPU, batch int) int {
		on := g.target()
		l := lowering{target: on, layout: newLayout(net.Plan)}
		if err := l.section(net.Plan.Find(model.TrainSection(batch))); err != nil {
			t.Fatal(err)
		}
		levels, at := schedule(l.out), 0
		divided := on.parts(levels)
		for _, part := range divided {
			cost := 0.
			for _, level := range part {
				if !slices.EqualFunc(level, levels[at], func(a, b dispatch) bool { return a.op == b.op && a.shader == b.shader }) {
					t.Fatalf("%s: level %d is out of order", g.name, at)
				}
				cost += on.levelCost(level)
				at++
			}
			if took := on.duration(cost); len(part) > 1 && took > longestSubmission {
				t.Errorf("%s: a submission of %d levels takes %v", g.name, len(part), took)
			}
		}
		if at != len(levels) {
			t.Errorf("%s: %d of %d levels", g.name, at, len(levels))
		}
		return len(divided)
	}
	for _, g := range knownGPUs {
		if n := parts(g, 16); n != 1 {
			t.Errorf("%s: a short step is divided into %d", g.name, n)
		}
	}
	least := knownGPUs[len(knownGPUs)-1]
	if n := parts(least, 8192); n < 2 {
		t.Errorf("%s: a long step is one submission", least.name)
	}
}

// productsOf returns the matrix products of a training step.
func productsOf(t *testing.T, name string, on *target) []product {
	t.Helper()
	net, err := model.Build(model.Config{Network: network(name), Optimizer: model.DefaultAdam(), Images: 64, TrainBatches: []int{64}, TrainImages: 64})
	if err != nil {
		t.Fatal(err)
	}
	l := lowering{target: *on, layout: newLayout(net.Plan)}
	if err := l.section(net.Plan.Find(model.TrainSection(64))); err != nil {
		t.Fatal(err)
	}
	var all []product
	for _, d := range l.out {
		if d.product != nil {
			all = append(all, *d.product)
		}
	}
	return all
}

// A workgroup more than fits on the cores at a time costs another wave.
func TestCostCountsWaves(t *testing.T) {
	on := knownGPUs[0].target()
	rows := func(tiles int) product {
		v := gpuTiles[0]
		return product{m: tiles * v.bm, n: v.bn, k: 1024, tile: v}.split(1)
	}
	fit := on.resident(rows(1))
	if fit < 2 {
		t.Fatalf("%d workgroups fit on a core, want several", fit)
	}
	wave, one := on.wave(rows(1), fit), on.wave(rows(1), 1)
	for tiles, want := range map[int]float64{1: one, 132: one, 132 * fit: wave, 132*fit + 1: wave + one, 2 * 132 * fit: 2 * wave} {
		if got := on.cost(rows(tiles)) / 132; !(math.Abs(got-want) <= 1e-9*want) {
			t.Errorf("%d tiles on 132 cores take %g, want %g", tiles, got, want)
		}
	}
	if !(one < wave && wave < float64(fit)*one) {
		t.Errorf("a workgroup takes %g, %d at the same time %g: want more, but less than in turn", one, fit, wave)
	}
}
