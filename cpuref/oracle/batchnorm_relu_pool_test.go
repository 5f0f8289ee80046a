package oracle

import (
	"fmt"
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Two channels of the same image, whose last column does not fill a window. With
// mean 3 and 1/std ½, B is x − 4 in channel 0 and 7 − x in channel 1.
func TestBatchNormReLUPoolByHand(t *testing.T) {
	b := newBench(t)
	pixels := []float32{
		1, 5, 2, 2, 9,
		6, 6, 3, 1, 9,
	}
	x := b.f32(interleave(pixels, pixels), 1, 2, 5, 2)
	forward := kernels.BatchNormReLUPoolForward{X: x, Mean: b.f32([]float32{3, 3}, 2), Var: b.f32([]float32{3.5, 3.5}, 2),
		Gamma: b.f32([]float32{2, -2}, 2), Beta: b.f32([]float32{-1, 4}, 2),
		RunningMean: b.f32([]float32{1, 2}, 2), RunningVar: b.f32([]float32{4, 8}, 2), InvStd: b.f32(nil, 2),
		Y: b.f32(nil, 1, 1, 2, 2), Index: b.u32(nil, 1, 1, 2, 2), Size: 2, Momentum: 0.25, Eps: 0.5}
	inference := kernels.BatchNormReLUPoolInference{X: x, Gamma: forward.Gamma, Beta: forward.Beta, RunningMean: forward.Mean,
		RunningVar: forward.Var, Y: b.f32(nil, 1, 1, 2, 2), Size: 2, Eps: 0.5}
	backward := kernels.BatchNormReLUPoolBackward{X: x, Y: forward.Y, DY: b.f32([]float32{5, 1, 7, 2}, 1, 1, 2, 2), Index: forward.Index,
		Gamma: forward.Gamma, Mean: forward.Mean, InvStd: forward.InvStd,
		DX: x, DGamma: b.f32(nil, 2), DBeta: b.f32(nil, 2), Size: 2}
	b.run(forward, inference, backward)
	b.want("InvStd", forward.InvStd, 0.5, 0.5)
	b.want("Y", forward.Y, 2, 6, 0, 6)
	b.wantWords("Index", forward.Index, 2, 0, 2, 3) // the first of two 6s; the largest B, although ReLU blocks it
	b.want("RunningMean", forward.RunningMean, 0.75*1+0.25*3, 0.75*2+0.25*3)
	b.want("RunningVar", forward.RunningVar, 0.75*4+0.25*3.5*10/9, 0.75*8+0.25*3.5*10/9) // unbiased: R/(R−1) = 10/9
	b.want("inference", inference.Y, 2, 6, 0, 6)

	// Channel 0 passes 5 to the first 6 (x̂ = 1.5) and blocks 7; channel 1
	// passes 1 and 2 to the two 1s (x̂ = −1).
	b.want("DBeta", backward.DBeta, 5, 3)
	b.want("DGamma", backward.DGamma, 7.5, -3)
	g := [2][]float64{{0, 0, 0, 0, 0, 5, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0, 2, 0}}
	var dx []float64
	for i, p := range pixels {
		xhat := (float64(p) - 3) / 2
		dx = append(dx, g[0][i]-0.5-xhat*0.75, -(g[1][i] - 0.3 + xhat*0.3))
	}
	b.want("DX", backward.DX, dx...)
}

// interleave returns the elements of two channels, channels last.
func interleave(a, b []float32) (both []float32) {
	for i := range a {
		both = append(both, a[i], b[i])
	}
	return both
}

// One row has no unbiased variance, and Size 1 does not need Index.
func TestBatchNormReLUPoolOfOneRowByHand(t *testing.T) {
	b := newBench(t)
	op := kernels.BatchNormReLUPoolForward{X: b.f32([]float32{5}, 1, 1, 1, 1), Mean: b.f32([]float32{5}, 1), Var: b.f32([]float32{0}, 1),
		Gamma: b.f32([]float32{2}, 1), Beta: b.f32([]float32{3}, 1), RunningMean: b.f32([]float32{0}, 1), RunningVar: b.f32([]float32{1}, 1),
		InvStd: b.f32(nil, 1), Y: b.f32(nil, 1, 1, 1, 1), Size: 1, Momentum: 0.5, Eps: 0.25}
	b.run(op)
	b.want("Y", op.Y, 3)
	b.want("InvStd", op.InvStd, 2)
	b.want("RunningMean", op.RunningMean, 2.5)
	b.want("RunningVar", op.RunningVar, 0.5)
}

// fusedOps are the fused ops after a layer that computes the statistics. The
// layer copies its input: a 1×1 convolution whose weights are the identity.
type fusedOps struct {
	conv     kernels.ConvForward
	forward  kernels.BatchNormReLUPoolForward
	backward kernels.BatchNormReLUPoolBackward
}

// newFusedOps adds the tensors of the ops after x (N, H, W, 3).
func newFusedOps(b *bench, x kernels.Tensor, size int) fusedOps {
	n, h, w, ch := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	y := []int{n, h / size, w / size, ch}
	conv := kernels.ConvForward{X: x, W: b.f32([]float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, ch, 1, 1, ch), Y: b.f32(nil, x.Shape...),
		Mean: b.f32(nil, ch), Var: b.f32(nil, ch), Stride: 1}
	forward := kernels.BatchNormReLUPoolForward{X: conv.Y, Mean: conv.Mean, Var: conv.Var,
		Gamma: b.f32([]float32{1.5, -0.75, 0.5}, ch), Beta: b.f32([]float32{0.1, -0.05, 0.02}, ch),
		RunningMean: b.f32([]float32{1, 2, 3}, ch), RunningVar: b.f32([]float32{3, 2, 1}, ch), InvStd: b.f32(nil, ch),
		Y: b.f32(nil, y...), Size: size, Momentum: 0.1, Eps: 0.1}
	if size > 1 {
		forward.Index = b.u32(nil, y...)
	}
	backward := kernels.BatchNormReLUPoolBackward{X: conv.Y, Y: forward.Y, DY: b.random(y...), Index: forward.Index,
		Gamma: forward.Gamma, Mean: forward.Mean, InvStd: forward.InvStd,
		DX: b.f32(nil, x.Shape...), DGamma: b.f32(nil, ch), DBeta: b.f32(nil, ch), Size: size}
	return fusedOps{conv, forward, backward}
}

// single returns the same computation as single ops on separate tensors: the ops
// whose outputs correspond to those of the fused ops, and all ops in order.
func (f *fusedOps) single(b *bench) (forward kernels.BatchNormForward, pool kernels.MaxPoolForward,
	backward kernels.BatchNormBackward, ops []kernels.Op) {
	x, size := f.conv.Y, f.forward.Size
	ch, y := x.Dim(-1), f.forward.Y.Shape
	forward = kernels.BatchNormForward{X: x, Gamma: f.forward.Gamma, Beta: f.forward.Beta,
		RunningMean: b.f32([]float32{1, 2, 3}, ch), RunningVar: b.f32([]float32{3, 2, 1}, ch),
		Mean: b.f32(nil, ch), InvStd: b.f32(nil, ch), Y: b.f32(nil, x.Shape...), Momentum: f.forward.Momentum, Eps: f.forward.Eps}
	relu := kernels.ReLUForward{X: forward.Y, Y: b.f32(nil, x.Shape...)}
	pool = kernels.MaxPoolForward{X: relu.Y, Y: b.f32(nil, y...), Index: b.u32(nil, y...), Size: size, Stride: size}
	dpool := kernels.MaxPoolBackward{DY: f.backward.DY, Index: pool.Index, DX: b.f32(nil, x.Shape...), Size: size, Stride: size}
	drelu := kernels.ReLUBackward{Y: relu.Y, DY: dpool.DX, DX: b.f32(nil, x.Shape...)}
	backward = kernels.BatchNormBackward{X: x, DY: drelu.DX, Gamma: forward.Gamma, Mean: forward.Mean, InvStd: forward.InvStd,
		DX: b.f32(nil, x.Shape...), DGamma: b.f32(nil, ch), DBeta: b.f32(nil, ch)}
	return forward, pool, backward, []kernels.Op{forward, relu, pool, dpool, drelu, backward}
}

// The fused ops equal the single ones in sequence: batch-norm, ReLU, pool, and
// their gradients. X has few distinct values, so windows have ties.
func TestFusedEqualsSingleOps(t *testing.T) {
	for _, size := range []int{1, 2, 3} {
		b := newBench(t)
		x := b.random(2, 7, 8, 3)
		for i, v := range b.floats[x.Buffer] {
			b.floats[x.Buffer][i] = float32(math.Round(float64(v)*2)) / 2
		}
		f := newFusedOps(b, x, size)
		forward, pool, backward, ops := f.single(b)
		inference := kernels.BatchNormReLUPoolInference{X: x, Gamma: forward.Gamma, Beta: forward.Beta, RunningMean: f.conv.Mean,
			RunningVar: f.conv.Var, Y: b.f32(nil, pool.Y.Shape...), Size: size, Eps: forward.Eps}
		b.run(append([]kernels.Op{f.conv, f.forward, f.backward, inference}, ops...)...)
		for _, pair := range []struct {
			name        string
			fused, want kernels.Tensor
		}{
			{"conv", f.conv.Y, x}, {"Mean", f.conv.Mean, forward.Mean}, {"InvStd", f.forward.InvStd, forward.InvStd},
			{"RunningMean", f.forward.RunningMean, forward.RunningMean}, {"RunningVar", f.forward.RunningVar, forward.RunningVar},
			{"Y", f.forward.Y, pool.Y}, {"inference", inference.Y, pool.Y},
			{"DX", f.backward.DX, backward.DX}, {"DGamma", f.backward.DGamma, backward.DGamma}, {"DBeta", f.backward.DBeta, backward.DBeta},
		} {
			b.wantNear(fmt.Sprintf("size %d, %s", size, pair.name), pair.fused, pair.want)
		}
		if size > 1 {
			b.wantSameIndex(f.forward, pool)
		}
	}
}

// wantNear requires two tensors to agree to within a few roundings of the
// largest element: only one of the two ways stores the statistics in float32.
func (b *bench) wantNear(name string, got, want kernels.Tensor) {
	b.Helper()
	g, w := b.read(got), b.read(want)
	scale := 0.0
	for _, v := range w {
		scale = max(scale, math.Abs(float64(v)))
	}
	for i := range w {
		if diff := math.Abs(float64(g[i]) - float64(w[i])); !(diff <= 8*0x1p-24*scale) {
			b.Errorf("%s[%d] is %v, with single ops %v", name, i, g[i], w[i])
		}
	}
}

// wantSameIndex compares indices where a gradient passes; elsewhere the pool
// after ReLU sees only zeros.
func (b *bench) wantSameIndex(fused kernels.BatchNormReLUPoolForward, pool kernels.MaxPoolForward) {
	b.Helper()
	y, got, want := b.read(fused.Y), b.readWords(fused.Index), b.readWords(pool.Index)
	for i := range y {
		if y[i] > 0 && got[i] != want[i] {
			b.Errorf("size %d, Index[%d] is %d, with single ops %d", fused.Size, i, got[i], want[i])
		}
	}
}

// The statistics are those of X, so their gradient is part of DX. X avoids its
// mean, near 0, where B changes sign.
func batchNormReLUPoolGradients(b *bench) (cases []gradient) {
	for _, size := range []int{1, 2, 3} {
		x := b.apart(1, 5, 4, 3)
		for i, v := range b.floats[x.Buffer] {
			b.floats[x.Buffer][i] = v + float32(math.Copysign(2, float64(v)))
		}
		f := newFusedOps(b, x, size)
		forward, backward, dy := []kernels.Op{f.conv, f.forward}, []kernels.Op{f.backward}, f.backward.DY
		name := fmt.Sprintf("batch-norm, ReLU, pool of size %d ", size)
		cases = append(cases, gradient{name + "input", forward, f.conv.X, f.forward.Y, backward, dy, f.backward.DX},
			gradient{name + "gamma", forward, f.forward.Gamma, f.forward.Y, backward, dy, f.backward.DGamma},
			gradient{name + "beta", forward, f.forward.Beta, f.forward.Y, backward, dy, f.backward.DBeta})
	}
	return cases
}
