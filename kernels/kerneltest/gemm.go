package kerneltest

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// GEMM is a case of [kernels.GEMM]: op(A) (M, K) times op(B) (K, N).
type GEMM struct {
	M, N, K        int
	TransA, TransB bool
	Bias           bool
	Accumulate     bool
	RowSums        bool // with TransA alone
	Integers       bool // exact data
	Precision      kernels.Precision
}

// String describes the case: "64x256x6272_NT_bias".
func (c GEMM) String() string {
	trans := map[bool]string{false: "N", true: "T"}
	s := fmt.Sprintf("%dx%dx%d_%s%s", c.M, c.N, c.K, trans[c.TransA], trans[c.TransB])
	if c.Bias {
		s += "_bias"
	}
	if c.Accumulate {
		s += "_accumulate"
	}
	if c.RowSums {
		s += "_rowsums"
	}
	if c.Integers {
		s += "_integers"
	}
	if c.Precision == kernels.Mixed {
		s += "_mixed"
	}
	return s
}

// Trial implements [Case].
func (c GEMM) Trial() *Trial {
	t := newTrial()
	data := mixed
	if c.Integers {
		data = integers
		t.exact = []string{"C", "RowSums"}
	}
	op := kernels.GEMM{TransA: c.TransA, TransB: c.TransB, Accumulate: c.Accumulate, Precision: c.Precision}
	if c.TransA {
		op.A = t.floats("A", data, c.K, c.M)
	} else {
		op.A = t.floats("A", data, c.M, c.K)
	}
	if c.TransB {
		op.B = t.floats("B", data, c.N, c.K)
	} else {
		op.B = t.floats("B", data, c.K, c.N)
	}
	if c.Bias {
		op.Bias = t.floats("Bias", data, c.N)
	}
	if c.Accumulate {
		op.C = t.floats("C", data, c.M, c.N)
	} else {
		op.C = t.output("C", c.M, c.N)
	}
	if c.RowSums {
		op.RowSums = t.output("RowSums", c.M)
	}
	return t.run(op)
}

// gemmShapes are combined with all transposes, bias and accumulation.
var gemmShapes = []GEMM{
	{M: 1, N: 1, K: 1},
	{M: 1, N: 7, K: 3},
	{M: 5, N: 1, K: 13},
	{M: 15, N: 17, K: 16},
	{M: 16, N: 16, K: 15},
	{M: 17, N: 15, K: 33},
	{M: 31, N: 33, K: 32},
	{M: 64, N: 64, K: 64},
	{M: 65, N: 63, K: 65},
	{M: 14, N: 32, K: 128},
	{M: 13, N: 97, K: 31},
	{M: 129, N: 10, K: 127},
	{M: 37, N: 16, K: 20},
	{M: 20, N: 260, K: 512}, // rows a power of two apart
}

// modelGEMMs are the models' fully connected layers and their gradients:
// Y = X·Wᵀ + b, DX = DY·W, DW = DYᵀ·X.
func modelGEMMs(batch int) []GEMM {
	var cases []GEMM
	for _, l := range []struct{ in, out int }{
		{6272, 256}, {256, 10}, // fashioncnn
		{1568, 128}, {128, 10}, // alternative
		{784, 10}, // logistic
	} {
		cases = append(cases,
			GEMM{M: batch, N: l.out, K: l.in, TransB: true, Bias: true},
			GEMM{M: batch, N: l.in, K: l.out},
			GEMM{M: l.out, N: l.in, K: batch, TransA: true, RowSums: true})
	}
	return cases
}

func gemmCases() []Case {
	var cases []Case
	for i, c := range gemmShapes {
		for variant := range 16 {
			c.TransA, c.TransB = variant&1 != 0, variant&2 != 0
			c.Bias, c.Accumulate = variant&4 != 0, variant&8 != 0
			c.RowSums = c.TransA && variant%3 != 0
			c.Integers = (i+variant)%2 == 0
			cases = append(cases, c)
			c.Integers, c.Precision = variant%3 == 0, kernels.Mixed
			cases = append(cases, c)
			c.Precision = kernels.FP32
		}
	}
	// Long sums over a small C, where implementations split K.
	for _, k := range []int{1023, 4097, 50176} {
		for variant := range 4 {
			c := GEMM{M: 9, N: 10, K: k, TransA: variant&1 != 0, TransB: variant&2 != 0, Bias: variant == 1, Accumulate: variant == 2, RowSums: variant&1 != 0}
			cases = append(cases, c)
			c.Integers = true
			cases = append(cases, c)
			c.Precision = kernels.Mixed
			cases = append(cases, c)
		}
	}
	for _, batch := range []int{1, 8, 32, 64} {
		for i, c := range modelGEMMs(batch) {
			c.Integers = (i+batch/8)%2 == 0
			cases = append(cases, c)
			c.Integers, c.Precision = !c.Integers, kernels.Mixed
			cases = append(cases, c)
		}
	}
	return cases
}
