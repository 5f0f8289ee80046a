package cpuref

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// layer is a convolution of N images (H, W, I) that keeps their extents.
type layer struct{ n, h, w, i, o, taps int }

func (l layer) String() string {
	return fmt.Sprintf("%dx%dx%dx%d_%d_%dx%[6]d", l.n, l.h, l.w, l.i, l.o, l.taps)
}

// layerPlan is a plan of a layer's three ops.
type layerPlan struct {
	kernels.Plan
	x, w, dy, y, dx, dw kernels.Tensor
	forward             kernels.ConvForward
	backwardInput       kernels.ConvBackwardInput
	backwardWeight      kernels.ConvBackwardWeight
}

func newLayerPlan(l layer) *layerPlan {
	p := &layerPlan{}
	f := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Float32, shape...) }
	p.x, p.w, p.dy = f("x", l.n, l.h, l.w, l.i), f("w", l.o, l.taps, l.taps, l.i), f("dy", l.n, l.h, l.w, l.o)
	p.y, p.dx, p.dw = f("y", l.n, l.h, l.w, l.o), f("dx", l.n, l.h, l.w, l.i), f("dw", l.o, l.taps, l.taps, l.i)
	p.forward = kernels.ConvForward{X: p.x, W: p.w, Bias: f("bias", l.o), Y: p.y, Mean: f("mean", l.o), Var: f("var", l.o), Stride: 1, Pad: l.taps / 2}
	p.backwardInput = kernels.ConvBackwardInput{DY: p.dy, W: p.w, DX: p.dx, Stride: 1, Pad: l.taps / 2}
	p.backwardWeight = kernels.ConvBackwardWeight{X: p.x, DY: p.dy, DW: p.dw, DBias: f("dbias", l.o), Stride: 1, Pad: l.taps / 2}
	p.Section("ops").Add(p.forward, p.backwardInput, p.backwardWeight)
	return p
}

