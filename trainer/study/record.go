package study

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
)

// Record is what a recipe reaches over its seeds, with all that is needed to repeat it.
type Record struct {
	Name    string `json:"name"`
	Date    string `json:"date"`    // of the record, such as 2026-11-27
	Version string `json:"version"` // of the program that trained, which names its commit
	Device  string `json:"device"`
	Dataset string `json:"dataset"`
	// Protocol says on which images the weights were selected; see
	// [metrics.Metrics.Protocol].
	Protocol   string `json:"protocol"`
	Parameters int    `json:"parameters"`
	TestImages int    `json:"test_images"`
	// Twins is the number of test images with a near twin among the training images,
	// if they were counted.
	Twins *int `json:"test_images_with_twin,omitempty"`

	Accuracy        Estimate  `json:"accuracy"` // on the test images, a fraction
	AccuracyWithout *Estimate `json:"accuracy_without_twins,omitempty"`
	Loss            Estimate  `json:"loss"`
	// Seconds are from the program's start until the weights were on the disk, of the
	// runs that have such a time; nil if none has.
	Seconds *Estimate `json:"seconds,omitempty"`

	Runs []RecordRun `json:"runs"` // by seed
	// Recipe holds the settings of the runs but the seed, by their names, without those
	// that say only where and how they ran.
	Recipe map[string]any `json:"recipe"`
}

// RecordRun is the result of one seed.
type RecordRun struct {
	Seed            uint64   `json:"seed"`
	Accuracy        float64  `json:"accuracy"`
	AccuracyWithout *float64 `json:"accuracy_without_twins,omitempty"`
	Loss            float64  `json:"loss"`
	ValAccuracy     *float64 `json:"val_accuracy,omitempty"`
	Epochs          int      `json:"epochs"`
	BestEpoch       int      `json:"best_epoch"`
	Seconds         *float64 `json:"seconds,omitempty"`      // see [metrics.Metrics.SecondsToWeights]
	WithoutTime     string   `json:"without_time,omitempty"` // why there are none
	TrainingSeconds float64  `json:"training_seconds"`       // of the steps alone
	Version         string   `json:"version,omitempty"`      // if they differ
	Device          string   `json:"device,omitempty"`       // if they differ
	Earlier         []string `json:"earlier,omitempty"`      // where else the run was trained
}

// Estimate is the mean of a figure over runs.
type Estimate struct {
	Mean      float64  `json:"mean"`
	PlusMinus *float64 `json:"plus_minus,omitempty"` // half of its 95 % interval; nil for one run
	Runs      int      `json:"runs"`
}

func estimateOf(x []float64) Estimate {
	e := Estimate{Mean: stat.Mean(x, nil), Runs: len(x)}
	if interval, err := statistics.MeanInterval(x); err == nil {
		e.PlusMinus = new((interval.High - interval.Low) / 2)
	}
	return e
}

// NewRecord returns the record of finished runs, which must be those of one recipe on the
// same test images. twins are the indices of the test images that have a near twin among
// the training images, in ascending order; nil if they are not known. The error is
// [trainer.ErrUsage].
func NewRecord(name, date string, runs []*Run, twins []int) (*Record, error) {
	list, err := recipes(runs)
	if err != nil {
		return nil, err
	}
	if len(list) > 1 {
		return nil, usage("%s and %s are of different recipes: a record is of one, over its seeds", list[0].Name, list[1].Name)
	}
	runs = list[0].runs
	first := runs[0]
	r := &Record{Name: name, Date: date, Dataset: first.Config.Dataset, Protocol: first.Metrics.Protocol,
		Parameters: first.Metrics.Parameters, TestImages: len(first.Labels)}
	if r.Recipe, err = first.Config.recordedRecipe(); err != nil {
		return nil, err
	}
	for _, run := range runs {
		switch {
		case !sameTest(first, run):
			return nil, usage("%s and %s were tested on different images: a record is of one recipe on the same images", first.Dir, run.Dir)
		case run.Config.EvalImages > 0:
			return nil, usage("%s was tested on some of the test images alone (eval-images): a record needs all", run.Dir)
		case len(twins) > 0 && twins[len(twins)-1] >= len(run.Labels):
			return nil, usage("test image %d has a twin, but %s was tested on %d: the twins are of another dataset", twins[len(twins)-1], run.Dir, len(run.Labels))
		case len(twins) == len(run.Labels):
			return nil, usage("every test image has a twin: none is left")
		}
		r.Runs = append(r.Runs, recordRun(run, twins))
	}
	r.Version = joined(r.Runs, func(r RecordRun) string { return r.Version })
	r.Device = joined(r.Runs, func(r RecordRun) string { return r.Device })
	if twins != nil {
		r.Twins = new(len(twins))
	}
	r.summarise()
	return r, nil
}

// WithoutSeconds leaves out the seconds of the runs that have some, for a reason.
func (r *Record) WithoutSeconds(reason string) {
	for i := range r.Runs {
		if r.Runs[i].Seconds != nil {
			r.Runs[i].Seconds, r.Runs[i].WithoutTime = nil, reason
		}
	}
	r.Seconds = nil
}

// ReadRecord reads the JSON of a record. A file that is not a record is [trainer.ErrUsage].
func ReadRecord(path string) (*Record, error) {
	text, err := limitedfile.Read(path, limitedfile.JSON)
	if err != nil {
		return nil, err
	}
	return parseRecord(path, text)
}

