package study

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Run holds the content of a finished run's folder.
type Run struct {
	Dir         string
	Config      Config
	Environment trainer.Environment
	Epochs      []trainer.EpochReport // without Best
	Metrics     metrics.Metrics
	Labels      []byte        // of the test images
	Right       []bool        // whether each is classified correctly
	Calibration []metrics.Bin // nil if predictions.csv has no probabilities
}

// ReadRun reads the folder of a finished run. The error is [trainer.ErrUsage] and names
// the file that is missing or damaged.
func ReadRun(dir string) (*Run, error) {
	r := &Run{Dir: dir, Config: DefaultConfig()}
	if err := r.Config.LoadYAML(filepath.Join(dir, trainer.ArgsFile)); err != nil {
		return nil, usage("%s is not a finished run: %v", dir, err)
	}
	for _, file := range []struct {
		name string
		read func(text []byte) error
	}{
		{trainer.ArgsFile, r.readEnvironment},
		{trainer.MetricsFile, func(text []byte) error { return json.Unmarshal(text, &r.Metrics) }},
	} {
		text, err := limitedfile.Read(filepath.Join(dir, file.name), limitedfile.JSON)
		if err != nil {
			return nil, usage("%s is not a finished run: %v", dir, err)
		}
		if err := file.read(text); err != nil {
			return nil, usage("cannot read %s: %v", filepath.Join(dir, file.name), err)
		}
	}
	var err error
	if r.Epochs, err = trainer.ReadEpochs(dir); err != nil {
		return nil, usage("%s is not a finished run: %v", dir, err)
	}
	predictions, err := metrics.ReadPredictions(filepath.Join(dir, trainer.PredictionsFile))
	if err != nil {
		return nil, usage("%s has no predictions to compare: %v", dir, err)
	}
	r.Labels = predictions.Labels
	if predictions.Probabilities != nil {
		r.Calibration = metrics.Calibration(predictions.Labels, predictions.Probabilities)
	}
	for i, label := range r.Labels {
		r.Right = append(r.Right, predictions.Predicted[i] == label)
	}
	return r, nil
}

func (r *Run) readEnvironment(text []byte) error {
	var args struct {
		Environment trainer.Environment `yaml:"environment"`
	}
	if err := setting.Unmarshal(text, &args); err != nil {
		return err
	}
	r.Environment = args.Environment
	return nil
}

// BestEpoch returns the number of the epoch whose weights were kept; see
// [trainer.BestEpoch].
func (r *Run) BestEpoch() int { return trainer.BestEpoch(r.Epochs, r.Config.NoEval) }

// ValAccuracy returns the accuracy of the best epoch on the held-out images, a
// fraction, and whether the run has one: it does not if it selected its best
// epoch on the test images or evaluated no epoch.
func (r *Run) ValAccuracy() (float64, bool) {
	best := r.BestEpoch()
	if r.Metrics.Protocol != "val" || best == 0 {
		return 0, false
	}
	return r.Epochs[best-1].ValAccuracy, true
}

// Name returns the name of the run's folder.
func (r *Run) Name() string { return filepath.Base(r.Dir) }

// FindRuns returns the folders of runs: each of dirs that is one, and the finished
// runs, sorted by name, in each that is not. It lists no folder twice. unfinished are
// the names of the other runs in these. A folder that neither is a run nor holds a
// finished one is [trainer.ErrUsage].
func FindRuns(dirs []string) (runs, unfinished []string, err error) {
	add := func(dir string) {
		if dir = filepath.Clean(dir); !slices.Contains(runs, dir) {
			runs = append(runs, dir)
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, trainer.ArgsFile)); err == nil {
			add(dir)
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, nil, usage("%s is not a run's folder: %v", dir, cause(err))
		}
		before := len(runs)
		for _, e := range entries {
			inner := filepath.Join(dir, e.Name())
			if _, err := os.Stat(filepath.Join(inner, trainer.ArgsFile)); err != nil {
				continue
			}
			if state, err := trainer.StateOfRun(inner); err == nil && state == trainer.RunFinished {
				add(inner)
			} else {
				unfinished = append(unfinished, e.Name())
			}
		}
		if len(runs) == before {
			return nil, nil, usage("%s is not a run's folder and holds no finished run", dir)
		}
	}
	return runs, unfinished, nil
}
