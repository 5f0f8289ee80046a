package kerneltest

import (
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// With the bounds of batch-norm, stable float32 implementations pass every case,
// while the textbook variance Σx²/R − mean² fails if the mean is large.
func TestBatchNormBoundsTellStableFromTextbook(t *testing.T) {
	for _, c := range batchNormCases() {
		bn, ok := c.(BatchNormForward)
		if !ok || bn.Given { // nothing to compute
			continue
		}
		for name, method := range map[string]func(x []float32) (mean, variance float32){
			"Welford": welford, "two passes": twoPasses, "textbook": textbook,
		} {
			err := checkStatistics(bn, method)
			largeMean := math.Abs(bn.Mean) >= 1000
			switch {
			case name != "textbook" && err != nil:
				t.Errorf("%s: %s fails: %v", bn, name, err)
			case name == "textbook" && largeMean && err == nil:
				t.Errorf("%s: the textbook variance passes", bn)
			}
		}
	}
}

// checkStatistics checks a method's means and deviations against the case's bounds.
func checkStatistics(c BatchNormForward, method func(x []float32) (mean, variance float32)) error {
	trial := c.Trial()
	op := trial.Op.(kernels.BatchNormForward)
	r := &Results{In: trial.values(op, kernels.ReadWrite, trial.contents("statistics")), Steps: 1,
		Ref: map[string][]float64{}}
	got := map[string][]float64{}
	rows, ch := op.X.Matrix()
	column := make([]float32, rows)
	means, variances := moments(r.In["X"], ch)
	for j := range ch {
		for i := range column {
			column[i] = float32(r.In["X"][i*ch+j])
		}
		mean, variance := method(column)
		got["Mean"] = append(got["Mean"], float64(mean))
		got["InvStd"] = append(got["InvStd"], 1/math.Sqrt(float64(variance+op.Eps)))
		r.Ref["Mean"] = append(r.Ref["Mean"], means[j])
		r.Ref["InvStd"] = append(r.Ref["InvStd"], 1/math.Sqrt(variances[j]+float64(op.Eps)))
	}
	for _, output := range []string{"Mean", "InvStd"} {
		if _, err := Compare(output, []int{ch}, got[output], r.Ref[output], Bounds(op)[output](r)); err != nil {
			return err
		}
	}
	return nil
}

func welford(x []float32) (mean, variance float32) {
	for i, v := range x {
		d := v - mean
		mean += d / float32(i+1)
		variance += d * (v - mean)
	}
	return mean, variance / float32(len(x))
}

func twoPasses(x []float32) (mean, variance float32) {
	for _, v := range x {
		mean += v
	}
	mean /= float32(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float32(len(x))
}

func textbook(x []float32) (mean, variance float32) {
	var sum, squares float32
	for _, v := range x {
		sum += v
		squares += v * v
	}
	mean = sum / float32(len(x))
	return mean, squares/float32(len(x)) - mean*mean
}
