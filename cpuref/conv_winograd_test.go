package cpuref

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// layer is a 3×3 convolution of N images (H, W, I) with pad 1.
type layer struct{ n, h, w, i, o int }

func (l layer) String() string { return fmt.Sprintf("%dx%dx%dx%d_%d", l.n, l.h, l.w, l.i, l.o) }

var winogradLayers = []layer{
	{64, 14, 14, 32, 64}, {64, 7, 7, 64, 128}, // of fashioncnn
	{64, 28, 28, 16, 16}, {64, 32, 32, 16, 16}, {64, 16, 16, 32, 32}, {64, 8, 8, 64, 64}, // of residual networks
	{64, 14, 14, 16, 32}, {64, 14, 14, 32, 16}, {64, 28, 28, 32, 32}, {64, 4, 4, 128, 128}, {64, 4, 4, 256, 256}, {16, 56, 56, 64, 64},
	{64, 3, 3, 64, 64}, {64, 5, 5, 64, 64}, {64, 1, 1, 64, 64}, {64, 2, 2, 64, 64},
	{1, 14, 14, 32, 64}, {1, 7, 7, 64, 128}, {2, 7, 7, 64, 128}, {4, 7, 7, 64, 128}, {8, 7, 7, 64, 128}, {1, 32, 32, 64, 64},
}

// algorithms are the direct algorithm and Winograd's, on the same data.
func algorithms(t testing.TB, l layer, tier string, threads int) (direct, winograd [3]func() error) {
	opened, err := Open(Options{Tier: tier, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	plan := &kernels.Plan{}
	f := func(name string, shape ...int) kernels.Tensor { return plan.Tensor(name, kernels.Float32, shape...) }
	x, y := f("x", l.n, l.h, l.w, l.i), f("y", l.n, l.h, l.w, l.o)
	w := f("w", l.o, 3, 3, l.i)
	forward := kernels.ConvForward{X: x, W: w, Bias: f("bias", l.o), Y: y, Mean: f("mean", l.o), Var: f("var", l.o), Stride: 1, Pad: 1}
	backward := kernels.ConvBackwardInput{DY: y, W: w, DX: x, Stride: 1, Pad: 1}
	weight := kernels.ConvBackwardWeight{X: x, DY: y, DW: f("dw", l.o, 3, 3, l.i), DBias: f("dbias", l.o), Stride: 1, Pad: 1}
	plan.Section("ops").Add(forward, backward, weight)
	compiled, err := opened.Compile(plan)
	if err != nil {
		t.Fatal(err)
	}
	p := compiled.(*program)
	random := [4]uint32{}
	for _, b := range []kernels.Tensor{x, w} {
		for i := range p.floats(b) {
			random[0]++
			p.floats(b)[i] = float32(kernels.Philox4x32(random, [2]uint32{})[0]>>8)/(1<<24) - .5
		}
	}
	direct = [3]func() error{p.directForward(forward), p.directBackwardInput(backward), p.directBackwardWeight(weight)}
	winograd = [3]func() error{p.winogradForward(forward), p.winogradBackwardInput(backward), p.winogradWeight(weight)}
	p.scratch.allocate(threads)
	return direct, winograd
}

// The direct algorithm and Winograd's, in turn so that other load meets both.
func BenchmarkWinograd(b *testing.B) {
	for _, tier := range Tiers() {
		for _, threads := range []int{1, 2} {
			for _, l := range winogradLayers {
				direct, winograd := algorithms(b, l, tier, threads)
				for i, name := range []string{"forward", "input", "weight"} {
					b.Run(fmt.Sprintf("%s/threads=%d/%v/%s", tier, threads, l, name), func(b *testing.B) {
						times := [2][]float64{}
						for range b.N {
							for j, f := range []func() error{direct[i], winograd[i]} {
								start := time.Now()
								if err := f(); err != nil {
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
					})
				}
			}
		}
	}
}
