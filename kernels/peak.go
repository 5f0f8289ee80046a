package kernels

// Peak is what a device's arithmetic and memory reach in microbenchmarks made
// for nothing else: the ceilings that ops are compared with.
type Peak struct {
	FLOPs float64 `json:"flops"` // float32 operations per second, a fused multiply-add counting two
	Bytes float64 `json:"bytes"` // bytes per second, read and written, of a copy larger than the caches
}

// PeakMeasurer is a [Backend] that can measure its [Peak], in about a second.
type PeakMeasurer interface {
	MeasurePeak() (Peak, error)
}
