package kernels

import "errors"

// ErrNoTimestamps is what [Program].Profile and [PeakMeasurer].MeasurePeak return for a device that cannot
// measure how long its work takes. It can do all other work.
var ErrNoTimestamps = errors.New("the device's compute queue has no timestamps, so it cannot be profiled")

// Peak is the arithmetic throughput and memory bandwidth that a device reaches
// in microbenchmarks: the ceilings to compare ops with.
type Peak struct {
	FLOPs float64 `json:"flops"` // float32 operations per second; a fused multiply-add counts as two
	// MixedFLOPs is FLOPs in mixed precision; 0 if the device lacks it or it was not measured.
	MixedFLOPs float64 `json:"mixed_flops,omitempty"`
	Bytes      float64 `json:"bytes"` // bytes per second, reads plus writes, of a copy larger than the caches
}

// Ceiling returns the most operations per second that an op can reach, or 0 if that is
// unknown.
func (p Peak) Ceiling(precision Precision) float64 {
	if precision == Mixed {
		return p.MixedFLOPs
	}
	return p.FLOPs
}

// PeakMeasurer is a [Backend] that can measure its [Peak], in about a second.
type PeakMeasurer interface {
	// MeasurePeak runs the microbenchmarks on an otherwise idle device.
	MeasurePeak() (Peak, error)
}
