package cpuref_test

import (
	"fmt"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

// The models' own layers, by threads.
func BenchmarkOps(b *testing.B) {
	for _, threads := range []int{1, cpuref.DefaultThreads()} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			kerneltest.Benchmark(b, open(b, "", threads))
		})
	}
}
