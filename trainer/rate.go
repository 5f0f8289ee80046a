package trainer

import (
	"context"
	"math"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// RateSweep says which learning rates [FindRate] tries: Steps of them, from Start on,
// each the same factor above the one before, so that another step would reach End.
type RateSweep struct {
	Start, End float64
	Steps      int
}

// DefaultRateSweep returns fastai's sweep: 100 steps from 1e-7 to 10.
func DefaultRateSweep() RateSweep { return RateSweep{1e-7, 10, 100} }

// rate returns the learning rate of a step, counted from 0.
func (s RateSweep) rate(step int) float64 {
	return s.Start * math.Pow(s.End/s.Start, float64(step)/float64(s.Steps))
}

// Check returns an error ([ErrUsage]) that names what is wrong.
func (s RateSweep) Check() error {
	lr, _ := recipeSettings.Find("lr")
	for _, end := range []struct {
		name string
		rate float64
	}{{"start", s.Start}, {"end", s.End}} {
		if err := lr.Check(end.name, end.rate); err != nil {
			return err
		}
	}
	if !(s.Start < s.End) {
		return usage("start is %v and end is %v: want a start below the end", s.Start, s.End)
	}
	if s.Steps < MinSweepSteps || s.Steps > MaxSweepSteps {
		return usage("steps is %d: want %d to %d", s.Steps, MinSweepSteps, MaxSweepSteps)
	}
	return nil
}

// The numbers of steps that make a sweep: fewer leave too few losses to judge.
const MinSweepSteps, MaxSweepSteps = 20, 1 << 20

// RateCurve holds the loss at each learning rate of a sweep.
type RateCurve struct {
	Rates    []float64 `json:"rates"`
	Losses   []float64 `json:"losses"`   // of the batches, before their step
	Smoothed []float64 `json:"smoothed"` // exponential moving average, without its bias to 0
	Diverged bool      `json:"diverged"` // the sweep ended before its last rate

	skip          int // losses at the beginning that suggestions leave out
	average, best float64
}

// The constants of fastai's sweep: the share of the old average in the new one, and the
// multiple of the lowest smoothed loss at which the sweep ends.
const (
	sweepSmoothing = .98
	sweepDiverges  = 4
)

// add adds the loss at a rate. It reports whether the sweep goes on.
func (c *RateCurve) add(rate, loss float64) bool {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		c.Diverged = true
		return false
	}
	c.average = sweepSmoothing*c.average + (1-sweepSmoothing)*loss
	smoothed := c.average / (1 - math.Pow(sweepSmoothing, float64(len(c.Losses)+1)))
	if len(c.Losses) == 0 || smoothed < c.best {
		c.best = smoothed
	}
	c.Rates, c.Losses, c.Smoothed = append(c.Rates, rate), append(c.Losses, loss), append(c.Smoothed, smoothed)
	c.Diverged = smoothed > sweepDiverges*c.best
	return !c.Diverged
}