// compile returns the plan's program with random numbers in x, w and dy.
func (l *layerPlan) compile(t testing.TB, b kernels.Backend) kernels.Program {
	t.Helper()
	p, err := b.Compile(&l.Plan)
	if err != nil {
		t.Fatal(err)
	}
	random := [4]uint32{}
	for _, tensor := range []kernels.Tensor{l.x, l.w, l.dy} {
		values := make([]float32, tensor.Len())
		for i := range values {
			random[0]++
			values[i] = float32(kernels.Philox4x32(random, [2]uint32{})[0]>>8)/(1<<24) - .5
		}
		if err := p.Write(tensor, kernels.AsBytes(values)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// algorithm is a layer's ops, forward, gradient of the input and of the weights, by
// one algorithm.
type algorithm struct {
	name        string
	timesDirect float64 // the most that its error may be
	ops         [3]func() error
}

// algorithms returns the program of a layer, and its ops by the direct algorithm,
// first, and by Winograd's.
func algorithms(t testing.TB, l *layerPlan, tier string, threads int) (*program, []algorithm) {
	t.Helper()
	opened, err := Open(Options{Tier: tier, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	p := l.compile(t, opened).(*program)
	p.writes = map[int]bool{l.w.Buffer: true} // as in a training step, which prepares the weights in each run
	list := []algorithm{{"direct", 1, [3]func() error{
		p.directForward(l.forward, nil), p.directBackwardInput(l.backwardInput), p.directBackwardWeight(l.backwardWeight)}}}
	k, limits := p.backend.simd, map[int]float64{4: 2, 6: 4, 8: 13}
	for _, f := range []*simd.Winograd{&k.Winograd2x3, &k.Winograd4x3, &k.Winograd2x5, &k.Winograd4x5} {
		if f.Taps == l.w.Shape[1] {
			list = append(list, algorithm{fmt.Sprintf("F(%d,%d)", f.Outputs, f.Taps), limits[f.Extent()], [3]func() error{
				p.winogradForward(f, l.forward, nil), p.winogradBackwardInput(f, l.backwardInput), p.winogradWeight(f, l.backwardWeight)}})
		}
	}
	p.scratch.allocate(threads)
	return p, list
}

var opNames = []string{"forward", "input", "weight"}

// The error of F(2×2, 3×3) is about that of the direct algorithm: its sums are
// shorter. On the first two layers, with uniform data, the root mean square of its
// error divided by that of the result is 1.9e-7 and 2.4e-7 in the forward pass (direct
// 3.0e-7 and 4.0e-7), 2.6e-7 and 1.9e-7 in the gradient of the input (4.1e-7 and
// 2.8e-7), and 3.1e-7 and 2.1e-7 in that of the weights (2.4e-7 and 1.5e-7). Of
// F(4×4, 3×3) it is 5.9e-7 and 7.2e-7, 7.8e-7 and 5.8e-7, and 5.6e-7 and 4.0e-7, and on
// the third layer, of F(2×2, 5×5), 6.8e-7, 9.2e-7 and 7.8e-7, and of F(4×4, 5×5) 2.3e-6,
// 3.1e-6 and 2.2e-6 (4.8e-7, 6.8e-7 and 2.3e-7). All with AVX-512. The last two have
// tiles of which one row or one column lies inside.
func TestWinogradErrors(t *testing.T) {
	for _, l := range []layer{{2, 14, 14, 32, 64, 3}, {3, 7, 7, 64, 32, 3}, {2, 14, 14, 32, 64, 5}, {2, 5, 9, 64, 32, 3}, {2, 13, 13, 32, 64, 5}} {
		plan := newLayerPlan(l)
		reference := plan.compile(t, oracle.New())
		if err := reference.Run("ops", 1); err != nil {
			t.Fatal(err)
		}
		for _, tier := range Tiers() {
			p, list := algorithms(t, plan, tier, 2)
			for i, result := range []kernels.Tensor{plan.y, plan.dx, plan.dw} {
				want := make([]float32, result.Len())
				if err := reference.Read(result, kernels.AsBytes(want)); err != nil {
					t.Fatal(err)
				}
				direct := 0.
				for _, a := range list {
					if err := a.ops[i](); err != nil {
						t.Fatal(err)
					}
					off := relativeError(p.floats(result), want)
					t.Logf("%v, %s, %s: root mean square error %.2g by %s", l, tier, opNames[i], off, a.name)
					if a.name == "direct" {
						direct = off
					} else if !(off <= a.timesDirect*direct) {
						t.Errorf("%v, %s, %s: the error is %.2g by %s, the direct algorithm's %.2g", l, tier, opNames[i], off, a.name, direct)
					}
				}
			}
		}
	}
}

// Any number of threads and any size of a block, which depends on the machine's cache,
// gives the same bits, and a run allocates nothing. The layers have several images per
// block, several blocks per image, and an incomplete last block and group.
func TestWinogradThreads(t *testing.T) {
	before := winogradElements
	t.Cleanup(func() { winogradElements = before })
	for _, l := range []layer{{19, 7, 7, 32, 32, 3}, {1, 25, 26, 32, 80, 3}, {33, 6, 5, 32, 16, 3}, {17, 9, 6, 16, 32, 5}} {
		plan := newLayerPlan(l)
		for _, tier := range Tiers() {
			want := map[string][][]byte{}
			for i, threads := range []int{1, 2, 7} {
				winogradElements = []int{mostElements, 1 << 13, leastElements}[i]
				p, list := algorithms(t, plan, tier, threads)
				for _, a := range list[1:] {
					for i, run := range a.ops {
						if allocations := testing.AllocsPerRun(2, func() { run() }); allocations != 0 {
							t.Errorf("%v, %s, %d threads: %s by %s allocates %v times", l, tier, threads, opNames[i], a.name, allocations)
						}
					}
					if want[a.name] == nil {
						for _, b := range p.buffers {
							want[a.name] = append(want[a.name], bytes.Clone(b))
						}
					}
					for i, b := range plan.Buffers {
						if !bytes.Equal(p.buffers[i], want[a.name][i]) {
							t.Errorf("%v, %s, %s: with %d threads and blocks of %d elements, %s differs", l, tier, a.name, threads, winogradElements, b.Name)
						}
					}
				}
			}
		}
	}
}

// relativeError returns the root mean square of the error divided by that of want.
func relativeError(got, want []float32) float64 {
	var off, size float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		off, size = off+d*d, size+float64(w)*float64(w)
	}
	return math.Sqrt(off / size)
}

// The direct algorithm and Winograd's, in turn so that other load meets all: the
// source of the table in conv_winograd.go.
func BenchmarkWinograd(b *testing.B) {
	for _, tier := range Tiers() {
		for _, threads := range []int{1, 2} {
			for _, l := range []layer{
				{64, 14, 14, 32, 64, 3}, {64, 7, 7, 64, 128, 3}, {64, 16, 16, 32, 32, 3}, {64, 8, 8, 64, 64, 3},
				{64, 4, 4, 256, 256, 3}, {64, 2, 2, 64, 64, 3}, {1, 14, 14, 32, 64, 3}, {4, 7, 7, 64, 128, 3},
				{64, 32, 32, 16, 16, 3}, {64, 28, 28, 16, 16, 3}, {64, 14, 14, 32, 16, 3}, {64, 1, 1, 64, 64, 3}, {1, 7, 7, 64, 128, 3},
				{64, 14, 14, 32, 64, 5}, {1, 14, 14, 32, 64, 5}, {64, 7, 7, 64, 64, 5}, {64, 28, 28, 16, 16, 5},
			} {
				_, list := algorithms(b, newLayerPlan(l), tier, threads)
				for i, name := range opNames {
					b.Run(fmt.Sprintf("%s/threads=%d/%v/%s", tier, threads, l, name), func(b *testing.B) {
						inTurn(b, list, i)
					})
				}
			}
		}
	}
}

// inTurn reports the shortest time of op i by each algorithm, and the direct one's
// divided by it.
func inTurn(b *testing.B, list []algorithm, i int) {
	times := make([][]float64, len(list))
	for range b.N {
		for j, a := range list {
			start := time.Now()
			if err := a.ops[i](); err != nil {
				b.Fatal(err)
			}
			times[j] = append(times[j], time.Since(start).Seconds()*1e6)
		}
	}
	for j, a := range list {
		b.ReportMetric(slices.Min(times[j]), a.name+"-µs")
		if j > 0 {
			b.ReportMetric(slices.Min(times[0])/slices.Min(times[j]), a.name+"-ratio")
		}
	}
}
