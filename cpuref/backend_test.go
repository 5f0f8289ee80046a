package cpuref_test

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

// open returns a backend that the test's end closes.
func open(t testing.TB, tier string, threads int) kernels.Backend {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{Tier: tier, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Every op of every tier agrees with the oracle.
func TestOps(t *testing.T) {
	suite := kerneltest.NewSuite(oracle.New())
	for _, tier := range cpuref.Tiers() {
		t.Run(tier, func(t *testing.T) { suite.Run(t, open(t, tier, 2)) })
	}
}
