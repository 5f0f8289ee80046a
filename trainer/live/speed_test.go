package live

import (
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// The speed is a mean over seconds, not what the last report says, and unknown
// until enough is measured.
func TestSpeed(t *testing.T) {
	var s Speed
	s.Add(trainer.StepReport{NewImages: 64, ImagesPerSecond: 9e6})
	if got := s.Value(); got != 0 {
		t.Errorf("after 7 µs: %v, want none", got)
	}
	s.Add(trainer.StepReport{NewImages: 0, ImagesPerSecond: math.NaN()})
	for range 100 {
		s.Add(trainer.StepReport{NewImages: 250, ImagesPerSecond: 1000})
	}
	if got := s.Value(); !(math.Abs(got-1000) < 1) {
		t.Errorf("after 25 s of 1,000 images/s: %v", got)
	}
	s.Add(trainer.StepReport{NewImages: 1, ImagesPerSecond: 4})
	if got := s.Value(); !(got > 900 && got < 1000) {
		t.Errorf("after a pause of .25 s: %v", got)
	}
	for range 100 {
		s.Add(trainer.StepReport{NewImages: 50, ImagesPerSecond: 200})
	}
	if got := s.Value(); !(math.Abs(got-200) < 10) {
		t.Errorf("after 25 s of 200 images/s: %v", got)
	}
}
