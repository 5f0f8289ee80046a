package study

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/dustin/go-humanize/english"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Search is a random search with successive halving: all trials are trained for a few
// epochs, the best of them for more, and so on, rung by rung. A trial's schedule is
// that of the last rung from the beginning, so that it goes on where it stopped. The
// validation images alone decide; runs of a search are not tested.
type Search struct {
	Name  string
	Rungs []Rung

	plan   SearchPlan
	ranges []span
	trials []trial
}

// trial is a training of a search.
type trial struct {
	config Config
	values []setting.Assignment // drawn, in the order of the ranges
}

// The files in a search's folder, besides the folders of its trials.
const (
	SearchFile = "search.json" // a [SearchResult], from which the search continues
	TrialsFile = "trials.csv"  // the trials as a table, the best first
	BestFile   = "best.yaml"   // the settings of the best trial
)

// SearchResult is what a search has found so far.
type SearchResult struct {
	Name     string        `json:"name"`
	Searched []string      `json:"searched"` // the settings that the trials differ in
	Rungs    []Rung        `json:"rungs"`
	Trials   []TrialResult `json:"trials"` // in the order in which they were drawn
}

// TrialResult is what became of a trial.
type TrialResult struct {
	Name     string            `json:"name"` // of its folder
	Settings map[string]string `json:"settings"`
	// Accuracies are the trial's best validation accuracies, fractions, at the end of
	// each rung that it was in. One that diverged has none of its last rung.
	Accuracies []float64 `json:"accuracies"`
	Epochs     int       `json:"epochs"` // trained
	Diverged   bool      `json:"diverged,omitempty"`
	Rank       int       `json:"rank"` // 1 is the best
}

// Experiment returns the search's trials as the runs of an experiment.
func (s Search) Experiment() Experiment {
	e := Experiment{Name: s.Name, Groups: []Group{{}}}
	for _, t := range s.trials {
		e.Groups[0].Runs = append(e.Groups[0].Runs, t.config)
	}
	return e
}

// Read returns what the search has found in a folder, where it may not have begun. A
// folder that holds another search, or other trainings, is [trainer.ErrUsage].
func (s Search) Read(dir string) (*SearchResult, error) {
	if _, _, err := s.Experiment().Count(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, SearchFile)
	text, err := limitedfile.Read(path, limitedfile.JSON)
	if errors.Is(err, fs.ErrNotExist) {
		return s.begun(), nil
	}
	if err != nil {
		return nil, usage("cannot read %s: %v: restore it, or choose another folder", path, cause(err))
	}
	return s.parseResult(path, text)
}

// parseResult reads the text of a SearchFile.
func (s Search) parseResult(path string, text []byte) (*SearchResult, error) {
	var had SearchResult
	if err := json.Unmarshal(text, &had); err != nil {
		return nil, usage("%s is damaged: %v: restore it, or choose another folder", path, err)
	}
	if !had.continues(s.begun()) {
		return nil, usage("%s is of the search %s with other trials or rungs: choose another folder, or delete that one", path, setting.Shown(had.Name))
	}
	return &had, nil
}

// begun returns what a search has found at its beginning.
func (s Search) begun() *SearchResult {
	r := &SearchResult{Name: s.Name, Rungs: s.Rungs}
	for _, span := range s.ranges {
		r.Searched = append(r.Searched, span.name)
	}
	for _, t := range s.trials {
		values := map[string]string{}
		for _, a := range t.values {
			if values[a.Name] = a.Value; a.Name == "model" {
				values[a.Name] = t.config.Model // for a file, the network's name
			}
		}
		r.Trials = append(r.Trials, TrialResult{Name: t.config.Name, Settings: values})
	}
	return r
}

// continues reports whether a result is of the same search as another.
func (r *SearchResult) continues(other *SearchResult) bool {
	return r.Name == other.Name && slices.Equal(r.Searched, other.Searched) && slices.Equal(r.Rungs, other.Rungs) &&
		slices.EqualFunc(r.Trials, other.Trials, func(a, b TrialResult) bool { return a.Name == b.Name && maps.Equal(a.Settings, b.Settings) })
}

