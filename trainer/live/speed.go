package live

import (
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// Speed is a running mean of images per second, in which the weight of a report
// decays with its age.
type Speed struct{ images, seconds, measured float64 }

const (
	speedMemory  = 5.  // seconds after which a report's weight is 1/e
	speedMeasure = .25 // seconds to measure before there is a speed
)

// Add adds the images of a report. One without images or with a speed that is not a
// number changes nothing.
func (s *Speed) Add(r trainer.StepReport) {
	if r.NewImages <= 0 || !(r.ImagesPerSecond > 0) {
		return
	}
	seconds := float64(r.NewImages) / r.ImagesPerSecond
	keep := math.Exp(-seconds / speedMemory)
	s.images, s.seconds = s.images*keep+float64(r.NewImages), s.seconds*keep+seconds
	s.measured += seconds
}

// Value returns images per second, or 0 if too little was measured.
func (s *Speed) Value() float64 {
	if s.measured < speedMeasure {
		return 0
	}
	return s.images / s.seconds
}
