package kerneltest

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// ConvBatchNormInference is a case of [kernels.ConvBatchNormInference].
type ConvBatchNormInference struct {
	Conv
	Bias, ReLU bool
	Pool       int
}

// String describes the case: "8x28x28x1_32x3x3_stride1_pad1_bias_relu_pool2".
func (c ConvBatchNormInference) String() string {
	s := ConvForward{Conv: c.Conv, Bias: c.Bias}.String()
	if c.ReLU {
		s += "_relu"
	}
	return s + fmt.Sprintf("_pool%d", c.Pool)
}

// Trial implements [Case].
func (c ConvBatchNormInference) Trial() *Trial {
	t := newTrial()
	op := kernels.ConvBatchNormInference{Stride: c.Stride, Pad: c.Pad, Precision: c.Precision, ReLU: c.ReLU, Pool: c.Pool, Eps: batchNormEps}
	op.X = t.floats("X", c.fill(), c.x()...)
	op.W = t.floats("W", c.fill(), c.w()...)
	if c.Bias {
		op.Bias = t.floats("Bias", c.fill(), c.O)
	}
	op.Gamma = t.floats("Gamma", gammas, c.O)
	op.Beta = t.floats("Beta", normal(0, 1), c.O)
	op.RunningMean = t.floats("RunningMean", normal(0, 1), c.O)
	op.RunningVar = t.floats("RunningVar", uniform(0.5, 2), c.O)
	z := c.y()
	op.Z = t.output("Z", z...)
	op.Y = t.output("Y", z[0], z[1]/c.Pool, z[2]/c.Pool, z[3])
	return t.run(op)
}

// convBatchNormBounds: batch-norm multiplies the error of Z by its scale; the rest
// is as in batchNormReLUPoolInferenceBounds.
func convBatchNormBounds(op kernels.ConvBatchNormInference) map[string]Bound {
	return map[string]Bound{"Y": func(r *Results) []float64 {
		conv := *r
		conv.Abs = map[string][]float64{"Y": r.Abs["Z"]}
		ofZ := convForwardBounds(op.Conv())["Y"](&conv)
		norm := *r
		norm.In = map[string][]float64{"X": r.Ref["Z"], "Gamma": r.In["Gamma"], "Beta": r.In["Beta"]}
		f := newFusedWindows(op.Z, op.Y, op.Pool, op.Eps, &norm, r.In["RunningMean"], r.In["RunningVar"])
		return f.each(func(f *fusedWindows, out int) (bound float64) {
			for k := range f.size * f.size {
				_, e := f.element(out, k)
				bound = max(bound, e+(1+8*u)*math.Abs(f.scale[out%f.c])*ofZ[f.input(out, k)])
			}
			return bound + tiny
		})
	}}
}

// convBatchNormCases are convolutions with and without bias and ReLU, and with
// pools up to 3×3 where they fit; whole windows of 2×2, with channels and strides of
// all kinds; then the models' layers.
func convBatchNormCases() []Case {
	var all []ConvBatchNormInference
	for i, c := range convShapes {
		norm := ConvBatchNormInference{Conv: c, Bias: i%2 == 0, ReLU: i%4 != 0, Pool: 1}
		if z := c.y(); norm.ReLU {
			norm.Pool = min(1+i%3, z[1], z[2])
		}
		all = append(all, norm)
	}
	for i, c := range []Conv{
		{N: 3, H: 8, W: 6, I: 5, O: 7, KH: 3, KW: 3, Stride: 1, Pad: 1},
		{N: 2, H: 11, W: 15, I: 36, O: 33, KH: 3, KW: 3, Stride: 2, Pad: 1},
		{N: 5, H: 4, W: 2, I: 8, O: 12, KH: 1, KW: 1, Stride: 1},
	} {
		all = append(all, ConvBatchNormInference{c, i%2 == 0, true, 2})
	}
	for _, batch := range []int{1, 8} {
		for i, c := range modelConvs(batch) {
			all = append(all, ConvBatchNormInference{c, true, true, modelFused(batch)[i].Size})
		}
	}
	var cases []Case
	for _, c := range all {
		cases = append(cases, c)
		c.Precision = kernels.Mixed
		cases = append(cases, c)
	}
	return cases
}
