package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// BatchNorm is the shape and the data of a batch-norm case: R rows of C
// channels, whose channel c has a mean around Mean and a standard deviation
// around Std.
type BatchNorm struct {
	Shape     []int
	Mean, Std float64
	InPlace   bool
}

// BatchNormForward is a case of [kernels.BatchNormForward].
type BatchNormForward struct {
	BatchNorm
	Given bool // the statistics are inputs
}

// String describes the case.
func (c BatchNormForward) String() string {
	if c.Given {
		return c.BatchNorm.String() + "_given"
	}
	return c.BatchNorm.String()
}

// BatchNormInference is a case of [kernels.BatchNormInference].
type BatchNormInference struct{ BatchNorm }

// BatchNormBackward is a case of [kernels.BatchNormBackward].
type BatchNormBackward struct{ BatchNorm }

const batchNormEps = 1e-5

// String describes the case: "64x7x7x128_mean0_std1".
func (c BatchNorm) String() string {
	return fmt.Sprintf("%s_mean%v_std%v", shapeName(c.Shape, c.InPlace), c.Mean, c.Std)
}

func (c BatchNorm) channels() int { return c.Shape[len(c.Shape)-1] }

// x gives each channel a different mean and standard deviation.
func (c BatchNorm) x() fill {
	return func(r *rand.Rand, i int) float32 {
		channel := 1 + float64(i%c.channels())/float64(c.channels())
		return float32(c.Mean*channel + c.Std*channel*r.NormFloat64())
	}
}

// Trial implements [Case].
func (c BatchNormForward) Trial() *Trial {
	t := newTrial()
	ch := c.channels()
	op := kernels.BatchNormForward{Momentum: 0.1, Eps: batchNormEps}
	op.X = t.floats("X", c.x(), c.Shape...)
	op.Gamma = t.floats("Gamma", uniform(-1, 2), ch)
	op.Beta = t.floats("Beta", normal(0, 1), ch)
	op.RunningMean = t.floats("RunningMean", normal(0, 1), ch)
	op.RunningVar = t.floats("RunningVar", uniform(0.5, 2), ch)
	if c.Given {
		op.Mean = t.derived("Mean", statisticOfX(ch, meanOf), ch)
		op.Var = t.derived("Var", statisticOfX(ch, varianceOf), ch)
	} else {
		op.Mean = t.output("Mean", ch)
	}
	op.InvStd = t.output("InvStd", ch)
	op.Y = op.X
	if !c.InPlace {
		op.Y = t.output("Y", c.Shape...)
	}
	return t.run(op)
}

func batchNormForwardBounds(op kernels.BatchNormForward) map[string]Bound {
	errors := once(func(r *Results) []batchNormErrors { return batchNormForwardErrors(op, r) })
	pick := func(f func(batchNormErrors) float64) Bound {
		return func(r *Results) (bound []float64) {
			for _, e := range errors(r) {
				bound = append(bound, f(e))
			}
			return bound
		}
	}
	return map[string]Bound{
		"Mean":        pick(func(e batchNormErrors) float64 { return e.mean }),
		"InvStd":      pick(func(e batchNormErrors) float64 { return e.invStd }),
		"RunningMean": pick(func(e batchNormErrors) float64 { return e.runningMean }),
		"RunningVar":  pick(func(e batchNormErrors) float64 { return e.runningVar }),
		"Y":           func(r *Results) []float64 { return batchNormBoundY(op, r, errors(r)) },
	}
}

// batchNormErrors are the errors that a stable float32 implementation may make
// in one channel.
type batchNormErrors struct{ mean, invStd, runningMean, runningVar float64 }

