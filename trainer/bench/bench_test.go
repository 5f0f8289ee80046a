package bench

import (
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(c.x); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.x, got, c.want)
		}
	}
}

// Shares must add up, and the whole must be consistent with itself.
func TestSession(t *testing.T) {
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, infer := range []bool{false, true} {
		s, err := Open(b, Options{Model: "logistic", Batch: 16, Infer: infer, Rounds: 1, Seconds: .01})
		if err != nil {
			t.Fatal(err)
		}
		speed, err := s.Round()
		if err != nil {
			t.Fatal(err)
		}
		ops, err := s.Profile()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Result([]float64{speed}, ops)
		sum := 0.
		for _, op := range r.Ops {
			sum += op.Share
		}
		if !(math.Abs(sum-1) <= 1e-9) || !(speed > 0) || !(math.Abs(r.StepMillis*speed-16e3) <= 1e-6*16e3) {
			t.Errorf("infer %v: shares add up to %v, %v images/s, %v ms a step", infer, sum, speed, r.StepMillis)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
