//go:build cgo

package vulkan

import (
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Kernel is a dispatch of a section and what the driver made of its shader.
type Kernel struct {
	Op         string // kind of the op that it belongs to
	Shader     string
	Workgroups int
	Executable gpu.Executable

	// Of a matrix product: its extents, the rows and columns of a workgroup and
	// of a thread, and how many multiplications a thread does per step along K.
	M, N, K           int
	Tile              string
	StepMultiplyAdds  int
	TotalMultiplyAdds int // of the dispatch
}

// Inspect compiles a plan's section, on a backend opened with
// [gpu.Options.Inspect], and returns its dispatches. Products in mixed precision are on
// matrix units where the device has any: they cannot be tested here.
func (b *Backend) Inspect(p *kernels.Plan, section string) ([]Kernel, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	s := p.Find(section)
	if s == nil {
		return nil, fmt.Errorf("the plan has no section %q", section)
	}
	l := lowering{target: b.target, layout: newLayout(p)}
	if slices.ContainsFunc(s.Ops, mixed) {
		l.units = newUnits(b.device.Info())
	}
	if err := l.section(s); err != nil {
		return nil, err
	}
	if err := b.createPipelines(l.out); err != nil {
		return nil, err
	}
	var all []Kernel
	for _, d := range l.out {
		if d.isFill() {
			continue
		}
		k := Kernel{Op: s.Ops[d.op].Kind(), Shader: d.shader, Workgroups: d.groups * d.splits}
		var err error
		if k.Executable, err = b.pipeline(&d).Executable(); err != nil {
			return nil, err
		}
		if p := d.product; p != nil {
			k.M, k.N, k.K = p.m, p.n, p.k
			k.Tile = fmt.Sprintf("%dx%d/%dx%d", p.bm, p.bn, p.tm, p.tn)
			k.StepMultiplyAdds = p.tm * p.tn * p.bk
			k.TotalMultiplyAdds = p.m * p.n * p.k
		}
		all = append(all, k)
	}
	return all, nil
}
