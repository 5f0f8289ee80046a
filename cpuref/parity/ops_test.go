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
var vulkanSample = flag.Int("vulkan-sample", 37, "run one of every `N` cases of an op on Vulkan")

// Every op of every backend agrees with the oracle within its tolerance, and the
// oracle passes against itself, including the guards of the cases. The log is
// the parity table.
func TestOps(t *testing.T) {
	suite := kerneltest.NewSuite(oracle.New())
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		t.Logf("\n%v", suite.RunSample(t, b, sample(t, b)))
	})
}

// sample returns one of how many cases to run on a backend. With -short that is all on
// the CPU's fastest tier, which users get, and one of three on the others.
func sample(t *testing.T, b kernels.Backend) int {
	_, onGPU := b.(*vulkan.Backend)
	tiers := cpuref.Tiers()
	switch {
	case onGPU:
		return *vulkanSample
	case testing.Short() && !strings.HasSuffix(t.Name(), "/cpu-"+tiers[len(tiers)-1]):
		return 3
	}
	return 1
}
