package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// recorded returns a run with ten test images, of which it classifies some correctly.
func recorded(seed uint64, seconds float64, right ...int) *Run {
	c := DefaultConfig()
	c.Seed, c.Threads, c.LR = seed, int(seed), .5
	r := &Run{Dir: fmt.Sprint("runs/seed", seed), Config: c, Labels: make([]byte, 10), Right: make([]bool, 10)}
	for _, i := range right {
		r.Right[i] = true
	}
	r.Metrics.Protocol, r.Metrics.Parameters, r.Metrics.Loss = "val", 7, float64(seed)
	r.Metrics.Accuracy, r.Metrics.SecondsToWeights = float64(len(right))/10, seconds
	r.Environment = trainer.Environment{Version: "v1", Device: "abacus"}
	r.Epochs = []trainer.EpochReport{{Epoch: 1, ValAccuracy: .5}, {Epoch: 2, ValAccuracy: .25}}
	return r
}

// A record has each seed's results, their means, and no time that is not honest.
func TestRecord(t *testing.T) {
	resumed := recorded(3, 0, 0, 1, 2)
	resumed.Environment.Version = "v2"
	beside := recorded(4, 0, 0, 1, 2)
	beside.Environment.Together = 2
	runs := []*Run{resumed, recorded(2, 12, 0, 1, 2, 3, 4), recorded(1, 10, 0, 1, 2, 3, 4, 5, 9), beside}
	r, err := NewRecord("fast", "2026-11-27", runs, []int{0, 9})
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) < 1e-9) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("the accuracy", r.Accuracy.Mean, (.7+.5+.3+.3)/4)
	near("the accuracy without twins", r.AccuracyWithout.Mean, (5./8+4./8+2./8+2./8)/4)
	near("the loss", r.Loss.Mean, 2.5)
	near("the seconds", r.Seconds.Mean, 11)
	near("the seconds' interval", *r.Seconds.PlusMinus, 12.706204736) // Student's t of 1 degree, times 1
	if *r.Twins != 2 || r.Seconds.Runs != 2 || r.Accuracy.Runs != 4 || r.Version != "v1; v2" || r.Device != "abacus" || r.Parameters != 7 || r.TestImages != 10 {
		t.Errorf("%+v", r)
	}
	for i, run := range r.Runs {
		if run.Seed != uint64(i+1) || (run.Seconds == nil) != (i >= 2) || (run.WithoutTime == "") != (i < 2) || *run.ValAccuracy != .5 || run.BestEpoch != 1 || run.Epochs != 2 {
			t.Errorf("run %d: %+v", i, run)
		}
	}
	if r.Runs[2].Version != "v2" || !strings.Contains(r.Runs[2].WithoutTime, "interrupted") || r.Runs[3].WithoutTime != "trained beside others" {
		t.Errorf("%+v", r.Runs)
	}
	if r.Recipe["lr"] != .5 || r.Recipe["seed"] != nil || r.Recipe["threads"] != nil || r.Recipe["model"] != "fashioncnn" {
		t.Errorf("the recipe is %v", r.Recipe)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	one, err := NewRecord("one", "", runs[:1], nil)
	if err != nil || one.Accuracy.PlusMinus != nil || one.Seconds != nil || one.Twins != nil || one.AccuracyWithout != nil || one.Runs[0].Version != "v2" && one.Version != "v2" {
		t.Errorf("one seed: %+v (%v)", one, err)
	}
}

func TestRecordRefuses(t *testing.T) {
	other, part, tested := recorded(2, 0), recorded(2, 0), recorded(2, 0)
	other.Config.LR = .1
	part.Config.EvalImages = 10
	tested.Labels = make([]byte, 11)
	first, trained := of(recorded(1, 0), "/digits", "1"), trainedOnOthers(of(recorded(2, 0), "/digits", "1"))
	if _, err := NewRecord("x", "", []*Run{first, trained}, nil); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "were trained on different images") {
		t.Errorf("trained on different images: %v", err)
	}
	for say, c := range map[string]struct {
		run   *Run
		twins []int
	}{
		"of different recipes":                {other, nil},
		"the same training with seed 1":       {recorded(1, 0), nil},
		"were tested on different images":     {tested, nil},
		"the twins are of another dataset":    {recorded(2, 0), []int{3, 10}},
		"every test image has a twin":         {recorded(2, 0), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"of different recipes: a record is o": {part, nil},
	} {
		if _, err := NewRecord("x", "", []*Run{recorded(1, 0), c.run}, c.twins); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want %q", err, say)
		}
	}
	if _, err := NewRecord("x", "", []*Run{part}, nil); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), "a record needs all") {
		t.Errorf("tested on some images: %v", err)
	}
}

// A record in two sittings, of which one is read from its file, is that of one sitting.
func TestRecordOfTwoSittings(t *testing.T) {
	twins := []int{0, 9}
	runs := []*Run{recorded(1, 10, 0, 1), recorded(2, 12, 0, 1, 2), recorded(3, 0, 0, 1, 2)}
	runs[2].Environment = trainer.Environment{Version: "v2", Device: "slide rule"}
	whole, err := NewRecord("fast", "2026-11-27", runs, twins)
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range [][]*Run{runs[:1], runs[:2], runs[1:]} {
		a, err := NewRecord("fast", "2026-11-20", first, twins)
		if err != nil {
			t.Fatal(err)
		}
		rest := slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool { return slices.Contains(first, r) })
		b, err := NewRecord("fast", "2026-11-27", rest, twins)
		if err != nil {
			t.Fatal(err)
		}
		older := strings.Replace(asJSON(a), `"prune":0,`, "", 1) // by a version without that setting
		if older == asJSON(a) {
			t.Fatalf("no setting to leave out in %s", older)
		}
		again, err := parseRecord("a.json", []byte(older))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(again); err != nil {
			t.Fatal(err)
		}
		if got, want := asJSON(b), asJSON(whole); got != want {
			t.Errorf("in two sittings\n%s\nin one\n%s", got, want)
		}
	}
}

func TestRecordNeedsItsParts(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                            "it has no runs",
		`{"runs": [{"accuracy": 0.5}]}`: "it has no recipe",
		`{"runs": [{"accuracy": 50}], "recipe": {"lr": 1}}`: "the accuracy of seed 0 is not between 0 and 1",
	} {
		if _, err := parseRecord("x.json", []byte(text)); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestRecordRefusesOther(t *testing.T) {
	record := func(twins []int, change func(r *Run)) *Record {
		run := recorded(2, 0)
		change(run)
		r, err := NewRecord("x", "", []*Run{run}, twins)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for say, other := range map[string]*Record{
		"both records have the seed 1":                                  record(nil, func(r *Run) { r.Config.Seed = 1 }),
		"in lr, 0.5 and 0.1:":                                           record(nil, func(r *Run) { r.Config.LR = .1 }),
		"number of test images, 10 and 11":                              record(nil, func(r *Run) { r.Labels = make([]byte, 11) }),
		`selection of weights, "val" and "last"`:                        record(nil, func(r *Run) { r.Metrics.Protocol = "last" }),
		"parameters, 7 and 8: a record is of one recipe on the same im": record(nil, func(r *Run) { r.Metrics.Parameters = 8 }),
		"number of twins, null and 1":                                   record([]int{3}, func(r *Run) {}),
	} {
		r, err := NewRecord("x", "", []*Run{recorded(1, 0)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := asJSON(r)
		if err := r.Add(other); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want %q", err, say)
		}
		if asJSON(r) != before {
			t.Errorf("%s: the record changed", say)
		}
	}
}
