//go:build cgo

package vulkan_test

import (
	"bytes"
	"flag"
	"fmt"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// everyTile is for make parity: a software driver compiles a variant for half a minute.
var everyTile = flag.Bool("every-tile", false, "test every variant of the matrix product, not one of five")

// Every variant of the matrix product gives the oracle's results, whichever
// device it is meant for, also where a grid must be folded over two axes. The
// inputs are small integers, whose sums are exact in any order.
func TestEveryTile(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: a software driver compiles each variant for a second")
	}
	b := open(t, vulkan.Options{Validate: true})
	b.BoundGrid(5)
	reference := oracle.New()
	defer reference.Close()
	for i := range vulkan.Tiles() {
		if i%5 != 0 && !*everyTile {
			continue
		}
		tile := b.ForceTile(i)
		b.ForceSplits("conv_backward_input", 256*2*2, 12, 9*32, 9) // added up in two levels
		b.ForceSplits("conv_forward", 3*10*14, 72, 9*4, 3)
		t.Run(fmt.Sprintf("%+v", tile), func(t *testing.T) {
			plan := products()
			got, want := runOnIntegers(t, b, plan), runOnIntegers(t, reference, plan)
			for j, buffer := range plan.Buffers {
				if buffer.Name != "scratch" && !bytes.Equal(got[j], want[j]) {
					t.Errorf("%s differs", buffer.Name)
				}
			}
		})
	}
}

// products returns a plan of matrix products and convolutions, larger than a
// tile in both directions.
func products() *kernels.Plan {
	var p kernels.Plan
	tensor := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Float32, shape...) }
	const m, n, k = 148, 68, 40
	x, w := tensor("x", 3, 9, 7, 4), tensor("w", 72, 3, 3, 4)
	y := tensor("y", 3, 9, 7, 72)
	p.Section("all").Add(
		kernels.GEMM{A: tensor("a", m, k), B: tensor("b", k, n), C: tensor("c", m, n)},
		kernels.GEMM{A: tensor("at", k, m), B: tensor("bt", n, k), Bias: tensor("bias", n), C: tensor("ct", m, n), RowSums: tensor("sums", m),
			TransA: true, TransB: true, Accumulate: true},
		kernels.ConvForward{X: x, W: w, Y: y, Stride: 1, Pad: 1},
		kernels.ConvBackwardInput{DY: y, W: w, DX: tensor("dx", x.Shape...), Stride: 1, Pad: 1},
		kernels.ConvBackwardWeight{X: x, DY: y, DW: tensor("dw", w.Shape...), DBias: tensor("db", 72), Stride: 1, Pad: 1},
	)
	// Products that take the sums of a batch-norm's gradient along. A power of
	// two of rows keeps that exact too.
	batchNorm := func(name string, dy, x kernels.Tensor, size int) kernels.Op {
		c := x.Dim(-1)
		op := kernels.BatchNormReLUPoolBackward{X: x, Y: tensor(name+".y", dy.Shape...), DY: dy, Gamma: tensor(name+".gamma", c),
			Mean: tensor(name+".mean", c), InvStd: tensor(name+".inv_std", c), DX: tensor(name+".dx", x.Shape...),
			DGamma: tensor(name+".dgamma", c), DBeta: tensor(name+".dbeta", c), Size: size}
		if size > 1 {
			op.Index = p.Tensor(name+".index", kernels.Uint32, dy.Shape...)
		}
		return op
	}
	dense, pooled := tensor("dense", 32, 4*64), tensor("pooled", 256, 2, 2, 12)
	p.Section("all").Add(
		kernels.GEMM{A: tensor("dense.a", 32, k), B: tensor("dense.b", k, 4*64), C: dense},
		batchNorm("bn1", dense.Reshape(32, 2, 2, 64), tensor("bn1.x", 32, 2, 2, 64), 1),
		kernels.ConvBackwardInput{DY: tensor("pooled.dy", 256, 2, 2, 32), W: tensor("pooled.w", 32, 3, 3, 12), DX: pooled, Stride: 1, Pad: 1},
		batchNorm("bn2", pooled, tensor("bn2.x", 256, 8, 8, 12), 3),
	)
	// The only pool whose windows are rows of a product. A variance of 0 keeps it exact.
	variance := tensor("variance", 72)
	p.Section("all").Add(
		kernels.Fill{X: variance, Value: 0},
		kernels.ConvBatchNormInference{X: tensor("even.x", 3, 10, 14, 4), W: w, Gamma: tensor("gamma", 72), Beta: tensor("beta", 72),
			RunningMean: tensor("mean", 72), RunningVar: variance, Z: tensor("scratch", 3, 10, 14, 72), Y: tensor("even.y", 3, 5, 7, 72),
			Stride: 1, Pad: 1, ReLU: true, Pool: 2, Eps: 1},
	)
	return &p
}

// runOnIntegers runs the plan's only section over buffers of small integers
// and returns all buffers.
func runOnIntegers(t *testing.T, b kernels.Backend, plan *kernels.Plan) [][]byte {
	t.Helper()
	p, err := b.Compile(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	all := func(i int) kernels.Tensor {
		return kernels.Tensor{Buffer: i, Type: plan.Buffers[i].Type, Shape: []int{plan.Buffers[i].Len}}
	}
	for i, buffer := range plan.Buffers {
		v, index := make([]float32, buffer.Len), make([]uint32, buffer.Len)
		for e := range v {
			word := kernels.Philox4x32([4]uint32{uint32(e), uint32(i)}, [2]uint32{})[0]
			v[e], index[e] = float32(word%5)-2, word%9
		}
		if buffer.Type == kernels.Uint32 { // positions in windows of 3×3
			write(t, p, all(i), kernels.AsBytes(index))
			continue
		}
		write(t, p, all(i), kernels.AsBytes(v))
	}
	if err := p.Run(plan.Sections[0].Name, 1); err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for i := range plan.Buffers {
		out = append(out, make([]byte, all(i).Bytes()))
		if err := p.Read(all(i), out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
