//go:build cgo

package vulkan

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// tile is a variant of the matrix-product core (shaders/include/matrix_tile.glsl).
type tile struct {
	bm, bn int     // rows and columns of C per workgroup
	tm, tn int     // rows and columns of C per thread
	step   int     // most columns of A staged at a time
	speed  float64 // throughput on a large product, relative to the best variant
}

func (t tile) threads() int { return t.bm / t.tm * (t.bn / t.tn) }

// sharedBytes returns the shared memory for two staged steps of bk columns of A and
// rows of B, along K or not, and for statistics.
func (t tile) sharedBytes(bk int) int {
	staged := func(width int) int { return 16 * max(width*bk/4+width/2, bk*(width/4+1)) }
	statistics := 4*t.bm/t.tm*t.bn + 16*t.threads()
	return 2*(staged(t.bm)+staged(t.bn)) + statistics
}

// unroll returns how many columns of a step a shader multiplies without a branch:
// all of them, so that compilers can load early; but a software driver would take
// longer to compile that than it gains.
func (t *target) unroll(bk int) int {
	if t.cpu {
		return 4
	}
	return bk
}

// gpuTiles suit devices that need many threads. Larger tiles reuse more of what
// they load; smaller ones suit small products and give more workgroups.
var gpuTiles = []tile{
	{128, 64, 8, 8, 8, 1},
	{64, 64, 8, 4, 16, .95},
	{128, 32, 8, 4, 16, .9},
	{64, 32, 4, 4, 16, .75},
	{32, 64, 4, 4, 16, .75},
	{32, 32, 4, 4, 16, .6},
	{64, 16, 4, 4, 16, .5},
	{16, 64, 4, 4, 16, .5},
	{32, 16, 4, 4, 16, .4},
	{16, 16, 4, 4, 16, .25},
}

// cpuTiles suit software drivers, which run a thread as a vector lane and for
// which loads are expensive: a thread gets much of the tile, unless compiling the
// unrolled code would take longer than running it.
var cpuTiles = []tile{
	{64, 64, 8, 8, 16, 1.1},
	{64, 32, 8, 8, 16, 1},
	{128, 16, 8, 8, 16, .9},
	{32, 32, 8, 8, 16, .9},
	{32, 32, 4, 4, 16, .6},
	{32, 16, 4, 4, 16, .5},
	{16, 16, 4, 4, 16, .4},
}

// usableTiles returns the variants that the device's limits allow. The last one
// (16 threads, 6 KB) fits within the minimum limits of Vulkan.
func usableTiles(t target) []tile {
	all := gpuTiles
	if t.cpu {
		all = cpuTiles
	}
	var usable []tile
	for _, v := range all {
		if v.threads() <= min(t.limits.MaxWorkgroupInvocations, t.limits.MaxWorkgroupSize[0]) &&
			v.sharedBytes(v.step) <= t.limits.SharedMemoryBytes {
			usable = append(usable, v)
		}
	}
	return usable
}

// product describes how an (m, n, k) product runs.
type product struct {
	m, n, k int
	tile
	bk     int // step along k
	splits int // ranges of k for separate workgroups (split-K)
	splitK int // length of a range, a multiple of bk

	units  bool // whether matrix units multiply
	window int  // columns whose sums are taken along (see gradientSumsJoin) unless a tile straddles two windows; 0: none
}

// minSplit is the smallest range of k that is worth a separate workgroup.
const minSplit = 128

// core describes one of the units that run workgroups. Times are numbers of
// multiplications that it performs in the same time, if it has nothing to wait for.
type core struct {
	registers, groups, shared int     // that workgroups share; shared memory in multiples of a workgroup's limit
	loadStep, mostLoad        int     // the numbers of workgroups worth splitting K for: multiples, up to the most
	fill                      int     // workgroups with less take as long as these
	stepLatency               float64 // of a step along K, however little it multiplies
	passCost                  float64 // launch and barrier of a second pass, or the levels of the tree
	compileCost               float64 // for each element of a thread's part of the tile, per run
}

// gpuCore holds roughly for a multiprocessor of NVIDIA, a compute unit of AMD, and a
// core of Intel's or Apple's: 128 lanes at 1.6 GHz, 500 cycles to load a step, 4 µs a pass.
var gpuCore = core{registers: 64 * 1024, groups: 16, shared: 2, loadStep: 1, mostLoad: 16,
	stepLatency: 128 * 500, passCost: 8e5}

