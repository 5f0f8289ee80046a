package trainer

import (
	"math"
	"testing"
)

// Expected rates are PyTorch's: OneCycleLR(max_lr=.1, total_steps=10),
// CosineAnnealingLR(T_max=10) from .1, both read after each step.
func TestScheduleRates(t *testing.T) {
	for kind, want := range map[string][]float64{
		"onecycle": {0.004, 0.052, 0.1, 0.09504846320134738, 0.0811745653949763,
			0.06112620219362893, 0.03887419780637107, 0.0188258346050237, 0.004951936798652629, 4e-07},
		"cosine": {0.1, 0.09755282581475769, 0.09045084971874738, 0.07938926261462366, 0.06545084971874737,
			0.05, 0.03454915028125264, 0.020610737385376343, 0.009549150281252628, 0.0024471741852423235},
		"none": {.1, .1, .1},
	} {
		s := Schedule{Kind: kind, Rate: .1, Steps: 10}
		for step, w := range want {
			if got := s.At(step); !(math.Abs(got-w) <= 1e-15) {
				t.Errorf("%s, step %d: %v, want %v", kind, step, got, w)
			}
		}
	}
}

// Expected rates are PyTorch's: SequentialLR of LinearLR(start_factor=1/5,
// total_iters=4) and CosineAnnealingLR(T_max=6) or a constant rate, and
// OneCycleLR(max_lr=.1, total_steps=10, pct_start=.4).
func TestWarmupRates(t *testing.T) {
	for kind, want := range map[string][]float64{
		"cosine": {0.02, 0.04, 0.06, 0.08, 0.1, 0.09330127018922195, 0.075, 0.05, 0.025, 0.006698729810778065},
		"none":   {0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1},
		"onecycle": {0.004, 0.028, 0.076, 0.1, 0.09330129698414119, 0.0750001, 0.0500002, 0.0250003,
			0.006699103015858823, 4e-07},
	} {
		s := Schedule{Kind: kind, Rate: .1, Steps: 10, Warmup: 4}
		for step, w := range want {
			if got := s.At(step); !(math.Abs(got-w) <= 1e-15) {
				t.Errorf("%s, step %d: %v, want %v", kind, step, got, w)
			}
		}
	}
}

func TestWarmupSteps(t *testing.T) {
	for _, c := range []struct {
		epochs float64
		want   int
	}{{0, 0}, {1e-9, 1}, {.004, 1}, {.25, 25}, {2, 200}} {
		if got := warmupSteps(c.epochs, 100); got != c.want {
			t.Errorf("%v epochs of 100 steps: %d, want %d", c.epochs, got, c.want)
		}
	}
}

// Rates are positive and at most Rate, however short the run and long the warm-up.
func TestWarmupExtremes(t *testing.T) {
	for _, kind := range []string{"plateau", "none", "onecycle", "cosine"} {
		for steps := 1; steps <= 12; steps++ {
			for warmup := range steps + 1 {
				s := Schedule{Kind: kind, Rate: .1, Steps: steps, Warmup: warmup}
				for step := range steps {
					if got := s.At(step); !(got > 0 && got <= .1*(1+1e-12)) {
						t.Errorf("%s, step %d of %d with a warm-up of %d: %v", kind, step, steps, warmup, got)
					}
				}
			}
		}
	}
}

// ReduceLROnPlateau(mode='max', factor=.5, patience=2, threshold=1e-4): the
// rate falls after the third epoch without an improvement above .01 %.
func TestPlateau(t *testing.T) {
	s := Schedule{Kind: "plateau", Rate: 1}
	for i, e := range []struct{ accuracy, rate float64 }{
		{.5, 1}, {.6, 1}, {.6, 1}, {.60005, 1}, {.6, .5}, {.6, .5}, {.7, .5}, {.7, .5}, {.7, .5}, {.7, .25},
	} {
		s.EpochDone(e.accuracy)
		if got := s.At(0); got != e.rate {
			t.Errorf("after epoch %d: %v, want %v", i+1, got, e.rate)
		}
	}
}
