package cpuref

import (
	"errors"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
)

// A plan is measured against what a control group leaves, intermediate results included.
func TestBudget(t *testing.T) {
	defer func(before func() hostmemory.Limit) { memoryLimit = before }(memoryLimit)
	has := hostmemory.Of()
	used := has.Bytes - has.Left()
	memoryLimit = func() hostmemory.Limit { return hostmemory.Limit{Bytes: used + 64<<20, Group: true} }
	b, err := Open(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	fits := func(floats int) error {
		var p kernels.Plan
		p.Tensor("x", kernels.Float32, floats)
		_, compiled := b.Compile(&p)
		if err := b.(kernels.Budgeter).Fits(&p); (err == nil) != (compiled == nil) {
			t.Errorf("%d floats: Fits says %v, Compile %v", floats, err, compiled)
		}
		return compiled
	}
	if err := fits(1 << 20); err != nil {
		t.Error(err)
	}
	if err := fits(32 << 20); !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), "x the plan needs more than is left of the ") ||
		!strings.Contains(err.Error(), "control group") {
		t.Errorf("128 MiB of 64: %v", err)
	}
	room := budget{hostmemory.Limit{Bytes: 1000}, 1000}
	if err := room.scratch(&scratch{sharedLength: 100, privateLength: 100}, 2); !errors.Is(err, ErrOutOfMemory) || !strings.Contains(err.Error(), "intermediate results of each thread") {
		t.Errorf("1,200 bytes of 1,000: %v", err)
	}
}
