package oracle

import (
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

// The oracle passes its own cases: they are within its contract, and its runs
// are reproducible.
func TestCases(t *testing.T) {
	t.Log(kerneltest.Run(t, New(), New()))
}
