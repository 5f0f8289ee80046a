package parity

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

// Every op of every backend agrees with the oracle within its tolerance. The
// log is the parity table.
func TestOps(t *testing.T) {
	suite := kerneltest.NewSuite(oracle.New())
	forEachBackend(t, func(t *testing.T, b kernels.Backend) {
		t.Logf("\n%v", suite.Run(t, b))
	})
}
