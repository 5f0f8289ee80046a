package model

import (
	"runtime"
	"sync"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Init returns the initial value of trainable parameter i, in the device's
// order. It draws from PyTorch's default distribution for the layer, uniform in
// ±Bound. Elements are counted in PyTorch's order, so that the values do not
// depend on the device's layout: with
// w = Philox4x32({e/4, i, 0, PurposeInit}, seed)[e%4] for element e,
//
//	value = Bound · (2·(w>>8)/2²⁴ − 1)
func (n *Net) Init(i int, seed uint64) []float32 {
	p := n.Params[i]
	v := make([]float32, p.Tensor.Len())
	if p.Bound == 0 {
		return fill(v, p.Value)
	}
	key := [2]uint32{uint32(seed), uint32(seed >> 32)}
	inParallel(p.Layout.Out, func(from, to int) {
		for out := from; out < to; out++ {
			p.drawRow(v, out, i, key)
		}
	})
	return v
}

// drawRow draws the values of output channel out of parameter i.
func (p Param) drawRow(v []float32, out, i int, key [2]uint32) {
	channels, pixels := p.Layout.C, p.Layout.H*p.Layout.W
	e := out * channels * pixels // in PyTorch's order, (O, C, H, W)
	row := v[e:][:channels*pixels]
	var words [4]uint32
	for c := range channels {
		for hw := range pixels {
			if e%4 == 0 || c+hw == 0 {
				words = kernels.Philox4x32([4]uint32{uint32(e / 4), uint32(i), 0, uint32(kernels.PurposeInit)}, key)
			}
			row[hw*channels+c] = float32(p.Bound * (2*float64(words[e%4]>>8)/(1<<24) - 1))
			e++
		}
	}
}

// inParallel calls body for parts of n items on all cores: drawing the weights of
// a fully connected layer is most of the computation at start-up.
func inParallel(n int, body func(from, to int)) {
	parts := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { body(n*i/parts, n*(i+1)/parts) })
	}
	wg.Wait()
}

// fill sets every element of v to x and returns v.
func fill(v []float32, x float32) []float32 {
	for i := range v {
		v[i] = x
	}
	return v
}

// WriteInit writes the initial state of training to a compiled program:
// parameters, running statistics, the averages of both, and the tables of
// [Net.WriteTables].
func (n *Net) WriteInit(p kernels.Program, seed uint64) error {
	for i, par := range n.Params {
		if err := n.WriteWeights(p, par.Tensor, n.Init(i, seed)); err != nil {
			return err
		}
	}
	for _, s := range n.Stats {
		if err := n.WriteWeights(p, s.Tensor, fill(make([]float32, s.Tensor.Len()), s.Value)); err != nil {
			return err
		}
	}
	return n.WriteTables(p)
}

// WriteWeights writes a view of Values or Running and, with Config.EMA, its average.
func (n *Net) WriteWeights(p kernels.Program, t kernels.Tensor, values []float32) error {
	for _, to := range n.copies(t) {
		if err := p.Write(to, kernels.AsBytes(values)); err != nil {
			return err
		}
	}
	return nil
}
