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
// becomes infinite, infinity and NaN.
func TestMixedRounding(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	factors := []float32{0, 1, -1, math.MaxFloat32, -math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)),
		math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff)} // NaN
	for _, upper := range []uint32{0x3f80, 0x3f81, 0xbf80, 0xc2ff, 0x7f7f, 0x0180} {
		for _, lower := range []uint32{1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			factors = append(factors, math.Float32frombits(upper<<16|lower))
		}
	}
	for _, n := range []int{10, 20} { // a narrow product, and another
		ones := make([]float32, n)
		for i := range ones {
			ones[i] = 1
		}
		for _, swap := range []bool{false, true} {
			got := outer(t, b, factors, ones)
			if swap {
				got = outer(t, b, ones, factors)
			}
			for i, v := range got {
				factor := factors[i/n]
				if swap {
					factor = factors[i%len(factors)]
				}
				want := kernels.RoundBFloat16(factor)
				if same := v == want || v != v && want != want; !same {
					t.Errorf("%g becomes %g, want %g", factor, v, want)
				}
			}
		}
	}
}

// outer returns the products of all elements of a with all of b, (len(a), len(b)).
func outer(t *testing.T, backend kernels.Backend, a, b []float32) []float32 {
	t.Helper()
	const k = 4 // more than 1, for the kernels that need whole vec4s; the others are 0
	var plan kernels.Plan
	x, y := plan.Tensor("x", kernels.Float32, len(a), k), plan.Tensor("y", kernels.Float32, len(b), k)
	z := plan.Tensor("z", kernels.Float32, len(a), len(b))
	plan.Section("product").Add(kernels.GEMM{A: x, B: y, C: z, TransB: true, Precision: kernels.Mixed})
	p, err := backend.Compile(&plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	column := func(v []float32) []byte {
		matrix := make([]float32, k*len(v))
		for i := range v {
			matrix[k*i] = v[i]
		}
		return kernels.AsBytes(matrix)
	}
	write(t, p, x, column(a))
	write(t, p, y, column(b))
	if err := p.Run("product", 1); err != nil {
		t.Fatal(err)
	}
	c := make([]float32, len(a)*len(b))
	if err := p.Read(z, kernels.AsBytes(c)); err != nil {
		t.Fatal(err)
	}
	return c
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
