package kerneltest

import (
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// inputs returns an op's operands before it runs.
func inputs(c Case) (kernels.Op, *Results) {
	trial := c.Trial()
	return trial.Op, &Results{In: trial.values(trial.Op, kernels.ReadWrite, trial.contents("inputs")), Steps: 1}
}

// Every case has one right Index, and some windows contain their maximum twice,
// with γ positive, negative and 0.
func TestFusedCasesHaveTiesAndNoNearTies(t *testing.T) {
	ties := map[int]int{}
	for _, c := range batchNormReLUPoolCases() {
		if c, ok := c.(BatchNormReLUPoolForward); ok {
			countTies(t, c, ties)
		}
	}
	for _, sign := range []int{-1, 0, 1} {
		if ties[sign] < 100 {
			t.Errorf("%d ties if γ has the sign %d, want at least 100", ties[sign], sign)
		}
	}
}

func countTies(t *testing.T, c BatchNormReLUPoolForward, ties map[int]int) {
	op, r := inputs(c)
	forward := op.(kernels.BatchNormReLUPoolForward)
	for out, bound := range Bounds(op)["Index"](r) {
		if bound != 0 {
			t.Errorf("%s: rounding may swap elements of window %d", c, out)
			return
		}
	}
	f := newFusedWindows(forward.X, forward.Y, forward.Size, forward.Eps, r, r.In["Mean"], r.In["Var"])
	for out := range f.outputs {
		largest, equal := math.Inf(-1), 0
		for k := range f.size * f.size {
			switch b, _ := f.element(out, k); {
			case b > largest:
				largest, equal = b, 1
			case b == largest:
				equal++
			}
		}
		if equal > 1 {
			gamma := r.In["Gamma"][out%f.c]
			ties[int(math.Copysign(math.Ceil(math.Abs(gamma)/4), gamma))]++
		}
	}
}

// Index may differ only where two B are within rounding of each other.
func TestBoundOfIndex(t *testing.T) {
	var p kernels.Plan
	op := kernels.BatchNormReLUPoolForward{X: p.Tensor("X", kernels.Float32, 1, 2, 2, 1), Y: p.Tensor("Y", kernels.Float32, 1, 1, 1, 1),
		Size: 2, Eps: batchNormEps}
	for _, c := range []struct {
		x     []float64
		gamma float64
		want  float64
	}{
		{[]float64{1, 2, 3, 4}, 1, 0},
		{[]float64{3, 4, 4, 4}, 1, 0}, // equal X have equal B
		{[]float64{3, 4, 4 + 0x1p-21, 1}, 1, 1},
		{[]float64{4, 1, 4, 4 + 0x1p-21}, 1, 3},
		{[]float64{4, 1, 4, 4 + 0x1p-21}, -1, 0}, // the smallest wins, clearly
		{[]float64{4, 1, 4, 4 + 0x1p-21}, 0, 0},  // every B is β
	} {
		r := &Results{In: map[string][]float64{"X": c.x, "Mean": {2}, "Var": {1}, "Gamma": {c.gamma}, "Beta": {0.5}}}
		if got := Bounds(op)["Index"](r)[0]; got != c.want {
			t.Errorf("X %v, γ %v: Index may be off by %v, want %v", c.x, c.gamma, got, c.want)
		}
	}
}

// fusedForward computes the forward op in the precision of T, folded into
// X·scale + shift, so that float32 rounds about as much as allowed. lastWins
// keeps the last of equal elements.
func fusedForward[T float32 | float64](op kernels.BatchNormReLUPoolForward, in map[string][]float64, lastWins bool) map[string][]float64 {
	got := map[string][]float64{"Y": make([]float64, op.Y.Len()), "Index": make([]float64, op.Y.Len())}
	rows, ch := op.X.Matrix()
	scale, shift := make([]T, ch), make([]T, ch)
	m := T(op.Momentum)
	for j := range ch {
		mean, variance := T(in["Mean"][j]), T(in["Var"][j])
		invStd := 1 / T(math.Sqrt(float64(variance+T(op.Eps))))
		scale[j] = T(in["Gamma"][j]) * invStd
		shift[j] = T(in["Beta"][j]) - mean*scale[j]
		if rows > 1 {
			variance *= T(rows) / T(rows-1)
		}
		got["InvStd"] = append(got["InvStd"], float64(invStd))
		got["RunningMean"] = append(got["RunningMean"], float64((1-m)*T(in["RunningMean"][j])+m*mean))
		got["RunningVar"] = append(got["RunningVar"], float64((1-m)*T(in["RunningVar"][j])+m*variance))
	}
	f := newFusedWindows(op.X, op.Y, op.Size, op.Eps, &Results{In: in}, in["Mean"], in["Var"])
	for out := range got["Y"] {
		best, largest := 0, T(math.Inf(-1))
		for k := range op.Size * op.Size {
			b := T(in["X"][f.input(out, k)])*scale[out%ch] + shift[out%ch]
			if b > largest || lastWins && b == largest {
				best, largest = k, b
			}
		}
		got["Y"][out], got["Index"][out] = float64(max(largest, 0)), float64(best)
	}
	return got
}

// fusedBackward computes the backward op in the precision of T, row by row.
// throughReLU lets gradients pass where Y is 0.
func fusedBackward[T float32 | float64](op kernels.BatchNormReLUPoolBackward, in map[string][]float64, throughReLU bool) map[string][]float64 {
	rows, ch := op.X.Matrix()
	g, sum, dot := make([]T, op.X.Len()), make([]T, ch), make([]T, ch)
	for out, y := range in["Y"] {
		k := 0
		if in["Index"] != nil {
			k = int(in["Index"][out])
		}
		if y > 0 || throughReLU {
			g[windowElement(out, k, op.X.Dim(1), op.X.Dim(2), ch, op.Y.Dim(1), op.Y.Dim(2), op.Size)] = T(in["DY"][out])
		}
	}
	xhat := func(i int) T { return (T(in["X"][i]) - T(in["Mean"][i%ch])) * T(in["InvStd"][i%ch]) }
	for i, v := range g {
		sum[i%ch] += v
		dot[i%ch] += v * xhat(i)
	}
	got := map[string][]float64{}
	for j := range ch {
		got["DBeta"], got["DGamma"] = append(got["DBeta"], float64(sum[j])), append(got["DGamma"], float64(dot[j]))
	}
	for i, v := range g {
		j := i % ch
		scale := T(in["Gamma"][j]) * T(in["InvStd"][j])
		got["DX"] = append(got["DX"], float64(scale*(v-sum[j]/T(rows)-xhat(i)*dot[j]/T(rows))))
	}
	return got
}

// With the bounds of the fused ops, float32 passes every case, while a tie that
// goes to the last element and a gradient that passes ReLU fail.
func TestFusedBounds(t *testing.T) {
	found := map[string]int{}
	check := func(c Case, fault string, op kernels.Op, got map[string][]float64, r *Results) {
		_, err := compareOutputs(op, got, r, c.Trial().exact)
		if fault == "" && err != nil {
			t.Errorf("%s/%s: float32 fails: %v", op.Kind(), c, err)
		}
		if err != nil {
			found[fault]++
		}
	}
	for _, c := range batchNormReLUPoolCases() {
		op, r := inputs(c)
		if op.FLOPs() > 1<<19 {
			continue
		}
		switch op := op.(type) {
		case kernels.BatchNormReLUPoolForward:
			r.Ref = fusedForward[float64](op, r.In, false)
			check(c, "", op, fusedForward[float32](op, r.In, false), r)
			check(c, "last wins", op, fusedForward[float32](op, r.In, true), r)
		case kernels.BatchNormReLUPoolBackward:
			r.Ref = fusedBackward[float64](op, r.In, false)
			check(c, "", op, fusedBackward[float32](op, r.In, false), r)
			check(c, "through ReLU", op, fusedBackward[float32](op, r.In, true), r)
		}
	}
	// Ties need windows; the smallest cases may lack a tie or a Y of 0.
	if found["last wins"] < 12 || found["through ReLU"] < 40 {
		t.Errorf("number of cases that found each fault: %v, want at least 12 and 40", found)
	}
}
