package cpuref

import (
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
)

// A program reads lent memory, and never writes it.
func TestLentMemory(t *testing.T) {
	b, err := Open(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var p kernels.Plan
	x, y := p.Tensor("x", kernels.Uint8, 5), p.Tensor("y", kernels.Float32, 5)
	lend := func(to kernels.Tensor, memory []byte) (kernels.Program, error) {
		return b.(kernels.Borrower).CompileOn(&p, map[int][]byte{to.Buffer: memory})
	}
	memory := []byte("abcde")
	program, err := lend(x, memory)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if err := program.Read(x, got); err != nil || string(got) != "abcde" {
		t.Errorf("%q is read (%v)", got, err)
	}
	if err := program.Write(x, []byte("other")); err == nil || string(memory) != "abcde" {
		t.Errorf("after a write it is %q (%v)", memory, err)
	}
	for _, wrong := range []struct {
		to    kernels.Tensor
		bytes int
	}{{x, 4}, {y, 20}} {
		if _, err := lend(wrong.to, make([]byte, wrong.bytes)); err == nil || !strings.Contains(err.Error(), "lent for buffer") {
			t.Errorf("%d bytes for %v: %v", wrong.bytes, wrong.to, err)
		}
	}
}

// A plan is measured against what a control group leaves, intermediate results included.
func TestBudget(t *testing.T) {
	defer func(before func() hostmemory.Limit) { memoryLimit = before }(memoryLimit)
	debug.FreeOSMemory() // the garbage of other tests
	has := hostmemory.Of()
	if has.Bytes == 0 {
		t.Skip("skipped: hostmemory knows no limit outside Linux")
	}
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
	if err := fits(32 << 20); !errors.Is(err, kernels.ErrOutOfMemory) || !strings.Contains(err.Error(), "x the plan needs more than is left of the ") ||
		!strings.Contains(err.Error(), "control group") {
		t.Errorf("128 MiB of 64: %v", err)
	}
	t.Run("after Close", func(t *testing.T) {
		if kerneltest.RaceEnabled {
			t.Skip("skipped: the race detector itself keeps memory for buffers that are gone")
		}
		for range 2 {
			use48MiB(t, b)
		}
	})
}

// use48MiB fails unless a program of 48 MiB fits. It writes all of them and closes the
// program; the garbage collector need not run.
func use48MiB(t *testing.T, b kernels.Backend) {
	t.Helper()
	var p kernels.Plan
	x := p.Tensor("x", kernels.Float32, 12<<20)
	program, err := b.Compile(&p)
	if err != nil {
		t.Fatalf("48 of 64 MiB: %v", err)
	}
	for i := range 12 {
		part := kernels.Tensor{Buffer: x.Buffer, Type: x.Type, Shape: []int{1 << 20}, Offset: i << 20}
		if err := program.Write(part, make([]byte, 4<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
}

// The scratch of all threads counts.
func TestBudgetOfScratch(t *testing.T) {
	has := hostmemory.Of()
	if has.Bytes == 0 {
		t.Skip("skipped: hostmemory knows no limit outside Linux")
	}
	debug.FreeOSMemory() // the garbage of other tests
	limit := hostmemory.Limit{Bytes: has.Bytes - has.Left() + 100<<20}
	room := budget{limit, limit.Reserve()}
	defer room.Close()
	if err := room.scratch(&scratch{sharedLength: 16 << 20, privateLength: 16 << 20}, 2); !errors.Is(err, kernels.ErrOutOfMemory) || !strings.Contains(err.Error(), "intermediate results of each thread") {
		t.Errorf("192 MiB of 100: %v", err)
	}
}
