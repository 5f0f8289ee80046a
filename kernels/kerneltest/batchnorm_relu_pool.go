package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// BatchNormReLUPool is the shape and the data of a case of the fused ops:
// windows of Size×Size over X (N, H, W, C), whose channel c has a mean around
// Mean and a standard deviation around Std.
type BatchNormReLUPool struct {
	N, H, W, C int
	Size       int
	Mean, Std  float64
}

// BatchNormReLUPoolForward is a case of [kernels.BatchNormReLUPoolForward].
type BatchNormReLUPoolForward struct{ BatchNormReLUPool }

// BatchNormReLUPoolInference is a case of [kernels.BatchNormReLUPoolInference].
type BatchNormReLUPoolInference struct{ BatchNormReLUPool }

// BatchNormReLUPoolBackward is a case of [kernels.BatchNormReLUPoolBackward].
type BatchNormReLUPoolBackward struct {
	BatchNormReLUPool
	InPlace  bool // DX and X are one tensor
	Integers bool // exact sums
}

// String describes the case: "64x28x28x32_size2_mean0_std1".
func (c BatchNormReLUPool) String() string {
	return fmt.Sprintf("%dx%dx%dx%d_size%d_mean%v_std%v", c.N, c.H, c.W, c.C, c.Size, c.Mean, c.Std)
}

// String describes the case.
func (c BatchNormReLUPoolBackward) String() string {
	s := c.BatchNormReLUPool.String()
	if c.InPlace {
		s += "_inplace"
	}
	if c.Integers {
		s += "_integers"
	}
	return s
}

func (c BatchNormReLUPool) x() []int { return []int{c.N, c.H, c.W, c.C} }
func (c BatchNormReLUPool) y() []int { return []int{c.N, c.H / c.Size, c.W / c.Size, c.C} }

// grid gives values a quarter of the standard deviation apart, different ones
// in each channel. Two elements of a window are therefore equal, so that the
// first must win whatever the rounding, or their B differ by γ/4, far more than
// rounding can reverse. Index thus has only one right answer.
func (c BatchNormReLUPool) grid() fill {
	return func(r *rand.Rand, i int) float32 {
		channel := 1 + float64(i%c.C)/float64(c.C)
		return float32(channel * (c.Mean + c.Std*math.Round(4*r.NormFloat64())/4))
	}
}

// gammas gives some zeros, which make all elements of a window equal, and
// otherwise as many negative numbers, which make the smallest X the largest B,
// as positive ones.
func gammas(r *rand.Rand, i int) float32 {
	magnitude := uniform(0.5, 2)(r, i)
	switch r.IntN(7) {
	case 0:
		return 0
	case 1, 2, 3:
		return -magnitude
	}
	return magnitude
}

// Trial implements [Case]. Mean and Var are those of X.
func (c BatchNormReLUPoolForward) Trial() *Trial {
	t := newTrial()
	op := kernels.BatchNormReLUPoolForward{Size: c.Size, Momentum: 0.1, Eps: batchNormEps}
	op.X = t.floats("X", c.grid(), c.x()...)
	op.Mean = t.derived("Mean", statisticOfX(c.C, meanOf), c.C)
	op.Var = t.derived("Var", statisticOfX(c.C, varianceOf), c.C)
	op.Gamma = t.floats("Gamma", gammas, c.C)
	op.Beta = t.floats("Beta", normal(0, 1), c.C)
	op.RunningMean = t.floats("RunningMean", normal(0, 1), c.C)
	op.RunningVar = t.floats("RunningVar", uniform(0.5, 2), c.C)
	op.InvStd = t.output("InvStd", c.C)
	op.Y = t.output("Y", c.y()...)
	if c.Size > 1 {
		op.Index = t.outputWords("Index", c.y()...)
	}
	return t.run(op)
}

