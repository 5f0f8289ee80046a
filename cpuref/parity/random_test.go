package parity

import (
	"flag"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

var (
	randomCases  = flag.Int("random-cases", 0, "run `N` random shapes of each op on each CPU tier (default 40; with -short 5)")
	randomVulkan = flag.Int("random-vulkan", 0, "run `N` random shapes of each op on Vulkan (default 0)")
	randomSeed   = flag.Uint64("random-seed", 1, "choose other shapes")
)

// Ops of random shapes agree with the oracle on every backend.
func TestRandomOps(t *testing.T) {
	n := *randomCases
	switch {
	case n > 0:
	case testing.Short():
		n = 5
	default:
		n = 40
	}
	var tiers []kernels.Backend
	for _, tier := range cpuref.Tiers() {
		b, err := cpuref.Open(cpuref.Options{Tier: tier, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		closeAfter(t, b)
		tiers = append(tiers, b)
	}
	t.Run("cpu", func(t *testing.T) { checkRandom(t, tiers, n) })
	t.Run("vulkan", func(t *testing.T) {
		if *randomVulkan == 0 {
			t.Skip("skipped without -random-vulkan: a software driver compiles each shape for up to a second")
		}
		checkRandom(t, []kernels.Backend{openVulkan(t)}, *randomVulkan)
	})
}

// checkRandom checks n cases of each op.
func checkRandom(t *testing.T, backends []kernels.Backend, n int) {
	t.Helper()
	for _, kind := range kerneltest.RandomKinds() {
		t.Run(kind, func(t *testing.T) {
			start := time.Now()
			for i := range n {
				if err := kerneltest.CheckAll(oracle.New(), backends, kerneltest.RandomCase(kind, *randomSeed, i)); err != nil {
					t.Fatalf("case %d of seed %d: %v", i, *randomSeed, err)
				}
			}
			t.Logf("%d cases on %d backends in %.1f s", n, len(backends), time.Since(start).Seconds())
		})
	}
}
