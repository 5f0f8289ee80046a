//go:build cgo

package vulkan

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func TestBetweenDispatches(t *testing.T) {
	for _, c := range []struct {
		marks []int64
		want  time.Duration
	}{
		{nil, 0},
		{[]int64{0, 2, 12}, 8},
		{[]int64{0, 2, 12, 100, 101, 105}, 8 + 3},
		{[]int64{0, 4, 5}, 0},
	} {
		if got := betweenDispatches(c.marks); got != c.want {
			t.Errorf("betweenDispatches(%v) = %d, want %d", c.marks, got, c.want)
		}
	}
}

// What is timed computes what Run does, barrier for barrier, and a section
// without barriers has nothing between its dispatches.
func TestTimeBetweenDispatches(t *testing.T) {
	b, err := Open(cmp.Or(os.Getenv("FMNIST_DEVICE"), "0"), Options{Validate: true})
	if err != nil {
		if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
			t.Fatal(err)
		}
		t.Skip("skipped, no Vulkan device: ", err)
	}
	var plan kernels.Plan
	x, y, z := plan.Tensor("x", kernels.Float32, 1000), plan.Tensor("y", kernels.Float32, 1000), plan.Tensor("z", kernels.Float32, 1000)
	plan.Section("one").Add(kernels.Fill{X: x, Value: 2}, kernels.Fill{X: y, Value: 5})
	plan.Section("chain").Add(kernels.Fill{X: x, Value: 3}, kernels.ReLUForward{X: x, Y: y}, kernels.ReLUForward{X: y, Y: z})
	p, err := b.Compile(&plan)
	if err != nil {
		t.Fatal(err)
	}
	program := p.(*Program)
	if d, err := program.TimeBetweenDispatches("one"); err != nil || d != 0 {
		t.Errorf("%v between dispatches without a barrier (%v)", d, err)
	}
	if _, err := program.TimeBetweenDispatches("chain"); err != nil {
		t.Error(err)
	}
	got := make([]float32, 1000)
	if err := p.Read(z, kernels.AsBytes(got)); err != nil || got[0] != 3 || got[999] != 3 {
		t.Errorf("the timed section left %v … %v, want 3 (%v)", got[0], got[999], err)
	}
	if _, err := program.TimeBetweenDispatches("none"); err == nil {
		t.Error("a section that is not there was timed")
	}
	marks, err := program.barrierMarks(program.sections["chain"])
	if err != nil || len(marks) != 3*2 || !slices.IsSorted(marks) {
		t.Errorf("marks %v (%v), want three, in order, at each of two barriers", marks, err)
	}
	if err := errors.Join(p.Close(), b.Close()); err != nil {
		t.Error(err)
	}
}
