package parity

import (
	"flag"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// vulkanSample thins out the cases because together they need about 500 shader
// variants, many of which take a software driver more than a second to compile.
// Neighbouring cases have the same shape and different data, so an even number
// would always pick the same data.
var vulkanSample = flag.Int("vulkan-sample", 23, "with -short, run one of every `N` cases of an op on Vulkan")

// Every op of every backend agrees with the oracle within its tolerance, and the
// oracle passes against itself, including the guards of the cases. The log is
// the parity table.
func TestOps(t *testing.T) {
	suite := kerneltest.NewSuite(oracle.New())
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		oneOf := 1
		if testing.Short() {
			oneOf = sample(t, b)
		}
		t.Logf("\n%v", suite.RunSample(t, b, oneOf))
	})
}

// sample returns one of how many cases -short runs on a backend: all on the CPU's
// fastest tier, which users get.
func sample(t *testing.T, b kernels.Backend) int {
	if _, onGPU := b.(*vulkan.Backend); onGPU {
		return *vulkanSample
	}
	tiers := cpuref.Tiers()
	if strings.HasSuffix(t.Name(), "/cpu-"+tiers[len(tiers)-1]) {
		return 1
	}
	return 3
}
