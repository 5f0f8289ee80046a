//go:build cgo

package vulkan_test

import (
	"os"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// open returns the backend on $FMNIST_DEVICE, by default device 0. Without a
// device the test is skipped, or fails where FMNIST_REQUIRE_VULKAN is 1.
func open(tb testing.TB, o vulkan.Options) *vulkan.Backend {
	tb.Helper()
	selector := os.Getenv("FMNIST_DEVICE")
	if selector == "" {
		selector = "0"
	}
	b, err := vulkan.Open(selector, o)
	if err != nil {
		if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
			tb.Fatal(err)
		}
		tb.Skip("skipped, no Vulkan device: ", err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// Every op agrees with the oracle, and the validation layer has no objection.
func TestCases(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	reference := oracle.New()
	defer reference.Close()
	t.Log("\n", kerneltest.Run(t, b, reference))
}

func BenchmarkOps(b *testing.B) {
	kerneltest.Benchmark(b, open(b, vulkan.Options{}))
}