// batchNormReLUPoolForwardBounds: square root, division and the sum with ε
// change InvStd by at most 8 units, as in batchNormForwardErrors; the running
// statistics are sums of two products.
func batchNormReLUPoolForwardBounds(op kernels.BatchNormReLUPoolForward) map[string]Bound {
	rows, ch := op.X.Matrix()
	running := func(old, batch string, factor float64) Bound {
		return func(r *Results) []float64 {
			bound := make([]float64, ch)
			for j := range bound {
				bound[j] = 4*u*(math.Abs(r.In[old][j])+factor*math.Abs(r.In[batch][j])) + tiny
			}
			return bound
		}
	}
	unbiased := 1.0
	if rows > 1 {
		unbiased = float64(rows) / float64(rows-1)
	}
	windows := func(r *Results) *fusedWindows {
		return newFusedWindows(op.X, op.Y, op.Size, op.Eps, r, r.In["Mean"], r.In["Var"])
	}
	return map[string]Bound{
		"InvStd": func(r *Results) []float64 {
			bound := make([]float64, ch)
			for j, v := range r.In["Var"] {
				bound[j] = 8 * u / math.Sqrt(v+float64(op.Eps))
			}
			return bound
		},
		"RunningMean": running("RunningMean", "Mean", 1),
		"RunningVar":  running("RunningVar", "Var", unbiased),
		"Y":           func(r *Results) []float64 { return windows(r).each((*fusedWindows).boundY) },
		"Index":       func(r *Results) []float64 { return windows(r).each((*fusedWindows).boundIndex) },
	}
}

// Trial implements [Case].
func (c BatchNormReLUPoolInference) Trial() *Trial {
	t := newTrial()
	op := kernels.BatchNormReLUPoolInference{Size: c.Size, Eps: batchNormEps}
	op.X = t.floats("X", c.grid(), c.x()...)
	op.Gamma = t.floats("Gamma", gammas, c.C)
	op.Beta = t.floats("Beta", normal(0, 1), c.C)
	op.RunningMean = t.floats("RunningMean", normal(c.Mean, c.Std), c.C)
	op.RunningVar = t.floats("RunningVar", uniform(0, 2*c.Std*c.Std), c.C)
	op.Y = t.output("Y", c.y()...)
	return t.run(op)
}

func batchNormReLUPoolInferenceBounds(op kernels.BatchNormReLUPoolInference) map[string]Bound {
	return map[string]Bound{"Y": func(r *Results) []float64 {
		return newFusedWindows(op.X, op.Y, op.Size, op.Eps, r, r.In["RunningMean"], r.In["RunningVar"]).each((*fusedWindows).boundY)
	}}
}

// fusedWindows are the pooling windows over B, in float64.
type fusedWindows struct {
	h, w, c, oh, ow, size int
	outputs               int
	x, scale, mean, beta  []float64 // B = (x − mean)·scale + beta; all but x by channel
}

func newFusedWindows(x, y kernels.Tensor, size int, eps float32, r *Results, mean, variance []float64) *fusedWindows {
	f := &fusedWindows{h: x.Dim(1), w: x.Dim(2), c: x.Dim(3), oh: y.Dim(1), ow: y.Dim(2), size: size,
		outputs: y.Len(), x: r.In["X"], scale: make([]float64, x.Dim(3)), mean: mean, beta: r.In["Beta"]}
	for j, gamma := range r.In["Gamma"] {
		f.scale[j] = gamma / math.Sqrt(variance[j]+float64(eps))
	}
	return f
}

// each returns the bound of every window.
func (f *fusedWindows) each(bound func(f *fusedWindows, out int) float64) []float64 {
	all := make([]float64, f.outputs)
	for out := range all {
		all[out] = bound(f, out)
	}
	return all
}

// input returns the position in X of element k of the window of output out.
func (f *fusedWindows) input(out, k int) int {
	return windowElement(out, k, f.h, f.w, f.c, f.oh, f.ow, f.size)
}

// windowElement returns the position in X (N, h, w, c) of element k, counted
// row by row, of the window whose output is at position out of (N, oh, ow, c).
func windowElement(out, k, h, w, c, oh, ow, size int) int {
	pixel := out / c
	row := pixel/ow%oh*size + k/size
	col := pixel%ow*size + k%size
	return ((pixel/ow/oh*h+row)*w+col)*c + out%c
}