// parseRecord reads the text of a record and checks what [Record.Add] relies on.
func parseRecord(path string, text []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, usage("%s is not a record: %v", path, err)
	}
	if len(r.Runs) == 0 {
		return nil, usage("%s is not a record: it has no runs", path)
	}
	if len(r.Recipe) == 0 {
		return nil, usage("%s is not a record: it has no recipe", path)
	}
	// Settings that did not exist when the record was written had their default values: a
	// new setting's default must change nothing.
	recipe, err := DefaultConfig().recordedRecipe()
	if err != nil {
		return nil, err
	}
	if r.Recipe["dropout"] == nil {
		delete(recipe, "dropout") // it has always existed: the network has none, or its own
	}
	maps.Copy(recipe, r.Recipe)
	r.Recipe = recipe
	for _, run := range r.Runs {
		if !isFraction(&run.Accuracy) || !isFraction(run.AccuracyWithout) {
			return nil, usage("%s is not a record: the accuracy of seed %d is not between 0 and 1", path, run.Seed)
		}
		if (run.AccuracyWithout == nil) != (r.Twins == nil) {
			return nil, usage("%s is not a record: twins are left out of some of its accuracies", path)
		}
	}
	return &r, nil
}

func isFraction(x *float64) bool { return x == nil || *x >= 0 && *x <= 1 }

// Add adds the seeds of another record of the same recipe on the same test images, such as
// those trained on another machine. The error is [trainer.ErrUsage].
func (r *Record) Add(other *Record) error {
	mine, others := r.premises(), other.premises()
	all := maps.Clone(mine)
	maps.Copy(all, others)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		if a, b := asJSON(mine[what]), asJSON(others[what]); a != b {
			return usage("the records differ in %s, %s and %s: a record is of one recipe on the same images", what, a, b)
		}
	}
	runs := append(r.namedRuns(), other.namedRuns()...)
	slices.SortFunc(runs, func(a, b RecordRun) int { return cmp.Compare(a.Seed, b.Seed) })
	for i := 1; i < len(runs); i++ {
		if runs[i].Seed == runs[i-1].Seed {
			return usage("both records have the seed %d", runs[i].Seed)
		}
	}
	r.Runs = runs
	r.Version = joined(runs, func(r RecordRun) string { return r.Version })
	r.Device = joined(runs, func(r RecordRun) string { return r.Device })
	r.summarise()
	return nil
}

// premises returns all that the runs of a record share, by name.
func (r *Record) premises() map[string]any {
	all := map[string]any{"the dataset": r.Dataset, "the selection of weights": r.Protocol, "the number of parameters": r.Parameters,
		"the number of test images": r.TestImages, "the number of twins": r.Twins}
	for name, value := range r.Recipe {
		all[name] = value
	}
	return all
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot happen: a record is made for JSON
	}
	return string(text)
}

// namedRuns returns the runs, each with its version and device.
func (r *Record) namedRuns() []RecordRun {
	runs := slices.Clone(r.Runs)
	for i := range runs {
		runs[i].Version, runs[i].Device = cmp.Or(runs[i].Version, r.Version), cmp.Or(runs[i].Device, r.Device)
	}
	return runs
}

// device returns the device, and the driver if there is one.
func (r *Run) device() string {
	return strings.Join(slices.DeleteFunc([]string{r.Environment.Device, r.Environment.Driver}, func(s string) bool { return s == "" }), ", ")
}

// joined returns the different texts of runs.
func joined(runs []RecordRun, text func(r RecordRun) string) string {
	var list []string
	for _, r := range runs {
		if t := text(r); !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return strings.Join(list, "; ")
}

// recordRun returns the result of a run.
func recordRun(run *Run, twins []int) RecordRun {
	m := run.Metrics
	r := RecordRun{Seed: run.Config.Seed, Accuracy: m.Accuracy, Loss: m.Loss, Epochs: len(run.Epochs), BestEpoch: run.BestEpoch(),
		TrainingSeconds: m.TrainingSeconds, Version: run.Environment.Version, Device: run.device(), Earlier: run.Environment.Earlier}
	if val, ok := run.ValAccuracy(); ok {
		r.ValAccuracy = &val
	}
	switch {
	case m.SecondsToWeights > 0:
		r.Seconds = &m.SecondsToWeights
	case run.Environment.Together > 1:
		r.WithoutTime = "trained beside others"
	default:
		r.WithoutTime = "interrupted and resumed, or not alone in its process"
	}
	if twins != nil {
		right, images := 0, 0
		for i, ok := range run.Right {
			if _, twin := slices.BinarySearch(twins, i); !twin {
				images++
				right += btoi(ok)
			}
		}
		r.AccuracyWithout = new(float64(right) / float64(images))
	}
	return r
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// summarise computes the record's means from its runs, and leaves a run's version and
// device to the record if they are those of all.
func (r *Record) summarise() {
	var accuracies, without, losses, seconds []float64
	for i, run := range r.Runs {
		if run.Version == r.Version {
			r.Runs[i].Version = ""
		}
		if run.Device == r.Device {
			r.Runs[i].Device = ""
		}
		accuracies, losses = append(accuracies, run.Accuracy), append(losses, run.Loss)
		if run.AccuracyWithout != nil {
			without = append(without, *run.AccuracyWithout)
		}
		if run.Seconds != nil {
			seconds = append(seconds, *run.Seconds)
		}
	}
	r.Accuracy, r.Loss = estimateOf(accuracies), estimateOf(losses)
	if without != nil {
		r.AccuracyWithout = new(estimateOf(without))
	}
	if seconds != nil {
		r.Seconds = new(estimateOf(seconds))
	}
}

// recordedRecipe returns the settings that decide a run's weights, but the seed.
func (c Config) recordedRecipe() (map[string]any, error) {
	text, err := c.YAML()
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := setting.Decode("the settings", []byte(text), &all); err != nil {
		return nil, err
	}
	for _, name := range append([]string{"seed"}, placeSettings...) {
		delete(all, name)
	}
	return all, nil
}