// statisticsErrors returns the errors that a stable float32 implementation may
// make in the mean and variance of that many rows.
//
// Sums of R terms with independent roundings have an error of about √R·u; k
// allows four times that plus eight roundings. The mean then has an error of
// k·rms, where rms = √(mean² + var). For the variance, Chan, Golub & LeVeque
// ("Algorithms for computing the sample variance", 1983) show that the error of
// Welford's and the pairwise update is of the order of κ·u, κ = rms/std, and
// that of two passes is smaller; the textbook Σx² − (Σx)²/R has an error of
// κ²·u and fails if the mean is large. An error in the mean adds its square.
func statisticsErrors(rows int, mean, variance float64) (errMean, errVar float64) {
	k := 4 * (math.Sqrt(float64(rows)) + 8) * u
	rms := math.Sqrt(mean*mean + variance)
	errMean = k*rms + tiny
	return errMean, k*rms*math.Sqrt(variance) + errMean*errMean
}

func batchNormForwardErrors(op kernels.BatchNormForward, r *Results) []batchNormErrors {
	x, rm, rv := r.In["X"], r.In["RunningMean"], r.In["RunningVar"]
	rows, ch := op.X.Matrix()
	n, momentum, eps := float64(rows), float64(op.Momentum), float64(op.Eps)
	means, variances := moments(x, ch)
	list := make([]batchNormErrors, ch)
	for j := range list {
		mean, variance := means[j], variances[j]
		e := &list[j]
		var errVar float64
		if op.Var.Absent() {
			e.mean, errVar = statisticsErrors(rows, mean, variance)
		} else { // the given statistics are exact
			mean, variance = r.In["Mean"][j], r.In["Var"][j]
		}
		// d(v+ε)^−½ = −½ (v+ε)^−³ᐟ² dv; square root and division add 3 units.
		e.invStd = errVar*math.Pow(variance+eps, -1.5)/2 + 8*u/math.Sqrt(variance+eps)
		unbiased := 1.0
		if rows > 1 {
			unbiased = n / (n - 1)
		}
		e.runningMean = momentum*e.mean + 4*u*(math.Abs(rm[j])+math.Abs(mean))
		e.runningVar = momentum*unbiased*errVar + 4*u*(rv[j]+unbiased*variance)
	}
	return list
}

// batchNormBoundY propagates the errors of the statistics through
// Y = (X − mean)·invStd·γ + β, which may be folded into X·scale + shift and
// rounds four times.
func batchNormBoundY(op kernels.BatchNormForward, r *Results, errors []batchNormErrors) []float64 {
	x, gamma, beta, mean, invStd := r.In["X"], r.In["Gamma"], r.In["Beta"], r.Ref["Mean"], r.Ref["InvStd"]
	if !op.Var.Absent() {
		mean = r.In["Mean"]
	}
	bound := make([]float64, len(x))
	for i := range x {
		j := i % len(gamma)
		g := math.Abs(gamma[j])
		bound[i] = g*invStd[j]*errors[j].mean +
			g*math.Abs(x[i]-mean[j])*errors[j].invStd +
			4*u*(g*invStd[j]*(math.Abs(x[i])+math.Abs(mean[j]))+math.Abs(beta[j]))
	}
	return bound
}

// moments returns the mean and biased variance of each channel.
func moments(x []float64, channels int) (mean, variance []float64) {
	mean, variance = make([]float64, channels), make([]float64, channels)
	rows := float64(len(x) / channels)
	for row := range slices.Chunk(x, channels) {
		for j, v := range row {
			mean[j] += v
		}
	}
	for j := range mean {
		mean[j] /= rows
	}
	for row := range slices.Chunk(x, channels) {
		for j, v := range row {
			variance[j] += (v - mean[j]) * (v - mean[j])
		}
	}
	for j := range variance {
		variance[j] /= rows
	}
	return mean, variance
}

// Trial implements [Case].
func (c BatchNormInference) Trial() *Trial {
	t := newTrial()
	ch := c.channels()
	op := kernels.BatchNormInference{Eps: batchNormEps}
	op.X = t.floats("X", c.x(), c.Shape...)
	op.Gamma = t.floats("Gamma", uniform(-1, 2), ch)
	op.Beta = t.floats("Beta", normal(0, 1), ch)
	op.RunningMean = t.floats("RunningMean", normal(c.Mean, c.Std), ch)
	op.RunningVar = t.floats("RunningVar", uniform(0, 2*c.Std*c.Std), ch)
	op.Y = op.X
	if !c.InPlace {
		op.Y = t.output("Y", c.Shape...)
	}
	return t.run(op)
}

