package kerneltest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// A convolution's statistics pass if a stable method computed them from its own
// Y, however far that Y is from the reference's. Those of another Y fail, and so
// do those of the textbook's method if the mean is large.
func TestStatisticsOfConv(t *testing.T) {
	c := ConvForward{Conv: Conv{N: 8, H: 14, W: 14, I: 3, O: 5, KH: 3, KW: 3, Stride: 1, Pad: 1}, Bias: true, Statistics: true}
	op := c.Trial().Op.(kernels.ConvForward)
	for _, f := range []struct {
		name   string
		mean   float64 // of Y
		method func(x []float32) (mean, variance float32)
		fails  bool
	}{
		{"Welford", 1, welford, false},
		{"two passes", 1, twoPasses, false},
		{"Welford, large mean", 1000, welford, false},
		{"two passes, large mean", 1000, twoPasses, false},
		{"textbook, large mean", 1000, textbook, true},
		{"last row lost", 1, func(x []float32) (mean, variance float32) { return welford(x[:len(x)-1]) }, true},
	} {
		got := statisticsOfRandomY(op, f.mean, f.method)
		// The reference's Y, and therefore its statistics, are off by half of Y's bound.
		r := &Results{Steps: 1, Ref: map[string][]float64{}, Abs: map[string][]float64{}}
		for _, y := range got["Y"] {
			r.Ref["Y"] = append(r.Ref["Y"], y*(1+18*u))
			r.Abs["Y"] = append(r.Abs["Y"], math.Abs(y)*(1+18*u))
		}
		if _, err := compareOutputs(op, got, r, nil); (err != nil) != f.fails {
			t.Errorf("%s: %v, want failure %t", f.name, err, f.fails)
		}
	}
}

// statisticsOfRandomY returns outputs of op: a Y around mean, and its
// statistics, computed by method.
func statisticsOfRandomY(op kernels.ConvForward, mean float64, method func(x []float32) (mean, variance float32)) map[string][]float64 {
	r := rand.New(rand.NewPCG(1, 0))
	rows, ch := op.Y.Matrix()
	got := map[string][]float64{"Y": make([]float64, rows*ch)}
	column := make([]float32, rows)
	for j := range ch {
		for i := range column {
			column[i] = normal(mean, 0.1)(r, i)
			got["Y"][i*ch+j] = float64(column[i])
		}
		m, v := method(column)
		got["Mean"], got["Var"] = append(got["Mean"], float64(m)), append(got["Var"], float64(v))
	}
	return got
}
