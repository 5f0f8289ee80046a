//go:build cgo

package vulkan_test

import (
	"math"
	"os"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// Products with 1 show how the factors are rounded: ties, the largest float32, which
// becomes infinite, infinity and NaN. Each factor has a product of its own, because units
// for fp16 may lose those that are much smaller than others.
func TestMixedRounding(t *testing.T) {
	factors := []float32{0, 1, -1, math.MaxFloat32, -math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)),
		math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff)} // NaN
	for _, upper := range []uint32{0x3f80, 0x3f81, 0xbf80, 0xc2ff, 0x7f7f, 0x0180} {
		for _, lower := range []uint32{1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			factors = append(factors, math.Float32frombits(upper<<16|lower))
		}
	}
	b := open(t, vulkan.Options{Validate: os.Getenv("FMNIST_VALIDATION") != "off"})
	for _, n := range []int{10, 20} { // a narrow product, and another
		timesOne, oneTimes := productsWithOne(t, b, factors, n)
		for i, factor := range factors {
			want := kernels.RoundBFloat16(factor)
			for _, v := range append(timesOne[i], oneTimes[i]...) {
				if same := v == want || v != v && want != want; !same {
					t.Errorf("n = %d: %g becomes %g, want %g", n, factor, v, want)
				}
			}
		}
	}
}

// productsWithOne returns, for each factor, the products (n, n) of n copies of it with n
// ones, and of the ones with the copies.
func productsWithOne(t *testing.T, b kernels.Backend, factors []float32, n int) (timesOne, oneTimes [][]float32) {
	t.Helper()
	const k = 4 // more than 1, for the kernels that need whole vec4s; the others are 0
	var plan kernels.Plan
	matrix := func(name string) kernels.Tensor { return plan.Tensor(name, kernels.Float32, n, k) }
	ones, s := matrix("ones"), plan.Section("products")
	var copies, left, right []kernels.Tensor
	for i := range factors {
		copies = append(copies, matrix("copies"))
		left = append(left, plan.Tensor("left", kernels.Float32, n, n))
		right = append(right, plan.Tensor("right", kernels.Float32, n, n))
		s.Add(kernels.GEMM{A: copies[i], B: ones, C: left[i], TransB: true, Precision: kernels.Mixed},
			kernels.GEMM{A: ones, B: copies[i], C: right[i], TransB: true, Precision: kernels.Mixed})
	}
	p, err := b.Compile(&plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	column := func(to kernels.Tensor, v float32) {
		values := make([]float32, k*n)
		for i := range n {
			values[k*i] = v
		}
		write(t, p, to, kernels.AsBytes(values))
	}
	column(ones, 1)
	for i, factor := range factors {
		column(copies[i], factor)
	}
	if err := p.Run(s.Name, 1); err != nil {
		t.Fatal(err)
	}
	read := func(from kernels.Tensor) []float32 {
		c := make([]float32, n*n)
		if err := p.Read(from, kernels.AsBytes(c)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := range factors {
		timesOne, oneTimes = append(timesOne, read(left[i])), append(oneTimes, read(right[i]))
	}
	return timesOne, oneTimes
}

// Products on matrix units agree with the oracle. Few software drivers have them.
func TestCasesOnUnits(t *testing.T) {
	b := open(t, vulkan.Options{Validate: os.Getenv("FMNIST_VALIDATION") != "off"})
	if !b.UseUnits() {
		t.Skip("skipped: the device has no matrix units")
	}
	reference := oracle.New()
	defer reference.Close()
	t.Log("\n", kerneltest.NewSuite(reference).RunSample(t, b, unitsSample))
}

// unitsSample: one of so many cases of an op runs on matrix units.
const unitsSample = 15