// batchNormInferenceBounds: the op may be folded into X·scale + shift; the error
// of scale is 4 units (square root, division, product), and the rest adds 4
// roundings.
func batchNormInferenceBounds(op kernels.BatchNormInference) map[string]Bound {
	return map[string]Bound{"Y": func(r *Results) []float64 {
		x, gamma, beta, mean, variance := r.In["X"], r.In["Gamma"], r.In["Beta"], r.In["RunningMean"], r.In["RunningVar"]
		bound := make([]float64, len(x))
		for i := range x {
			j := i % len(gamma)
			scale := math.Abs(gamma[j]) / math.Sqrt(variance[j]+float64(op.Eps))
			bound[i] = 12*u*scale*(math.Abs(x[i])+math.Abs(mean[j])) + 4*u*math.Abs(beta[j])
		}
		return bound
	}}
}

// Trial implements [Case]. Mean and InvStd are those of X, as after the forward
// op.
func (c BatchNormBackward) Trial() *Trial {
	t := newTrial()
	ch := c.channels()
	op := kernels.BatchNormBackward{}
	op.X = t.floats("X", c.x(), c.Shape...)
	op.DY = t.floats("DY", mixed, c.Shape...)
	op.Gamma = t.floats("Gamma", uniform(-1, 2), ch)
	op.Mean = t.derived("Mean", statisticOfX(ch, meanOf), ch)
	op.InvStd = t.derived("InvStd", statisticOfX(ch, invStdOf), ch)
	op.DX = op.DY
	if !c.InPlace {
		op.DX = t.output("DX", c.Shape...)
	}
	op.DGamma = t.output("DGamma", ch)
	op.DBeta = t.output("DBeta", ch)
	return t.run(op)
}

// statisticOfX derives an input from the mean and biased variance of each channel
// of X, as they are after the forward op.
func statisticOfX(channels int, statistic func(mean, variance float64) float64) func(map[string][]float32) []float32 {
	return func(earlier map[string][]float32) []float32 {
		x := make([]float64, len(earlier["X"]))
		for i, v := range earlier["X"] {
			x[i] = float64(v)
		}
		means, variances := moments(x, channels)
		values := make([]float32, channels)
		for j := range values {
			values[j] = float32(statistic(means[j], variances[j]))
		}
		return values
	}
}

func meanOf(mean, _ float64) float64         { return mean }
func varianceOf(_, variance float64) float64 { return variance }
func invStdOf(_, variance float64) float64   { return 1 / math.Sqrt(variance+batchNormEps) }

func batchNormBackwardBounds(op kernels.BatchNormBackward) map[string]Bound {
	rows, ch := op.X.Matrix()
	return batchNormGradientBounds(ch, rows, func(r *Results) []float64 { return r.In["DY"] })
}

// batchNormGradientBounds: the two sums have the given number of terms, of
// magnitudes |DY| and |DY|·(|X| + |Mean|)·InvStd (x̂ may be folded into
// X·InvStd − Mean·InvStd, so terms that cancel count), and the usual (K+8)·u.
// gradient returns DY, in X's shape.
func batchNormGradientBounds(ch, terms int, gradient func(r *Results) []float64) map[string]Bound {
	type errors struct{ dy, dbeta, dgamma []float64 }
	sums := once(func(r *Results) errors {
		e := errors{gradient(r), make([]float64, ch), make([]float64, ch)}
		magnitude := xhatMagnitude(r)
		for i, dy := range e.dy {
			e.dbeta[i%ch] += float64(terms+8) * u * math.Abs(dy)
			e.dgamma[i%ch] += float64(terms+8) * u * math.Abs(dy) * magnitude(i)
		}
		return e
	})
	return map[string]Bound{
		"DBeta":  func(r *Results) []float64 { return sums(r).dbeta },
		"DGamma": func(r *Results) []float64 { return sums(r).dgamma },
		"DX":     func(r *Results) []float64 { e := sums(r); return batchNormBoundDX(r, e.dy, e.dbeta, e.dgamma) },
	}
}

