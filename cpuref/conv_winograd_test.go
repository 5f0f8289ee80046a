package cpuref

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// layer is a 3×3 convolution of N images (H, W, I) with pad 1.
type layer struct{ n, h, w, i, o int }

func (l layer) String() string { return fmt.Sprintf("%dx%dx%dx%d_%d", l.n, l.h, l.w, l.i, l.o) }

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
	p.x, p.w, p.dy = f("x", l.n, l.h, l.w, l.i), f("w", l.o, 3, 3, l.i), f("dy", l.n, l.h, l.w, l.o)
	p.y, p.dx, p.dw = f("y", l.n, l.h, l.w, l.o), f("dx", l.n, l.h, l.w, l.i), f("dw", l.o, 3, 3, l.i)
	p.forward = kernels.ConvForward{X: p.x, W: p.w, Bias: f("bias", l.o), Y: p.y, Mean: f("mean", l.o), Var: f("var", l.o), Stride: 1, Pad: 1}
	p.backwardInput = kernels.ConvBackwardInput{DY: p.dy, W: p.w, DX: p.dx, Stride: 1, Pad: 1}
	p.backwardWeight = kernels.ConvBackwardWeight{X: p.x, DY: p.dy, DW: p.dw, DBias: f("dbias", l.o), Stride: 1, Pad: 1}
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

// algorithms returns the program of a layer, and its ops by the direct algorithm
// and by Winograd's: forward, gradient of the input, of the weights.
func algorithms(t testing.TB, l *layerPlan, tier string, threads int) (p *program, direct, winograd [3]func() error) {
	t.Helper()
	opened, err := Open(Options{Tier: tier, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	p = l.compile(t, opened).(*program)
	p.writes = map[int]bool{l.w.Buffer: true} // as in a training step, which prepares the weights in each run
	direct = [3]func() error{p.directForward(l.forward, nil), p.directBackwardInput(l.backwardInput), p.directBackwardWeight(l.backwardWeight)}
	winograd = [3]func() error{p.winogradForward(l.forward, nil), p.winogradBackwardInput(l.backwardInput), p.winogradWeight(l.backwardWeight)}
	p.scratch.allocate(threads)
	return p, direct, winograd
}

var opNames = []string{"forward", "input", "weight"}

// Winograd's algorithm is about as close to the oracle as the direct one: its sums
// are shorter. On fashioncnn's layers, batch 8, with normal data, the root mean
// square of its error divided by that of the result is 1.8e-7 and 2.3e-7 in the
// forward pass (direct 2.1e-7 and 2.8e-7), 2.7e-7 and 3.6e-7 in the gradient of
// the input (4.1e-7 and 5.7e-7), and 3.2e-7 and 2.2e-7 in that of the weights
// (2.9e-7 and 1.7e-7). F(4×4, 3×3), with 0.73 and 0.64 times as many products,
// has 9.7e-7 and 1.1e-6 in the forward pass, and its sixths make results of
// integers inexact.
func TestWinogradErrors(t *testing.T) {
	for _, l := range []layer{{2, 14, 14, 32, 64}, {3, 7, 7, 64, 32}} {
		plan := newLayerPlan(l)
		reference := plan.compile(t, oracle.New())
		if err := reference.Run("ops", 1); err != nil {
			t.Fatal(err)
		}
		for _, tier := range Tiers() {
			p, direct, winograd := algorithms(t, plan, tier, 2)
			for i, result := range []kernels.Tensor{plan.y, plan.dx, plan.dw} {
				want := make([]float32, result.Len())
				if err := reference.Read(result, kernels.AsBytes(want)); err != nil {
					t.Fatal(err)
				}
				var errors [2]float64
				for j, run := range []func() error{direct[i], winograd[i]} {
					if err := run(); err != nil {
						t.Fatal(err)
					}
					errors[j] = relativeError(p.floats(result), want)
				}
				t.Logf("%v, %s, %s: root mean square error %.2g direct, %.2g by Winograd's algorithm", l, tier, opNames[i], errors[0], errors[1])
				if !(errors[1] <= 2*errors[0]) {
					t.Errorf("%v, %s, %s: the error is %.2g, the direct algorithm's %.2g", l, tier, opNames[i], errors[1], errors[0])
				}
			}
		}
	}
}

// Any number of threads gives the same bits, and a run allocates nothing. The
// layers have several images per block, several blocks per image, and an
// incomplete last block and group.
func TestWinogradThreads(t *testing.T) {
	for _, l := range []layer{{19, 7, 7, 64, 32}, {1, 45, 46, 32, 80}, {33, 6, 5, 32, 48}} {
		plan := newLayerPlan(l)
		for _, tier := range Tiers() {
			var want [][]byte
			for _, threads := range []int{1, 2, 3, 7} {
				p, _, winograd := algorithms(t, plan, tier, threads)
				for i, run := range winograd {
					if allocations := testing.AllocsPerRun(3, func() { run() }); allocations != 0 {
						t.Errorf("%v, %s, %d threads: %s allocates %v times", l, tier, threads, opNames[i], allocations)
					}
				}
				if want == nil {
					want = p.buffers
				}
				for i, b := range plan.Buffers {
					if !bytes.Equal(p.buffers[i], want[i]) {
						t.Errorf("%v, %s: with %d threads, %s differs from one thread's", l, tier, threads, b.Name)
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

// The direct algorithm and Winograd's, in turn so that other load meets both: the
// source of the table in conv_winograd.go.
func BenchmarkWinograd(b *testing.B) {
	for _, tier := range Tiers() {
		for _, threads := range []int{1, 2} {
			for _, l := range []layer{
				{64, 14, 14, 32, 64}, {64, 7, 7, 64, 128}, {64, 16, 16, 32, 32}, {64, 8, 8, 64, 64},
				{64, 4, 4, 256, 256}, {64, 2, 2, 64, 64}, {1, 14, 14, 32, 64}, {4, 7, 7, 64, 128},
				{64, 32, 32, 16, 16}, {64, 28, 28, 16, 16}, {64, 14, 14, 32, 16}, {64, 1, 1, 64, 64}, {1, 7, 7, 64, 128},
			} {
				_, direct, winograd := algorithms(b, newLayerPlan(l), tier, threads)
				for i, name := range opNames {
					b.Run(fmt.Sprintf("%s/threads=%d/%v/%s", tier, threads, l, name), func(b *testing.B) {
						inTurn(b, direct[i], winograd[i])
					})
				}
			}
		}
	}
}

// inTurn reports the shortest time and the median of each algorithm.
func inTurn(b *testing.B, direct, winograd func() error) {
	var times [2][]float64
	for range b.N {
		for j, run := range []func() error{direct, winograd} {
			start := time.Now()
			if err := run(); err != nil {
				b.Fatal(err)
			}
			times[j] = append(times[j], time.Since(start).Seconds()*1e6)
		}
	}
	for j, name := range []string{"direct", "winograd"} {
		slices.Sort(times[j])
		b.ReportMetric(times[j][0], name+"-min-µs")
		b.ReportMetric(times[j][len(times[j])/2], name+"-median-µs")
	}
	b.ReportMetric(times[0][0]/times[1][0], "min-ratio")
}