// FindRate trains with a learning rate that grows from step to step until the loss
// diverges (Smith 2017, "Cyclical Learning Rates for Training Neural Networks"), and
// returns the loss at each rate. It trains as the recipe says, but for its rate, schedule
// and length, from the weights of the checkpoint init, or from random ones if that is "".
// It evaluates nothing and writes no files. The errors are those of [Train]; a ctx that
// is cancelled gives its error.
func FindRate(ctx context.Context, r Recipe, n model.Network, data *dataset.Dataset, backend kernels.Backend, init string, s RateSweep) (*RateCurve, error) {
	r.LR, r.Scheduler, r.Warmup, r.EMA, r.Prune, r.MaxSteps, r.NoEval = s.Start, "none", 0, 0, 0, 0, true
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := checkArguments(r, n, data, backend); err != nil {
		return nil, err
	}
	t, err := newTraining(Replica{r, Options{InitFrom: init}}, n, data, backend)
	if err != nil {
		return nil, err
	}
	g, err := newGroup([]*training{t}, n, data, backend)
	if err != nil {
		return nil, err
	}
	defer g.close()
	c := &RateCurve{skip: s.Steps / 10}
	for goes := true; goes && len(c.Rates) < s.Steps; {
		if goes, err = g.sweepEpoch(ctx, s, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// sweepEpoch trains an epoch of a sweep, or what is left of the sweep, and adds its
// losses to the curve. It reports whether the sweep goes on.
func (g *group) sweepEpoch(ctx context.Context, s RateSweep, c *RateCurve) (bool, error) {
	t := g.members[0]
	if err := t.prepareEpoch(); err != nil {
		return false, err
	}
	first := len(c.Rates)
	rates := make([]float32, t.stepsPerEpoch())
	for i := range rates {
		rates[i] = float32(s.rate(first + i))
	}
	if err := t.prog.Write(t.net.LearningRates, kernels.AsBytes(rates)); err != nil {
		return false, err
	}
	for end := min(len(rates), s.Steps-first); t.state.Slot < end; {
		from := t.state.Slot
		if err := g.someSteps(end); err != nil {
			return false, err
		}
		losses, _, err := t.logs(t.net.Train, from, t.state.Slot)
		if err != nil {
			return false, err
		}
		for i, loss := range losses {
			if !c.add(s.rate(first+from+i), float64(loss)) {
				return false, nil
			}
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
	t.state.Epochs, t.state.Slot = append(t.state.Epochs, EpochReport{}), 0
	return true, nil
}

// RateSuggestions are learning rates that a curve suggests.
type RateSuggestions struct {
	// Valley is in the middle of the longest fall of the loss: fastai's default.
	Valley   float64 `json:"valley"`
	Steepest float64 `json:"steepest"` // where the loss falls fastest
	Minimum  float64 `json:"minimum"`  // a tenth of the rate of the lowest loss
}

// Suggest returns fastai's suggestions. Like fastai it leaves out the first tenth of
// the sweep, and the last five losses. The error is [ErrUsage] if too few are left, or
// if the loss does not fall.
func (c *RateCurve) Suggest() (RateSuggestions, error) {
	if len(c.Rates) == 0 {
		return RateSuggestions{}, usage("the loss is not finite before the first step: check the weights that training begins with")
	}
	last := len(c.Rates) - 5
	if last-c.skip < 5 {
		return RateSuggestions{}, usage("the loss diverged after %d learning rates, which are too few to judge: start with a lower one", len(c.Rates))
	}
	rates, losses := c.Rates[c.skip:last], c.Smoothed[c.skip:last]
	at := valley(losses)
	if at < 0 {
		return RateSuggestions{}, usage("the loss does not fall at any learning rate from %.2g to %.2g: try other rates", rates[0], rates[len(rates)-1])
	}
	lowest, steepest, steepness := 0, 0, math.Inf(1)
	for i := range losses {
		if losses[i] < losses[lowest] {
			lowest = i
		}
		if i > 0 && losses[i]-losses[i-1] < steepness { // the rates are evenly spaced on their logarithmic scale
			steepest, steepness = i-1, losses[i]-losses[i-1]
		}
	}
	return RateSuggestions{Valley: rates[at], Steepest: rates[steepest], Minimum: rates[lowest] / 10}, nil
}

// valley returns the middle of the longest valley, or -1 if there is none. The longest
// valley ends with the longest falling subsequence of the losses and is, as in fastai,
// as long as that, wherever it began.
func valley(losses []float64) int {
	longest := make([]int, len(losses)) // falling subsequence that ends here
	end := 0
	var ends []float64 // by length less 1: the largest loss that ends one, negated, so that they ascend
	for i, loss := range losses {
		at, _ := slices.BinarySearch(ends, -loss)
		if at == len(ends) {
			ends = append(ends, -loss)
		} else {
			ends[at] = -loss
		}
		longest[i] = at + 1
		if longest[i] > longest[end] {
			end = i
		}
	}
	if longest[end] == 1 {
		return -1
	}
	start, sections := end-longest[end], float64(longest[end])/3
	return max(0, start+int(sections)+int(sections/2))
}
