package parity

import (
	"flag"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// vulkanSample thins out the cases because together they need some 500 shader
// variants, of which a software driver compiles many for more than a second.
// Neighbouring cases have one shape and different data, so an even number would
// always take the same data.
var vulkanSample = flag.Int("vulkan-sample", 11, "with -short, run one of every `N` cases of an op on Vulkan")

// Every op of every backend agrees with the oracle within its tolerance, and
// the oracle with itself, the guards of the cases included. The log is the
// parity table.
func TestOps(t *testing.T) {
	suite := kerneltest.NewSuite(oracle.New())
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		oneOf := 1
		if _, onGPU := b.(*vulkan.Backend); onGPU && testing.Short() {
			oneOf = *vulkanSample
		}
		t.Logf("\n%v", suite.RunSample(t, b, oneOf))
	})
}