// softwareCore stands for all threads of a software driver, which spreads workgroups
// evenly: it takes any number of them, and as many as are wanted keep it busy. It takes
// 8 ms for each element to compile a shader, which then runs some 100 times.
func softwareCore(wanted int) core {
	return core{registers: math.MaxInt, groups: math.MaxInt, shared: 1 << 20, loadStep: wanted, mostLoad: wanted,
		fill: wanted, passCost: 2e7, compileCost: 1.6e5}
}

// ownRegisters is what a thread has in addition to its part of the tile
// (report/report.csv).
const ownRegisters = 64

// trafficCost is the time, in multiplications of the device, to write or read a float
// (at 0.6 bytes for each), as parts of a split product are.
const trafficCost = 32

// planProduct picks the variant for a product of which only extents and window are
// known: that with the lowest estimated time. It depends on nothing but the device's
// properties.
func (t *target) planProduct(of product) (best product) {
	least := math.Inf(1)
	for _, v := range t.tiles {
		p := of
		p.tile, p.units = v, t.onUnits
		for load := 0; load <= t.core.mostLoad; load += t.core.loadStep {
			p = p.split(max(1, min(load*t.cores/p.groups(), p.k/minSplit)))
			if cost := t.cost(p); cost < least {
				best, least = p, cost
			}
		}
	}
	return best
}

// split divides K into at most the given number of ranges.
func (p product) split(splits int) product {
	p.bk = min(p.step, ceilDiv(p.k, 4)*4)
	if p.units {
		p.bk = p.step // a multiple of the units' shape
	}
	p.splitK = ceilDiv(ceilDiv(p.k, splits), p.bk) * p.bk
	p.splits = ceilDiv(p.k, p.splitK)
	return p
}

// cost estimates the time of a product, in multiplications of the device. Each core
// runs its workgroups in waves of as many as fit on it; the last wave may have fewer.
func (t *target) cost(p product) float64 {
	perCore, fit := ceilDiv(p.groups()*p.splits, t.cores), t.resident(p)
	time := float64(perCore/fit)*t.wave(p, fit) + t.wave(p, perCore%fit)
	traffic := 0
	if p.splits > 1 {
		time += t.core.passCost
		traffic += 2 * p.splits * p.m * p.n
	}
	if p.window > 0 && !p.inOneWindow() {
		time += t.core.passCost
		traffic += 3 * p.m * p.n
	}
	return time*float64(t.cores) + float64(traffic)*trafficCost + float64(p.tm*p.tn)*t.core.compileCost
}

// inOneWindow reports whether each tile lies in one of the windows of columns.
func (p product) inOneWindow() bool {
	return p.n == p.window || p.window%p.bn == 0 && p.n%p.window == 0
}

// wave returns the time that a core takes for the given number of workgroups at once:
// about the longer of that of their arithmetic, padding and idle lanes included, and
// that of waiting for the loads of each step.
func (t *target) wave(p product, groups int) float64 {
	if groups == 0 {
		return 0
	}
	k := float64(p.k) / float64(p.splits)
	busy := float64(p.threads()) / float64(t.lanes(p.tile))
	arithmetic := float64(max(groups, t.core.fill)*p.bm*p.bn) * k / (p.speed * busy)
	return math.Hypot(arithmetic, k/float64(p.bk)*t.core.stepLatency)
}

// lanes returns a workgroup's threads and those that idle in its last subgroup.
func (t *target) lanes(v tile) int { return ceilDiv(v.threads(), t.subgroup) * t.subgroup }

// resident returns how many workgroups of a product fit on a core at a time.
func (t *target) resident(p product) int {
	registers := t.lanes(p.tile) * (p.tm*p.tn + ownRegisters)
	return max(1, min(t.core.groups, t.core.registers/registers, t.core.shared*t.limits.SharedMemoryBytes/p.sharedBytes(p.bk)))
}

// groups returns the number of tiles of the result.
func (p product) groups() int { return ceilDiv(p.m, p.bm) * ceilDiv(p.n, p.bn) }

// multiplication is a product as a shader runs it.
type multiplication struct {
	product
	call func(shared) shaders.Call[arg]

	c          kernels.Tensor // result
	bias       kernels.Tensor // may be absent
	accumulate bool
	mixed      bool           // see kernels.Mixed
	rowSums    kernels.Tensor // of A, see matrix_row_sums.glsl; may be absent
	counters   int            // that the shader needs in addition to those of splits
}

