package kernels

import "time"

// Estimator is a [Backend] that can tell without running it how long a section takes.
type Estimator interface {
	// Estimate returns about how long a run takes: only the plan and the device decide
	// that. It is 0 if nothing is known of the device.
	Estimate(p *Plan, section string) (time.Duration, error)
	// DeviceMemory returns the bytes of the device's memory.
	DeviceMemory() int64
}