// in returns the indices of the trials that a rung trains, if the rungs before it are
// complete. Of trials of the same accuracy, the first goes on.
func (r *SearchResult) in(rung int) []int {
	list := make([]int, len(r.Trials))
	for i := range list {
		list[i] = i
	}
	for k := range rung {
		list = slices.DeleteFunc(list, func(i int) bool { return len(r.Trials[i].Accuracies) <= k })
		slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(r.Trials[b].Accuracies[k], r.Trials[a].Accuracies[k]) })
		list = list[:min(len(list), r.Rungs[k+1].Trials)]
		slices.Sort(list)
	}
	return list
}

// left returns the indices of the trials that a rung has still to train, if the rungs
// before it are complete.
func (r *SearchResult) left(rung int) []int {
	return slices.DeleteFunc(r.in(rung), func(i int) bool { return r.Trials[i].Diverged || len(r.Trials[i].Accuracies) > rung })
}

// Left returns the number of trainings left, of all rungs together.
func (r *SearchResult) Left() int {
	n := 0
	for k, rung := range r.Rungs {
		if n > 0 {
			n += rung.Trials
		} else {
			n += len(r.left(k))
		}
	}
	return n
}

// Best returns the best trial, or nil if none has an accuracy.
func (r *SearchResult) Best() *TrialResult {
	for i, t := range r.Trials {
		if t.Rank == 1 && len(t.Accuracies) > 0 {
			return &r.Trials[i]
		}
	}
	return nil
}

// Accuracy returns the trial's accuracy at its last rung, 0 if it has none.
func (t *TrialResult) Accuracy() float64 {
	if len(t.Accuracies) == 0 {
		return 0
	}
	return t.Accuracies[len(t.Accuracies)-1]
}

// ranked returns the trials, the best first: those that came to a later rung, then those
// with the higher accuracy there, then the earlier ones.
func (r *SearchResult) ranked() []*TrialResult {
	var list []*TrialResult
	for i := range r.Trials {
		list = append(list, &r.Trials[i])
	}
	slices.SortStableFunc(list, func(a, b *TrialResult) int {
		return cmp.Or(cmp.Compare(len(b.Accuracies), len(a.Accuracies)), cmp.Compare(b.Accuracy(), a.Accuracy()))
	})
	return list
}

// write ranks the trials and writes the result.
func (r *SearchResult) write(dir string) error {
	for i, t := range r.ranked() {
		t.Rank = i + 1
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, SearchFile), append(text, '\n'))
}

// Table returns the trials as a table, the best first, with accuracies as the function
// writes them.
func (r *SearchResult) Table(accuracy func(x float64) string) (header []string, rows [][]string) {
	header = append([]string{"rank", "trial"}, r.Searched...)
	header = append(header, "epochs")
	for _, rung := range r.Rungs {
		header = append(header, fmt.Sprintf("val_accuracy_%d", rung.Epochs))
	}
	for _, t := range r.ranked() {
		row := []string{strconv.Itoa(t.Rank), t.Name}
		for _, name := range r.Searched {
			row = append(row, t.Settings[name])
		}
		row = append(row, strconv.Itoa(t.Epochs))
		for k := range r.Rungs {
			switch {
			case k < len(t.Accuracies):
				row = append(row, accuracy(t.Accuracies[k]))
			case k == len(t.Accuracies) && t.Diverged:
				row = append(row, "diverged")
			default:
				row = append(row, "")
			}
		}
		rows = append(rows, row)
	}
	return header, rows
}

// Train trains what is left of the search in the runner's folder, and writes the search's
// files there. If it is interrupted or killed, another Train continues, and finds what
// the first would have found. The errors are those of [Runner.Train], but a trial that
// diverges is out of the search.
func (s Search) Train(ctx context.Context, r Runner) (*SearchResult, error) {
	found, err := s.Read(r.Dir)
	if err != nil {
		return nil, err
	}
	r.KeepCheckpoints = true
	for k := range s.Rungs {
		if k > 0 {
			if err := found.dropOut(r.Dir, k); err != nil {
				return found, err
			}
		}
		if err := s.trainRung(ctx, r, found, k); err != nil {
			return found, err
		}
	}
	return found, s.writeOutcome(r.Dir, found)
}