// element returns B of element k of a window, and how far an implementation's B
// may be from it: the op may be folded into X·scale + shift, where the error of
// scale is 4 units (square root, division, product), and the rest adds 4
// roundings.
func (f *fusedWindows) element(out, k int) (b, bound float64) {
	j, x := out%f.c, f.x[f.input(out, k)]
	return (x-f.mean[j])*f.scale[j] + f.beta[j],
		12*u*math.Abs(f.scale[j])*(math.Abs(x)+math.Abs(f.mean[j])) + 4*u*math.Abs(f.beta[j])
}

// boundY: the error of a maximum is at most the largest of its elements' errors.
func (f *fusedWindows) boundY(out int) (bound float64) {
	for k := range f.size * f.size {
		_, e := f.element(out, k)
		bound = max(bound, e)
	}
	return bound + tiny
}

// boundIndex is 0, since there is one right answer, unless another element's B
// is so close to the largest that rounding may make them equal or swap them. No
// case has such elements (see grid), but the ops of a model do. Elements of
// equal X do not count: they have equal B, and the first wins. Nor do those of
// a channel whose γ is 0, where every B is β.
func (f *fusedWindows) boundIndex(out int) float64 {
	if f.scale[out%f.c] == 0 {
		return 0
	}
	best := 0
	largest, e := f.element(out, 0)
	for k := 1; k < f.size*f.size; k++ {
		if b, bound := f.element(out, k); b > largest {
			best, largest, e = k, b, bound
		}
	}
	lo, hi := best, best
	for k := range f.size * f.size {
		b, bound := f.element(out, k)
		if f.x[f.input(out, k)] != f.x[f.input(out, best)] && largest-b <= 2*(e+bound) {
			lo, hi = min(lo, k), max(hi, k)
		}
	}
	return float64(hi - lo)
}

// Trial implements [Case]. Half of Y is 0. Index and Y do not come from a
// forward op, so that each matters by itself. With Integers, x̂ is a multiple of
// ½ and both sums are exact.
func (c BatchNormReLUPoolBackward) Trial() *Trial {
	t := newTrial()
	op := kernels.BatchNormReLUPoolBackward{Size: c.Size}
	data := mixed
	if c.Integers {
		t.exact = []string{"DGamma", "DBeta"}
		data = integers
		op.X = t.floats("X", integers, c.x()...)
		op.Mean = t.floats("Mean", integers, c.C)
		op.InvStd = t.floats("InvStd", func(r *rand.Rand, _ int) float32 { return 0.5 + 0.5*float32(r.IntN(2)) }, c.C)
	} else {
		op.X = t.floats("X", c.grid(), c.x()...)
		op.Mean = t.derived("Mean", statisticOfX(c.C, meanOf), c.C)
		op.InvStd = t.derived("InvStd", statisticOfX(c.C, invStdOf), c.C)
	}
	op.Y = t.floats("Y", func(r *rand.Rand, i int) float32 { return max(0, normal(0, 1)(r, i)) }, c.y()...)
	op.DY = t.floats("DY", data, c.y()...)
	if c.Size > 1 {
		op.Index = t.words("Index", func(r *rand.Rand, _ int) uint32 { return r.Uint32N(uint32(c.Size * c.Size)) }, c.y()...)
	}
	op.Gamma = t.floats("Gamma", gammas, c.C)
	op.DX = op.X
	if !c.InPlace {
		op.DX = t.output("DX", c.x()...)
	}
	op.DGamma = t.output("DGamma", c.C)
	op.DBeta = t.output("DBeta", c.C)
	return t.run(op)
}

// batchNormReLUPoolBackwardBounds are batch-norm's bounds with G as DY: each sum
// has as many terms as a channel has windows.
func batchNormReLUPoolBackwardBounds(op kernels.BatchNormReLUPoolBackward) map[string]Bound {
	windows, _ := op.Y.Matrix()
	return batchNormGradientBounds(op.X.Dim(-1), windows, func(r *Results) []float64 {
		g := make([]float64, len(r.In["X"]))
		for out, y := range r.In["Y"] {
			k := 0
			if index := r.In["Index"]; index != nil {
				k = int(index[out])
			}
			if y > 0 {
				g[windowElement(out, k, op.X.Dim(1), op.X.Dim(2), op.X.Dim(3), op.Y.Dim(1), op.Y.Dim(2), op.Size)] = r.In["DY"][out]
			}
		}
		return g
	})
}

