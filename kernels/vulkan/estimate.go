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
		cost += t.core.passCost * float64(t.cores)
		for _, d := range level {
			cost += t.dispatchCost(&d)
		}
	}
	return t.duration(cost), nil
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