// dropOut removes the checkpoints of the trials that do not come to a rung.
func (r *SearchResult) dropOut(dir string, rung int) error {
	stay := r.in(rung)
	for _, i := range r.in(rung - 1) {
		if slices.Contains(stay, i) {
			continue
		}
		if err := trainer.DropCheckpoint(filepath.Join(dir, r.Trials[i].Name)); err != nil {
			return err
		}
	}
	return nil
}

// trainRung trains the trials that a rung has left.
func (s Search) trainRung(ctx context.Context, r Runner, found *SearchResult, rung int) error {
	left := found.left(rung)
	if len(left) == 0 {
		return nil
	}
	group := Group{}
	number := map[string]int{}
	for _, i := range left {
		group.Runs = append(group.Runs, s.trials[i].config)
		number[s.trials[i].config.Name] = i
	}
	var lock sync.Mutex
	begin := r.Begin
	r.StopAfter = s.Rungs[rung].Epochs
	r.Begin = func(c Config, dir string, state trainer.RunState) (trainer.Progress, func(*trainer.Result) error) {
		p, end := begin(c, dir, state)
		return p, func(result *trainer.Result) error {
			var err error
			if result != nil || state == trainer.RunFinished { // somebody may have finished a trial's run
				lock.Lock()
				err = found.record(r.Dir, number[c.Name], r.StopAfter)
				lock.Unlock()
			}
			return errors.Join(err, end(result))
		}
	}
	err := r.Train(ctx, Experiment{Name: s.Name, Groups: []Group{group}})
	if err != nil && (!errors.Is(err, trainer.ErrDiverged) || errors.As(err, new(*trainer.LockedError)) || !repeats(err)) {
		return err
	}
	for _, i := range found.left(rung) {
		found.Trials[i].Diverged = true
	}
	return found.write(r.Dir)
}

// repeats reports whether all divergences in an error would come again. One that would
// not says nothing about the settings.
func repeats(err error) bool {
	switch e := err.(type) {
	case *trainer.DivergenceError:
		return e.Repeats
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(e error) bool { return !repeats(e) })
	case interface{ Unwrap() error }:
		return repeats(e.Unwrap())
	}
	return true
}

// record adds what a trial has reached in its run's folder after the given epochs.
func (r *SearchResult) record(dir string, i, epochs int) error {
	t := &r.Trials[i]
	list, err := trainer.ReadEpochs(filepath.Join(dir, t.Name))
	if err != nil {
		return err
	}
	list = list[:min(len(list), epochs)]
	best := trainer.BestEpoch(list, false)
	if best == 0 {
		return fmt.Errorf("%s has no validation accuracy", filepath.Join(dir, t.Name))
	}
	t.Accuracies, t.Epochs = append(t.Accuracies, list[best-1].ValAccuracy), len(list)
	return r.write(dir)
}

// writeOutcome writes the table and the best settings of a search that is complete.
func (s Search) writeOutcome(dir string, r *SearchResult) error {
	header, rows := r.Table(func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) })
	var table bytes.Buffer
	if err := csv.NewWriter(&table).WriteAll(append([][]string{header}, rows...)); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, TrialsFile), table.Bytes()); err != nil {
		return err
	}
	best := r.Best()
	if best == nil {
		return fmt.Errorf("%w in every trial: try lower learning rates (lr)", trainer.ErrDiverged)
	}
	i := slices.IndexFunc(s.trials, func(t trial) bool { return t.config.Name == best.Name })
	c, err := s.trials[i].config.Absolute()
	if err != nil {
		return err
	}
	c.Name = ""
	text, err := c.YAML()
	if err != nil {
		return err
	}
	text = fmt.Sprintf("# The best of %s of the search %s, %s: validation accuracy %.4f after %s.\n%s",
		english.Plural(len(r.Trials), "trial", ""), r.Name, best.Name, best.Accuracy(), english.Plural(best.Epochs, "epoch", ""), text)
	return atomicfile.Write(filepath.Join(dir, BestFile), []byte(text))
}
