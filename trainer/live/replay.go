package live

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// Replay returns the run in a folder as events: a start, the logged steps, the epochs
// and, if the run is finished, an end. A run that is in progress has those so far. An
// error says what is wrong with the folder; it is [trainer.ErrUsage] or
// [checkpoint.ErrBadCheckpoint].
func Replay(dir string) ([]Event, error) {
	start, err := replayStart(dir)
	if err != nil {
		return nil, err
	}
	epochs, err := trainer.ReadEpochs(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	steps, err := readSteps(dir)
	if err != nil {
		return nil, err
	}
	end, err := replayEnd(dir)
	if err != nil {
		return nil, err
	}
	return sequence(filepath.Base(dir), start, steps, epochs, end), nil
}

// sequence returns the parts of a run as events.
func sequence(run string, start *Start, steps []Step, epochs []trainer.EpochReport, end *End) []Event {
	list := []Event{{Type: TypeStart, Run: run, Start: start}}
	for i := range steps {
		list = append(list, Event{Type: TypeStep, Run: run, Step: &steps[i]})
	}
	best := -1.
	for _, r := range epochs {
		r.Best = !(r.ValAccuracy <= best) // also without an evaluation
		best = max(best, r.ValAccuracy)
		list = append(list, Event{Type: TypeEpoch, Run: run, Epoch: &Epoch{Report: r}})
	}
	if end != nil {
		list = append(list, Event{Type: TypeEnd, Run: run, End: end})
	}
	return list
}

// replayStart describes the run by its settings and, once there are weights, by its
// network.
func replayStart(dir string) (*Start, error) {
	c, err := study.ReadArgs(dir)
	if err != nil {
		return nil, err
	}
	e, err := trainer.ReadEnvironment(dir)
	if err != nil {
		return nil, err
	}
	s := &Start{Network: c.Model, Device: e.Device, Epochs: c.Epochs, FirstEpoch: 1, BatchSize: c.BatchSize, SelectOn: c.SelectOn}
	n, err := trainer.ReadNetwork(filepath.Join(dir, trainer.LastWeights)) // many pages may ask at once
	if err != nil {
		return s, nil // there are none yet
	}
	s.Classes, s.Shape = n.Classes, [3]int{n.Input.H, n.Input.W, n.Input.C}
	if s.Layers, err = n.Summary(); err != nil {
		return nil, err
	}
	for _, l := range s.Layers {
		s.Parameters += l.Parameters
	}
	return s, nil
}

// readSteps reads steps.csv, which not every run has.
func readSteps(dir string) ([]Step, error) {
	path := filepath.Join(dir, trainer.StepsFile)
	f, err := limitedfile.OpenAtMost(path, limitedfile.Table)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	steps, err := parseSteps(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return steps, nil
}

// parseSteps returns the steps of a steps.csv or, if these are more than mostSteps, every
// second, fourth and so on.
func parseSteps(text io.Reader) ([]Step, error) {
	var steps []Step
	row, stride := 0, 1
	for fields, err := range limitedfile.Rows(text) { // step, loss, learning rate
		if err != nil {
			return nil, err
		}
		if row++; row == 1 {
			continue // the header
		}
		step, err1 := strconv.Atoi(fields[0])
		loss, err2 := strconv.ParseFloat(fields[min(1, len(fields)-1)], 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("line %d: %s: want a step and a loss", row, setting.Shown(strings.Join(fields, ",")))
		}
		if (row-2)%stride != 0 || math.IsNaN(loss) || math.IsInf(loss, 0) {
			continue
		}
		if steps = append(steps, Step{Step: step, RecentLoss: loss}); len(steps) > mostSteps {
			for i := range mostSteps/2 + 1 {
				steps[i] = steps[2*i]
			}
			steps, stride = steps[:mostSteps/2+1], 2*stride
		}
	}
	return steps, nil
}

// replayEnd returns the end of a finished run, nil of another.
func replayEnd(dir string) (*End, error) {
	m, err := metrics.Read(filepath.Join(dir, trainer.MetricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &End{State: Finished, Metrics: m}, nil
}
