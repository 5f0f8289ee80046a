//go:build cgo

package vulkan

import (
	"fmt"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Estimate implements [kernels.Estimator]. Nothing is known of software drivers.
func (b *Backend) Estimate(p *kernels.Plan, section string) (time.Duration, error) {
	s := p.Find(section)
	if s == nil {
		return 0, fmt.Errorf("the plan has no section %q", section)
	}
	return b.target.estimate(p, s)
}

// DeviceMemory implements [kernels.Estimator].
func (b *Backend) DeviceMemory() int64 { return b.device.Info().MemoryBytes }

func (t target) estimate(p *kernels.Plan, s *kernels.Section) (time.Duration, error) {
	if t.cpu {
		return 0, nil
	}
	t.tuned = nil
	l := lowering{target: t, layout: newLayout(p)}
	if err := l.section(s); err != nil {
		return 0, err
	}
	cost := 0.
	for _, level := range schedule(l.out) {
		cost += t.levelCost(level)
	}
	return t.duration(cost), nil
}

// levelCost estimates the time of dispatches between two barriers, in multiplications of
// the device.
func (t *target) levelCost(level []dispatch) float64 {
	cost := t.core.passCost * float64(t.cores)
	for _, d := range level {
		cost += t.dispatchCost(&d)
	}
	return cost
}

// parts divides a section's levels into those of one submission each.
func (t *target) parts(levels [][]dispatch) [][][]dispatch {
	parts, cost := [][][]dispatch{nil}, 0.
	for _, level := range levels {
		more, last := t.levelCost(level), len(parts)-1
		if t.longest > 0 && len(parts[last]) > 0 && t.duration(cost+more) > t.longest {
			parts, cost, last = append(parts, nil), 0, last+1
		}
		parts[last], cost = append(parts[last], level), cost+more
	}
	return parts
}

// dispatchCost estimates the time of a dispatch, in multiplications of the device. A
// thread of other shaders than products reads and writes about a vec4.
func (t *target) dispatchCost(d *dispatch) float64 {
	switch {
	case d.isFill():
		return 0
	case d.product != nil:
		return t.cost(*d.product)
	}
	return float64(d.groups*d.splits*int(d.spec[0])) * 8 * trafficCost
}

// duration returns the time of multiplications of the device.
func (t *target) duration(multiplications float64) time.Duration {
	const perSecond = 128 * 1.6e9 // of a core, see gpuCore
	return time.Duration(multiplications / (perSecond * float64(t.cores)) * 1e9)
}
