package parity

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// vulkanSample: with -short, Vulkan runs one of so many cases of each op: all
// of them need some 500 shader variants, and a software driver compiles many
// for a second and more. Neighbours are one shape with other data, so an even
// number would always take the same data.
const vulkanSample = 11

// Every op of every backend agrees with the oracle within its tolerance, and
// the oracle with itself, the guards of the cases included. The log is the
// parity table.
func TestOps(t *testing.T) {
	suite := kerneltest.NewSuite(oracle.New())
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		oneOf := 1
		if _, onGPU := b.(*vulkan.Backend); onGPU && testing.Short() {
			oneOf = vulkanSample
		}
		t.Logf("\n%v", suite.RunSample(t, b, oneOf))
	})
}
