package kernels

// Peak is what a device's arithmetic and memory reach in microbenchmarks made
// for nothing else: the ceilings that ops are compared with.
type Peak struct {
	FLOPs float64 `json:"flops"` // float32 operations per second, a fused multiply-add counting two
	// MixedFLOPs is FLOPs in mixed precision; 0 where the device has none.
	MixedFLOPs float64 `json:"mixed_flops,omitempty"`
	Bytes      float64 `json:"bytes"` // bytes per second, read and written, of a copy larger than the caches
}

// Ceiling returns the operations per second at which an op can run at best.
func (p Peak) Ceiling(precision Precision) float64 {
	if precision == Mixed {
		return p.MixedFLOPs
	}
	return p.FLOPs
}

// PeakMeasurer is a [Backend] that can measure its [Peak], in about a second.
type PeakMeasurer interface {
	MeasurePeak() (Peak, error)
}