// xhatMagnitude returns a function of i: (|X| + |Mean|)·InvStd of element i.
func xhatMagnitude(r *Results) func(i int) float64 {
	x, mean, invStd := r.In["X"], r.In["Mean"], r.In["InvStd"]
	return func(i int) float64 {
		j := i % len(mean)
		return (math.Abs(x[i]) + math.Abs(mean[j])) * invStd[j]
	}
}

// batchNormBoundDX propagates the errors of both sums and of x̂ (3 roundings)
// through DX, whose 6 operations add roundings.
func batchNormBoundDX(r *Results, dy, errBeta, errGamma []float64) []float64 {
	x, gamma, mean, invStd := r.In["X"], r.In["Gamma"], r.In["Mean"], r.In["InvStd"]
	sumDY, sumDYX := r.Ref["DBeta"], r.Ref["DGamma"]
	rows := float64(len(x) / len(gamma))
	magnitude := xhatMagnitude(r)
	bound := make([]float64, len(x))
	for i := range x {
		j := i % len(gamma)
		xhat := math.Abs(x[i]-mean[j]) * invStd[j]
		terms := math.Abs(dy[i]) + math.Abs(sumDY[j])/rows + xhat*math.Abs(sumDYX[j])/rows
		sums := errBeta[j] + xhat*errGamma[j] + 3*u*magnitude(i)*math.Abs(sumDYX[j])
		bound[i] = math.Abs(gamma[j])*invStd[j]*(6*u*terms+sums/rows) + tiny
	}
	return bound
}

func batchNormCases() []Case {
	var cases []Case
	shapes := []BatchNorm{
		{Shape: []int{1, 1}, Std: 1}, // R = 1: no unbiased variance
		{Shape: []int{1, 7}, Mean: 2, Std: 1},
		{Shape: []int{2, 1}, Std: 1},
		{Shape: []int{3, 5}, Mean: -1, Std: 2},
		{Shape: []int{2, 3, 5, 17}, Std: 1},
		{Shape: []int{15, 16}, Std: 1},
		{Shape: []int{63, 33}, Mean: 3, Std: 0.5},
		{Shape: []int{64, 64}, Std: 10},
		{Shape: []int{65, 31}, Std: 1},
		{Shape: []int{257, 4}, Mean: 1, Std: 1},
		{Shape: []int{1025, 65}, Std: 1},
		{Shape: []int{31, 129}, Std: 0.01},
		{Shape: []int{40, 9}, Mean: 5, Std: 0}, // constant channels
		// Mean ten thousand times the deviation: Σx² − (Σx)²/R has no correct digit left.
		{Shape: []int{128, 32}, Mean: 1000, Std: 0.1},
		{Shape: []int{4, 8, 8, 16}, Mean: -1000, Std: 0.1},
		{Shape: []int{1, 28, 28, 32}, Std: 1},
		{Shape: []int{32, 7, 7, 128}, Std: 1},
		{Shape: []int{64, 7, 7, 128}, Std: 1},
		{Shape: []int{64, 14, 14, 64}, Std: 1},
		{Shape: []int{64, 28, 28, 32}, Std: 1},
		{Shape: []int{64, 28, 28, 16}, Mean: 0.5, Std: 1},
	}
	for i, c := range shapes {
		c.InPlace = i%2 == 1
		cases = append(cases, BatchNormForward{c, false}, BatchNormForward{c, true}, BatchNormInference{c}, BatchNormBackward{c})
	}
	return cases
}
