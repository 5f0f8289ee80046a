//go:build cgo

package vulkan

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// trialThreads are the threads of the first shader that a device runs; not its default.
const trialThreads = 32

// tryShaders returns an error unless a device compiles shaders for the constants that the
// host sets. MoltenVK before 1.3 takes the default of a constant that is the length of an
// array, and computes something else.
func tryShaders(d *gpu.Device) error { return trySpecialised(d, trialThreads) }

// trySpecialised runs the trial's shader, specialised to some threads.
func trySpecialised(d *gpu.Device, threads int) (err error) {
	b := &Backend{device: d, target: target{limits: d.Info().Limits}, pipelines: map[string]*gpu.Pipeline{}}
	defer b.closePipelines()
	p := &Program{backend: b}
	defer func() { err = errors.Join(err, p.Close()) }()
	call := newDispatch(threads, 1, 1, shaders.Trial(shaders.TrialBuffers[arg]{Y: arg{span{0, 0, int64(4 * threads)}, kernels.Write}}))
	if err := b.createPipelines([]dispatch{call}); err != nil {
		return err
	}
	if err := p.allocate([]int64{int64(4 * threads)}); err != nil {
		return err
	}
	if err := p.runOnce(func(r *gpu.Recorder) error { return p.put(r, call) }); err != nil {
		return err
	}
	var y [trialThreads]uint32
	if err := d.Download(p.arenas[0], 0, kernels.AsBytes(y[:])); err != nil {
		return err
	}
	for i, got := range y {
		if got != trialThreads<<16|uint32(trialThreads-1-i) {
			return errors.New("its driver compiles shaders without the constants that they are specialised to: update it (MoltenVK to 1.3 or later)")
		}
	}
	return nil
}

// runOnce runs what record records.
func (p *Program) runOnce(record func(*gpu.Recorder) error) error {
	r, err := p.backend.device.NewRecorder(false)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := record(r); err != nil {
		return err
	}
	commands, err := r.Finish()
	if err != nil {
		return err
	}
	defer commands.Close()
	return p.backend.device.Run(commands, 1)
}

// Drivers misreport what their matrix units compute. Before the first use, products on
// the units are therefore compared with products without them.

// targetFor returns the target for a plan, with matrix units if the plan has products
// in mixed precision and the units work.
func (b *Backend) targetFor(plan *kernels.Plan) (target, error) {
	t := b.target
	if t.units != nil || !slices.ContainsFunc(plan.Sections, func(s *kernels.Section) bool { return slices.ContainsFunc(s.Ops, mixed) }) {
		return t, nil
	}
	var err error
	t.units, err = b.testedUnits()
	return t, err
}

// MatrixUnits describes the matrix units that compute mixed precision, or says why none
// do.
func (b *Backend) MatrixUnits() string {
	if _, err := b.testedUnits(); err != nil {
		return err.Error()
	}
	return b.unitsWhy
}

// testedUnits returns the device's matrix units, nil unless they pass the test. It is an
// error if the test cannot be made, which says nothing about the units.
func (b *Backend) testedUnits() (*units, error) {
	b.unitsMu.Lock()
	defer b.unitsMu.Unlock()
	if b.unitsWhy != "" {
		return b.units, nil
	}
	u := newUnits(b.device.Info())
	if u == nil {
		b.unitsWhy = "no matrix units for 16-bit factors"
		return nil, nil
	}
	name := fmt.Sprintf("%s matrix units of %d×%d×%d", u.Factors, u.M, u.N, u.K)
	err := b.try(u)
	switch {
	case errors.Is(err, gpu.ErrDeviceLost):
		return nil, fmt.Errorf("the test of the %s: %w, with precision fp32", name, err)
	case errors.Is(err, gpu.ErrOutOfMemory):
		return nil, fmt.Errorf("the test of the %s: %w", name, err)
	case err != nil:
		b.unitsWhy = fmt.Sprintf("without the %s, which fail the test: %v", name, err)
	default:
		b.units, b.unitsWhy = u, name
	}
	return b.units, nil
}

// try returns an error unless products on the units, in each of their tiles, have the same
// bits as without: the inputs are such that all sums are exact.
func (b *Backend) try(u *units) error {
	plan, outputs := trialPlan()
	without, err := b.runTrial(plan, outputs, nil)
	if err != nil {
		return err
	}
	for _, t := range u.tiles {
		one := *u
		one.tiles = []tile{t}
		with, err := b.runTrial(plan, outputs, &one)
		if err != nil {
			return err
		}
		for i, o := range outputs {
			if !bytes.Equal(with[i], without[i]) {
				return fmt.Errorf("wrong %s in tiles of %d×%d", plan.Buffers[o.Buffer].Name, t.bm, t.bn)
			}
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
	long, thin := tensor("long", 20, 2048), tensor("thin", 24, 2048) // whose product is split along K
	y, dx, dw, c, d, e := tensor("convolution", dy.Shape...), tensor("input gradient", x.Shape...), tensor("weight gradient", w.Shape...),
		tensor("product", 70, 50), tensor("transposed product", 90, 50), tensor("split product", 20, 24)
	p.Section("trial").Add(
		kernels.ConvForward{X: x, W: w, Y: y, Stride: 1, Pad: 1, Precision: kernels.Mixed},
		kernels.ConvBackwardInput{DY: dy, W: w, DX: dx, Stride: 1, Pad: 1, Precision: kernels.Mixed},
		kernels.ConvBackwardWeight{X: x, DY: dy, DW: dw, Stride: 1, Pad: 1, Precision: kernels.Mixed},
		kernels.GEMM{A: a, B: bt, C: c, TransB: true, Precision: kernels.Mixed},
		kernels.GEMM{A: at, B: b, C: d, Precision: kernels.Mixed},
		kernels.GEMM{A: long, B: thin, C: e, TransB: true, Precision: kernels.Mixed},
	)
	return &p, []kernels.Tensor{y, dx, dw, c, d, e}
}

// runTrial returns the outputs of a plan whose other buffers hold small integers, larger
// ones in the second half, for which units for fp16 must change their scale.
func (b *Backend) runTrial(plan *kernels.Plan, outputs []kernels.Tensor, u *units) (results [][]byte, err error) {
	trial := &Backend{device: b.device, target: b.target, validates: b.validates, pipelines: map[string]*gpu.Pipeline{}}
	trial.target.units = u
	trial.unitsWhy = "tested now" // so that u is all there is
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
