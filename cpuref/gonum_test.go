package cpuref_test

import (
	"fmt"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Matrix products of fashioncnn's layers at batch size 64, in turn with gonum's,
// whose amd64 assembly is SSE. Use -cpu to set the threads of both.
func BenchmarkGonum(b *testing.B) {
	for _, tier := range cpuref.Tiers() {
		for _, g := range []againstGonum{
			{"fc1-forward", 64, 6272, 256, false, true},
			{"fc1-weights", 256, 64, 6272, true, false},
			{"fc1-input", 64, 256, 6272, false, false},
			{"conv2", 12544, 288, 64, false, true},
		} {
			b.Run(fmt.Sprintf("%s/%s", tier, g.name), func(b *testing.B) { g.run(b, tier) })
		}
	}
}

// againstGonum is a product C (M, N) = A·B of K steps.
type againstGonum struct {
	name           string
	m, k, n        int
	transA, transB bool
}

// run reports the speed of both and how many times as fast as gonum the backend is.
func (g againstGonum) run(b *testing.B, tier string) {
	p := &kernels.Plan{}
	tensor := func(name string, rows, cols int, transposed bool) kernels.Tensor {
		if transposed {
			rows, cols = cols, rows
		}
		return p.Tensor(name, kernels.Float32, rows, cols)
	}
	op := kernels.GEMM{A: tensor("A", g.m, g.k, g.transA), B: tensor("B", g.k, g.n, g.transB),
		C: tensor("C", g.m, g.n, false), TransA: g.transA, TransB: g.transB}
	p.Section("product").Add(op)
	program, err := open(b, tier, cpuref.DefaultThreads()).Compile(p)
	if err != nil {
		b.Fatal(err)
	}
	defer program.Close()
	var matrices []blas32.General
	for _, t := range []kernels.Tensor{op.A, op.B, op.C} {
		x := make([]float32, t.Len())
		for i := range x {
			x[i] = float32(i%7) - 3
		}
		if err := program.Write(t, kernels.AsBytes(x)); err != nil {
			b.Fatal(err)
		}
		matrices = append(matrices, blas32.General{Rows: t.Dim(0), Cols: t.Dim(1), Stride: t.Dim(1), Data: x})
	}
	transpose := map[bool]blas.Transpose{false: blas.NoTrans, true: blas.Trans}
	var ours, gonum time.Duration
	for b.Loop() {
		start := time.Now()
		if err := program.Run("product", 1); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		start = time.Now()
		blas32.Gemm(transpose[g.transA], transpose[g.transB], 1, matrices[0], matrices[1], 0, matrices[2])
		gonum += time.Since(start)
	}
	gflop := float64(op.FLOPs()) * float64(b.N) / 1e9
	b.ReportMetric(gflop/ours.Seconds(), "GFLOP/s")
	b.ReportMetric(gflop/gonum.Seconds(), "gonum-GFLOP/s")
	b.ReportMetric(gonum.Seconds()/ours.Seconds(), "×gonum")
}
