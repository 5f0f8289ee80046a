//go:build cgo

package vulkan

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Drivers misreport what their matrix units compute. Before the first use, products on
// the units are therefore compared with products without them.

// targetFor returns the target for a plan, with matrix units if the plan has products
// in mixed precision and the units work.
func (b *Backend) targetFor(plan *kernels.Plan) target {
	t := b.target
	for _, s := range plan.Sections {
		for _, op := range s.Ops {
			if t.units == nil && mixed(op) {
				t.units = b.testedUnits()
			}
		}
	}
	return t
}

// MatrixUnits describes the matrix units that compute mixed precision, or says why none
// do.
func (b *Backend) MatrixUnits() string {
	b.testedUnits()
	return b.unitsWhy
}

// testedUnits returns the device's matrix units, nil unless they pass the test.
func (b *Backend) testedUnits() *units {
	b.testUnits.Do(func() {
		u := newUnits(b.device.Info())
		if u == nil {
			b.unitsWhy = "no matrix units for 16-bit factors"
			return
		}
		name := fmt.Sprintf("%s matrix units of %d×%d×%d", u.Factors, u.M, u.N, u.K)
		if err := b.try(u); err != nil {
			b.unitsWhy = fmt.Sprintf("without the %s, which fail the test: %v", name, err)
			return
		}
		b.units, b.unitsWhy = u, name
	})
	return b.units
}

// try returns an error unless products on the units have the same bits as without: the
// inputs are such that all sums are exact.
func (b *Backend) try(u *units) error {
	plan, outputs := trialPlan()
	without, err := b.runTrial(plan, outputs, nil)
	if err != nil {
		return err
	}
	with, err := b.runTrial(plan, outputs, u)
	if err != nil {
		return err
	}
	for i, t := range outputs {
		if !bytes.Equal(with[i], without[i]) {
			return fmt.Errorf("wrong %s", plan.Buffers[t.Buffer].Name)
		}
	}
	return nil
}

// trialPlan returns a plan of products forward and backward, and what they write.
func trialPlan() (*kernels.Plan, []kernels.Tensor) {
	var p kernels.Plan
	tensor := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Float32, shape...) }
	x, w, dy := tensor("X", 2, 9, 7, 20), tensor("W", 40, 3, 3, 20), tensor("DY", 2, 9, 7, 40)
	a, bt, at, b := tensor("A", 70, 90), tensor("BT", 50, 90), tensor("AT", 90, 70), tensor("B", 70, 50)
	y, dx, dw, c, d := tensor("convolution", dy.Shape...), tensor("input gradient", x.Shape...), tensor("weight gradient", w.Shape...),
		tensor("product", 70, 50), tensor("transposed product", 90, 50)
	p.Section("trial").Add(
		kernels.ConvForward{X: x, W: w, Y: y, Stride: 1, Pad: 1, Precision: kernels.Mixed},
		kernels.ConvBackwardInput{DY: dy, W: w, DX: dx, Stride: 1, Pad: 1, Precision: kernels.Mixed},
		kernels.ConvBackwardWeight{X: x, DY: dy, DW: dw, Stride: 1, Pad: 1, Precision: kernels.Mixed},
		kernels.GEMM{A: a, B: bt, C: c, TransB: true, Precision: kernels.Mixed},
		kernels.GEMM{A: at, B: b, C: d, Precision: kernels.Mixed},
	)
	return &p, []kernels.Tensor{y, dx, dw, c, d}
}

// runTrial returns the outputs of a plan whose other buffers hold small integers, larger
// ones in the second half, for which units for fp16 must change their scale.
func (b *Backend) runTrial(plan *kernels.Plan, outputs []kernels.Tensor, u *units) (results [][]byte, err error) {
	trial := &Backend{device: b.device, target: b.target, validates: b.validates, pipelines: map[string]*gpu.Pipeline{}}
	trial.target.units = u
	trial.testUnits.Do(func() {}) // so that u is all there is
	defer trial.closePipelines()
	p, err := trial.Compile(plan)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for i, buffer := range plan.Buffers {
		v := make([]float32, buffer.Len)
		for e := range v {
			v[e] = float32(kernels.Philox4x32([4]uint32{uint32(e), uint32(i)}, [2]uint32{})[0]%15) - 7
			if e >= len(v)/2 {
				v[e] *= 16
			}
		}
		all := kernels.Tensor{Buffer: i, Type: buffer.Type, Shape: []int{buffer.Len}}
		if err := p.Write(all, kernels.AsBytes(v)); err != nil {
			return nil, err
		}
	}
	if err := p.Run("trial", 1); err != nil {
		return nil, err
	}
	for _, t := range outputs {
		r := make([]byte, t.Bytes())
		if err := p.Read(t, r); err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