// shared is what the shaders of all products take, as far as they have it.
type shared struct {
	tile                 shaders.MatrixTileSpec
	withBias, accumulate bool // the shader adds the bias and the old contents of the result; a second pass may do so
	bias                 arg
	result, parts        arg
	counters             arg
	rowParts, rowSums    arg
}

// splitFan is the number of splits, or of their sums, that a workgroup adds up
// at a time (SPLIT_FAN in shaders/include/matrix_store.glsl).
const splitFan = 8

// sumsSplits reports whether the last workgroups of each tile add up the splits.
func (t *target) sumsSplits(p product) bool { return p.splits > 1 && t.lastGroup }

// splitCounters returns the number of counters that sumsSplits needs.
func (t *target) splitCounters(p product) int {
	if !t.sumsSplits(p) {
		return 0
	}
	return treeNodes(p.splits, splitFan) * p.groups()
}

// combineFan is the number of row tiles that a workgroup combines at a time
// (COMBINE_FAN in shaders/include/matrix_columns.glsl).
func (t tile) combineFan() int { return 4 * (t.threads() / (t.bn / 4)) }

// combineCounters returns the number of counters needed to combine parts in each
// of the given columns of tiles. A single part also has a node.
func (t tile) combineCounters(parts, columns int) int {
	return max(1, treeNodes(parts, t.combineFan())) * columns
}

// treeNodes returns the number of inner nodes of a tree over the given number of
// parts; each node has a counter (shaders/include/last_group.glsl).
func treeNodes(parts, fan int) int {
	nodes := 0
	for parts > 1 {
		parts = ceilDiv(parts, fan)
		nodes += parts
	}
	return nodes
}

// multiply appends the dispatch of a product. Splits go to scratch first; the
// last workgroups of each tile add them up or, if the device cannot tell which
// workgroup is last, further dispatches do.
func (l *lowering) multiply(m multiplication) {
	secondPass := m.splits > 1 && !l.lastGroup
	result := l.write(m.c)
	if m.accumulate {
		result = l.update(m.c)
	}
	u, regions := units{}, 0
	if m.product.units {
		u, regions = *l.units, l.units.regions(m.tile)
	}
	s := shared{tile: shaders.MatrixTileSpec{BM: m.bm, BN: m.bn, BK: m.bk, TM: m.tm, TN: m.tn,
		SumSplits: l.sumsSplits(m.product), RowSums: !m.rowSums.Absent(), WholeK: m.k%m.bk == 0, Unroll: l.unroll(m.bk), Mixed: m.mixed,
		SubgroupSize: u.subgroup, SubgroupsM: regions, UnitM: u.M, UnitN: u.N, UnitK: u.K},
		withBias: !m.bias.Absent() && !secondPass, accumulate: m.accumulate && !secondPass,
		result: result}
	if s.withBias {
		s.bias = l.read(m.bias)
	}
	if m.splits > 1 {
		s.parts = arg{l.partials(m.splits * m.m * m.n), kernels.Write}
	}
	if secondPass {
		s.result = s.parts
	}
	if !m.rowSums.Absent() {
		s.rowSums = l.write(m.rowSums)
		if m.splits > 1 {
			s.rowParts = arg{l.partials(m.splits * m.m), kernels.Write}
		}
		if secondPass {
			s.rowSums = s.rowParts
		}
	}
	if n := m.counters + l.splitCounters(m.product); n > 0 {
		s.counters = l.counters(n)
	}
	call := m.call(s)
	if m.product.units {
		call.Shader += "_" + l.units.Factors
	}
	l.dispatch(m.threads(), m.groups(), m.splits, call)
	l.out[len(l.out)-1].product = &m.product
	if secondPass {
		l.sumSplits(m, s.parts.span, s.rowParts.span, result)
	}
}

// sumSplits appends the second pass of a split product.
func (l *lowering) sumSplits(m multiplication, parts, rowParts span, result arg) {
	s := l.single(m.splits, m.m*m.n)
	l.reduce(s, shaders.SplitKSum(shaders.SplitKSumSpec{Columns: s.width, WithBias: !m.bias.Absent(), Accumulate: m.accumulate},
		shaders.SplitKSumPush{Splits: m.splits, Len: m.m * m.n, N: m.n},
		shaders.SplitKSumBuffers[arg]{Partials: arg{parts, kernels.Read}, Bias: l.readIf(m.bias), C: result}))
	if !m.rowSums.Absent() {
		l.sumColumns(l.single(m.splits, m.m), arg{rowParts, kernels.Read}, l.write(m.rowSums))
	}
}