// fusedShapes include images whose last rows and columns do not fill a window,
// one channel, channels at and around vector and workgroup sizes, few channels
// in many images, and large means.
var fusedShapes = []BatchNormReLUPool{
	{N: 1, H: 1, W: 1, C: 1, Size: 1, Std: 1}, // R = 1: no unbiased variance
	{N: 1, H: 2, W: 2, C: 1, Size: 2, Std: 1},
	{N: 1, H: 3, W: 3, C: 1, Size: 3, Std: 1},
	{N: 1, H: 1, W: 7, C: 5, Size: 1, Mean: 2, Std: 1},
	{N: 2, H: 5, W: 7, C: 3, Size: 2, Std: 1},
	{N: 3, H: 7, W: 8, C: 5, Size: 3, Mean: -1, Std: 2},
	{N: 2, H: 4, W: 6, C: 7, Size: 2, Std: 10},
	{N: 1, H: 5, W: 5, C: 13, Size: 3, Std: 1},
	{N: 2, H: 9, W: 7, C: 15, Size: 2, Std: 1},
	{N: 2, H: 6, W: 6, C: 16, Size: 2, Mean: 3, Std: 0.5},
	{N: 2, H: 8, W: 5, C: 17, Size: 3, Std: 1},
	{N: 3, H: 5, W: 4, C: 31, Size: 1, Std: 0.01},
	{N: 2, H: 6, W: 5, C: 33, Size: 2, Std: 1},
	{N: 1, H: 7, W: 7, C: 64, Size: 2, Std: 1},
	{N: 2, H: 3, W: 11, C: 65, Size: 3, Std: 1},
	{N: 1, H: 4, W: 4, C: 128, Size: 2, Std: 1},
	{N: 2, H: 7, W: 7, C: 129, Size: 1, Std: 1},
	{N: 1, H: 2, W: 41, C: 8, Size: 2, Std: 1},
	{N: 257, H: 2, W: 2, C: 4, Size: 2, Mean: 1, Std: 1},
	{N: 1025, H: 1, W: 1, C: 3, Size: 1, Std: 1},
	{N: 3, H: 6, W: 6, C: 9, Size: 2, Mean: 5, Std: 0}, // constant channels: every window is a tie
	{N: 2, H: 7, W: 6, C: 10, Size: 3, Mean: -5, Std: 0},
	{N: 4, H: 8, W: 8, C: 16, Size: 2, Mean: 1000, Std: 0.5},
	{N: 2, H: 7, W: 5, C: 32, Size: 1, Mean: -100, Std: 0.05},
}

// modelFused are the fused ops of fashioncnn and alternative.
func modelFused(batch int) []BatchNormReLUPool {
	return []BatchNormReLUPool{
		{N: batch, H: 28, W: 28, C: 32, Size: 2, Std: 1},
		{N: batch, H: 14, W: 14, C: 64, Size: 2, Std: 1},
		{N: batch, H: 7, W: 7, C: 128, Size: 1, Std: 1},
		{N: batch, H: 28, W: 28, C: 16, Size: 2, Std: 1},
		{N: batch, H: 14, W: 14, C: 32, Size: 2, Std: 1},
	}
}

func batchNormReLUPoolCases() []Case {
	shapes := append([]BatchNormReLUPool{}, fusedShapes...)
	shapes = append(shapes, modelFused(1)...)
	shapes = append(shapes, modelFused(32)[:3]...) // the epoch's last batch
	shapes = append(shapes, modelFused(64)...)
	var cases []Case
	for i, s := range shapes {
		inPlace := i%2 == 0
		cases = append(cases, BatchNormReLUPoolForward{s}, BatchNormReLUPoolInference{s},
			BatchNormReLUPoolBackward{s, inPlace, false}, BatchNormReLUPoolBackward{s, !inPlace, true})
	}
	return cases
}
