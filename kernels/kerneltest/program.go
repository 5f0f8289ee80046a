package kerneltest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// testProgram tests what [kernels.Program] promises apart from the ops.
func testProgram(t *testing.T, backend kernels.Backend) {
	var p kernels.Plan
	x := p.Tensor("x", kernels.Float32, 3, 70)
	sum := p.Tensor("sum", kernels.Float32, 70)
	state := p.Tensor("state", kernels.Uint32, kernels.StateWords)
	p.Section("step").Add(kernels.ColumnSum{X: x, Y: sum}, kernels.AdvanceState{State: state, Batch: 64})
	p.Section("ones").Add(kernels.Fill{X: x, Value: 1})
	program, err := backend.Compile(&p)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()

	t.Run("starts at zero", func(t *testing.T) {
		for i, b := range p.Buffers {
			whole := kernels.Tensor{Buffer: i, Type: b.Type, Shape: []int{b.Len}}
			if got := read(t, program, whole); !bytes.Equal(got, make([]byte, whole.Bytes())) {
				t.Errorf("buffer %q does not start at zero", b.Name)
			}
		}
	})
	t.Run("runs a section many times", func(t *testing.T) {
		run(t, program, "step", 5)
		run(t, program, "step", 2)
		got := kernels.ParseState(wordsOf(read(t, program, state)))
		if got.Step != 7 || got.Cursor != 7*64 {
			t.Errorf("after 5 and 2 runs the state is %+v, want step 7, cursor %d", got, 7*64)
		}
	})
	t.Run("sections share buffers", func(t *testing.T) {
		run(t, program, "ones", 1)
		run(t, program, "step", 1)
		want := bytes.Repeat(kernels.AsBytes([]float32{3}), 70)
		if got := read(t, program, sum); !bytes.Equal(got, want) {
			t.Errorf("column sums of ones are not 3")
		}
	})
	t.Run("writes a view", func(t *testing.T) {
		row := kernels.Tensor{Buffer: x.Buffer, Offset: 64, Type: x.Type, Shape: []int{5}}
		if err := program.Write(row, kernels.AsBytes([]float32{1, 2, 3, 4, 5})); err != nil {
			t.Fatal(err)
		}
		all := read(t, program, x)
		want := kernels.AsBytes([]float32{1, 1, 2, 3, 4, 5, 1})
		if got := all[4*63 : 4*70]; !bytes.Equal(got, want) {
			t.Errorf("around the view: %v, want %v", got, want)
		}
	})
	t.Run("profiles", func(t *testing.T) { testProfile(t, program, state) })
	t.Run("refuses", func(t *testing.T) { testRefusals(t, backend, program, x) })
}

// testProfile requires a profiled run to do the same as a run.
func testProfile(t *testing.T, program kernels.Program, state kernels.Tensor) {
	before := kernels.ParseState(wordsOf(read(t, program, state)))
	times, err := program.Profile("step")
	if errors.Is(err, kernels.ErrNoTimestamps) {
		t.Logf("Profile is not tested: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(times) != 2 || times[0].Op.Kind() != "ColumnSum" || times[1].Op.Kind() != "AdvanceState" {
		t.Errorf("Profile returned %+v, want a ColumnSum and an AdvanceState", times)
	}
	for _, o := range times {
		if o.Nanoseconds < 0 {
			t.Errorf("%s took %d ns", o.Op.Kind(), o.Nanoseconds)
		}
	}
	if after := kernels.ParseState(wordsOf(read(t, program, state))); after.Step != before.Step+1 {
		t.Errorf("Profile advanced the step from %d to %d", before.Step, after.Step)
	}
}

// testRefusals requires errors for a caller's mistakes.
func testRefusals(t *testing.T, backend kernels.Backend, program kernels.Program, x kernels.Tensor) {
	if err := program.Run("no such section", 1); err == nil {
		t.Error("Run accepts an unknown section")
	}
	if _, err := program.Profile("no such section"); err == nil {
		t.Error("Profile accepts an unknown section")
	}
	if err := program.Write(x, make([]byte, x.Bytes()-4)); err == nil {
		t.Error("Write accepts too few bytes")
	}
	if err := program.Read(x, make([]byte, x.Bytes()+4)); err == nil {
		t.Error("Read accepts too many bytes")
	}
	var bad kernels.Plan
	a, b := bad.Tensor("a", kernels.Float32, 3), bad.Tensor("b", kernels.Float32, 4)
	bad.Section("s").Add(kernels.ReLUForward{X: a, Y: b})
	if p, err := backend.Compile(&bad); err == nil {
		p.Close()
		t.Error("Compile accepts a plan that Check rejects")
	}
	if program.MemoryBytes() <= 0 {
		t.Errorf("MemoryBytes is %d", program.MemoryBytes())
	}
}

func run(t *testing.T, program kernels.Program, section string, times int) {
	t.Helper()
	if err := program.Run(section, times); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, program kernels.Program, tensor kernels.Tensor) []byte {
	t.Helper()
	b := make([]byte, tensor.Bytes())
	if err := program.Read(tensor, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func wordsOf(b []byte) []uint32 {
	w := make([]uint32, len(b)/4)
	copy(kernels.AsBytes(w), b)
	return w
}
