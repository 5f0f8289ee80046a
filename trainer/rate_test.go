package trainer

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// curve returns a curve with the given smoothed losses at rates of 1, 2, 4, …
func curve(losses ...float64) *RateCurve {
	c := &RateCurve{Smoothed: losses}
	for i := range losses {
		c.Rates = append(c.Rates, math.Exp2(float64(i)))
	}
	return c
}

// The suggestions are those of fastai's functions valley, steep and minimum.
func TestSuggest(t *testing.T) {
	for _, c := range []struct {
		losses                     []float64 // without the five that are left out
		valley, steepest, lowestBy int       // powers of 2; lowestBy before it is divided by 10
	}{
		{[]float64{9, 8, 7, 6, 5, 4, 3, 2, 1}, 3, 0, 8},
		{[]float64{9, 9.5, 9.4, 8, 5, 4, 3.9, 3.8, 6, 12}, 3, 3, 7}, // the valley from 9.5 has 7 losses and ends at 7
		{[]float64{5, 6, 1, 6, 5.5, 5.2, 5.1, 7}, 3, 1, 2},
	} {
		s, err := curve(append(c.losses, 20, 20, 20, 20, 20)...).Suggest()
		want := RateSuggestions{math.Exp2(float64(c.valley)), math.Exp2(float64(c.steepest)), math.Exp2(float64(c.lowestBy)) / 10}
		if err != nil || s != want {
			t.Errorf("%v: %+v (%v), want %+v", c.losses, s, err, want)
		}
	}
	for say, losses := range map[string][]float64{
		"not finite before the first":     {},
		"diverged after 9 learning rates": {9, 8, 7, 6, 5, 4, 3, 2, 1},
		"does not fall":                   {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
	} {
		if _, err := curve(losses...).Suggest(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v: %v, want %q", losses, err, say)
		}
	}
}

// The average is that of fastai's AvgSmoothLoss: debiased, with a share of 0.98.
func TestRateCurveSmooths(t *testing.T) {
	c := new(RateCurve)
	for _, loss := range []float64{2, 1, 4} {
		c.add(1, loss)
	}
	for i, want := range []float64{2, (.98*2 + 1) / 1.98, (.98*.98*2 + .98 + 4) / (.98*.98 + .98 + 1)} {
		if got := c.Smoothed[i]; !(math.Abs(got-want) < 1e-12) {
			t.Errorf("average %d is %v, want %v", i, got, want)
		}
	}
	if c.add(1, math.NaN()) || !c.Diverged || len(c.Losses) != 3 {
		t.Errorf("a loss that is not a number does not end the sweep: %+v", c)
	}
}

// A sweep on real images suggests a rate at which the network trains, and diverges at
// the last ones.
func TestFindRate(t *testing.T) {
	data, backend := datasettest.Subset(t), openBackend(t)
	c := small()
	n := c.network(t, data.Info)
	c.BatchSize = 30
	found, err := FindRate(t.Context(), c.Recipe, n, data, backend, "", DefaultRateSweep())
	if err != nil {
		t.Fatal(err)
	}
	last := len(found.Rates) - 1
	if found.Rates[0] != 1e-7 || !found.Diverged || last < 50 || !(found.Smoothed[last] > 4*slices.Min(found.Smoothed)) {
		t.Errorf("%d rates from %v, diverged: %v", last+1, found.Rates[0], found.Diverged)
	}
	s, err := found.Suggest()
	if err != nil {
		t.Fatal(err)
	}
	for name, rate := range map[string]float64{"valley": s.Valley, "steepest": s.Steepest, "minimum": s.Minimum} {
		if !(rate >= 1e-4 && rate <= .2) {
			t.Errorf("the %s is %v, want a rate from 1e-4 to 0.2", name, rate)
		}
	}
	accuracy := func(rate float64) float64 {
		c := c
		c.LR, c.Epochs = rate, 1
		r, err := trainOn(t, t.Context(), c, data, Options{})
		if errors.Is(err, ErrDiverged) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return r.Metrics.Accuracy
	}
	good, bad := accuracy(s.Valley), accuracy(100*s.Valley)
	t.Logf("valley %.2g, steepest %.2g, minimum %.2g; accuracy %.3f at the valley, %.3f at 100 times that", s.Valley, s.Steepest, s.Minimum, good, bad)
	if !(good > .5 && good > bad+.2) {
		t.Errorf("accuracy %v at the suggested rate and %v at 100 times that", good, bad)
	}
}

// A sweep goes on into the next epochs, and ends at its last rate. It depends on nothing
// but its arguments.
func TestFindRateOverEpochs(t *testing.T) {
	data, backend := datasettest.StripesOf(colour, 50), openBackend(t)
	c := small()
	c.Model, c.BatchSize = "logistic", 20
	n := c.network(t, data.Info)
	found, err := FindRate(t.Context(), c.Recipe, n, data, backend, "", RateSweep{1e-4, 1e-2, 20})
	if err != nil || len(found.Rates) != 20 || found.Diverged {
		t.Fatalf("%d rates, diverged: %v (%v), want 20", len(found.Rates), found.Diverged, err)
	}
	again, err := FindRate(t.Context(), c.Recipe, n, data, backend, "", RateSweep{1e-4, 1e-2, 20})
	if err != nil || !slices.Equal(again.Losses, found.Losses) {
		t.Errorf("another sweep has other losses (%v)", err)
	}
	if first, last := found.Losses[0], found.Losses[19]; !(last < first) {
		t.Errorf("the loss goes from %v to %v", first, last)
	}
	for i, rate := range found.Rates {
		if want := 1e-4 * math.Pow(10, float64(i)/10); !(math.Abs(rate/want-1) < 1e-12) {
			t.Errorf("rate %d is %v, want %v", i, rate, want)
		}
	}
}

func TestFindRateRefuses(t *testing.T) {
	data, backend := datasettest.StripesOf(colour, 50), openBackend(t)
	c := small()
	c.Model = "logistic"
	n := c.network(t, data.Info)
	for say, s := range map[string]RateSweep{
		"start is 0":                    {0, 1, 100},
		"end is 2000":                   {1, 2000, 100},
		"want a start below the end":    {1, 1, 100},
		"steps is 2: want 20 to 104857": {1e-3, 1, 2},
	} {
		if _, err := FindRate(t.Context(), c.Recipe, n, data, backend, "", s); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: %v, want %q", s, err, say)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FindRate(cancelled, c.Recipe, n, data, backend, "", DefaultRateSweep()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The longest falling subsequences are those of the definition.
func TestValleyIsTheLongest(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		losses := make([]float64, 1+r.IntN(60))
		for i := range losses {
			losses[i] = float64(r.IntN(20))
		}
		longest, end := make([]int, len(losses)), 0
		for i := range losses {
			longest[i] = 1
			for j := range i {
				if losses[i] < losses[j] {
					longest[i] = max(longest[i], longest[j]+1)
				}
			}
			if longest[i] > longest[end] {
				end = i
			}
		}
		want := -1
		if n := longest[end]; n > 1 {
			want = max(0, end-n+int(float64(n)/3)+int(float64(n)/6))
		}
		if got := valley(losses); got != want {
			t.Errorf("%v: %d, want %d", losses, got, want)
		}
	}
}
