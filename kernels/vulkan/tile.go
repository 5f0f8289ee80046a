//go:build cgo

package vulkan

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// tile is a variant of the matrix-product core (shaders/include/matrix_tile.glsl).
type tile struct {
	bm, bn int     // rows and columns of C that a workgroup computes
	tm, tn int     // of those, a thread's
	speed  float64 // throughput on a large product, relative to the best variant
}

func (t tile) threads() int { return t.bm / t.tm * (t.bn / t.tn) }

// sharedBytes is what the staged tiles of A and B take, for steps of bk, and
// the sums of column statistics.
func (t tile) sharedBytes(bk int) int {
	return 16*bk*(t.bm/4+1+t.bn/4+1) + 4*t.bm/t.tm*t.bn
}

// maxStep is the most columns of A that are staged at a time.
const maxStep = 16

// gpuTiles suit devices that want many threads. Larger tiles reuse more of
// what they load; smaller ones fit small products and give more workgroups.
var gpuTiles = []tile{
	{128, 64, 8, 8, 1},
	{64, 64, 8, 4, .95},
	{128, 32, 8, 4, .9},
	{64, 32, 4, 4, .75},
	{32, 64, 4, 4, .75},
	{32, 32, 4, 4, .6},
	{64, 16, 4, 4, .5},
	{32, 16, 4, 4, .4},
	{16, 16, 4, 4, .25},
}

// cpuTiles suit software drivers, which run a thread as a lane of a vector
// and for which a load is dear: more of the tile to each thread, but not so
// much that compiling the unrolled code takes longer than running it.
var cpuTiles = []tile{
	{64, 32, 8, 8, 1},
	{32, 64, 8, 8, 1},
	{128, 16, 8, 8, .9},
	{32, 32, 8, 8, .9},
	{32, 16, 4, 4, .5},
	{16, 16, 4, 4, .4},
}

// usableTiles returns the variants that the device's limits allow. The last
// one, 16 threads and 3 KB, fits every device that Vulkan admits.
func usableTiles(t target) []tile {
	all := gpuTiles
	if t.cpu {
		all = cpuTiles
	}
	var usable []tile
	for _, v := range all {
		if v.threads() <= min(t.limits.MaxWorkgroupInvocations, t.limits.MaxWorkgroupSize[0]) &&
			v.sharedBytes(maxStep) <= t.limits.SharedMemoryBytes {
			usable = append(usable, v)
		}
	}
	return usable
}

// product is how an (m, n, k) product is run.
type product struct {
	m, n, k int
	tile
	bk     int // step along k
	splits int // ranges of k that different workgroups sum up
	splitK int // extent of one of them, a multiple of bk
}

// minSplit is the least extent of k that is worth a workgroup of its own.
const minSplit = 128

// What splits cost, in the multiplications that a GPU of middle size (5·10¹² a
// second, 600 GB/s) does in the same time.
const (
	trafficCost = 32   // of a float that is written or read
	passCost    = 20e6 // of the second pass's launch and barrier, some 4 µs
)

// planProduct picks the variant with the least estimated time, counted in
// multiplications: the padded work, divided by the variant's speed and by the
// share of the device that its workgroups fill, and the second pass over the
// partial sums of splits.
func (t *target) planProduct(m, n, k int) product {
	var best product
	least := math.Inf(1)
	for _, v := range t.tiles {
		tiles := ceilDiv(m, v.bm) * ceilDiv(n, v.bn)
		for _, splits := range []int{1, min(t.wanted/tiles, k/minSplit)} {
			p := product{m: m, n: n, k: k, tile: v}.split(max(1, splits))
			if cost := t.cost(p); cost < least {
				best, least = p, cost
			}
		}
	}
	return best
}

// split divides K in at most the given number of ranges.
func (p product) split(splits int) product {
	p.bk = min(maxStep, ceilDiv(p.k, 4)*4)
	p.splitK = ceilDiv(ceilDiv(p.k, splits), p.bk) * p.bk
	p.splits = ceilDiv(p.k, p.splitK)
	return p
}

func (t *target) cost(p product) float64 {
	groups := p.groups() * p.splits
	busy := min(1, float64(groups)/float64(t.wanted))
	cost := float64(p.groups()*p.bm*p.bn) * float64(p.k) / (p.speed * busy)
	if p.splits > 1 {
		cost += float64(2*p.splits*p.m*p.n)*trafficCost + passCost
	}
	return cost
}

// constants returns the variant's constants, then the shader's own.
func (p product) constants(own ...any) []uint32 {
	return append(constants(p.bm, p.bn, p.bk, p.tm, p.tn), constants(own...)...)
}

// groups returns the number of tiles of the result.
func (p product) groups() int { return ceilDiv(p.m, p.bm) * ceilDiv(p.n, p.bn) }

// multiply appends the dispatch of a product into c, which is written or, with
// accumulate, added to. args are the shader's inputs, push makes its push
// constants, and extra are bindings after that of the result. A product in
// several splits goes to scratch first and is added up by a second dispatch,
// which then also adds the bias.
func (l *lowering) multiply(shader string, p product, spec []uint32, push func(bias, accumulate bool) []byte,
	args []arg, c, bias kernels.Tensor, accumulate bool, extra ...arg) {
	withBias := !bias.Absent()
	result := l.write(c)
	if accumulate {
		result = l.update(c)
	}
	if p.splits == 1 {
		l.dispatch(shader, p.threads(), p.groups(), 1, spec, push(withBias, accumulate),
			append(append(args, result), extra...)...)
		return
	}
	sums := l.partials(p.splits * p.m * p.n)
	l.dispatch(shader, p.threads(), p.groups(), p.splits, spec, push(false, false),
		append(append(args, arg{sums, kernels.Write}), extra...)...)
	second := arg{sums, kernels.Read}
	if withBias {
		second = l.read(bias)
	}
	s := l.single(p.splits, p.m*p.n)
	l.dispatch("split_k_sum", l.threads, s.groups(), 1, constants(s.width, withBias, accumulate),
		pushed(p.splits, p.m*p.n, p.n), arg{sums, kernels.Read}, second, result)
}
