package trainer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// The files in a run's folder that other packages read. ArgsFile holds the run's
// settings; a run that has MetricsFile is finished.
const (
	ArgsFile        = "args.yaml"
	MetricsFile     = "metrics.json"
	PredictionsFile = "predictions.csv"
	ResultsFile     = "results.csv"
	StepsFile       = "steps.csv"
	BestWeights     = "weights/best.safetensors" // of the epoch that was selected
	LastWeights     = "weights/last.safetensors" // of the latest epoch
)

const (
	mistakesFile = "misclassified.csv"
	reportFile   = "report.html" // written by package report
)

// Environment records, in args.yaml, where and with what a run was trained.
type Environment struct {
	Version string `yaml:"version"`
	Go      string `yaml:"go"`
	OS      string `yaml:"os"`
	Backend string `yaml:"backend"` // vulkan or cpu
	Device  string `yaml:"device"`
	Driver  string `yaml:"driver,omitempty"`
	Tier    string `yaml:"tier,omitempty"`  // instruction set of the CPU backend
	Tuned   string `yaml:"tuned,omitempty"` // identifies the tuning file that chose the shader variants; "" if none did
	Threads int    `yaml:"threads,omitempty"`
	// Earlier lists where a resumed run was trained before, the last first, if the
	// roundings differ there.
	Earlier []string `yaml:"earlier,omitempty"`
	// Together is the number of trainings that ran at the same time in this
	// process, or 0 for one. Timings and memory figures cover all of them.
	Together int `yaml:"together,omitempty"`
	// Data and SHA256 are the dataset's folder and hashes, which [Train] sets.
	Data   string            `yaml:"data"`
	SHA256 map[string]string `yaml:"sha256"`
	// Init is the SHA-256 of the weights that the run began with, if they were another's;
	// Train sets it.
	Init string `yaml:"init-sha256,omitempty"`
}

// rounding describes what decides the roundings of a training. Threads do not.
func (e Environment) rounding() string {
	where := e.Device
	if e.Backend == "cpu" {
		where = fmt.Sprintf("the CPU (%s, %s)", e.OS, e.Tier)
	}
	for _, part := range []string{e.Driver, e.Version} {
		if part != "" {
			where += ", " + part
		}
	}
	if e.Tuned != "" {
		where += ", tuned " + e.Tuned
	}
	return where
}

// movedFrom returns the environment of a run that was trained in another one so far, and
// a note if the roundings differ.
func (e Environment) movedFrom(had Environment) (moved Environment, note string) {
	e.Earlier, e.Init = had.Earlier, had.Init
	was, now := had.rounding(), e.rounding()
	if was == now {
		return e, ""
	}
	e.Earlier = append([]string{was}, had.Earlier...)
	return e, fmt.Sprintf("the run was trained on %s so far, and continues on %s: its weights will differ, by rounding, from those of a run that had not moved", was, now)
}

// cause strips the operation and path from an os error: the message names them
// already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// folder writes a run's files; if dir is "", it writes nothing.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// has reports whether the folder has a file of that name.
func (f folder) has(name string) bool {
	_, err := os.Stat(f.path(name))
	return err == nil
}

func (f folder) write(name string, data []byte) error {
	if f.dir == "" {
		return nil
	}
	return atomicfile.Write(f.path(name), data)
}

// open creates the folder, locks it until unlock is called, and removes the
// temporary files of killed writes.
func (f folder) open() (unlock func(), err error) {
	if f.dir == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		return nil, fmt.Errorf("cannot create the run's folder %s: %w", f.dir, cause(err))
	}
	unlock, err = LockFolder(f.dir, "training")
	if err != nil {
		return nil, err
	}
	for _, sub := range subfolders {
		if err := atomicfile.RemoveTemporary(f.path(sub)); err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

// TidyRun removes the temporary files that a killed program left in a run's
// folder. If another training is running there, the error is [ErrUsage].
func TidyRun(dir string) error {
	unlock, err := folder{dir}.open()
	if err == nil {
		unlock()
	}
	return err
}

// subfolders are the folders in a run's folder.
var subfolders = []string{"weights", checkpointDir}

// RunState says how far a run has come.
type RunState int

// The states of a run. A run in progress has a checkpoint to continue from; a
// broken run has none and starts again from the beginning.
const (
	RunNew RunState = iota
	RunBroken
	RunInProgress
	RunFinished
)

// StateOfRun returns the state of the run in a folder, RunNew if the folder does
// not exist. A folder that holds something other than a run is [ErrUsage].
func StateOfRun(dir string) (RunState, error) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return RunNew, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { // what a training leaves if it is killed before it writes args.yaml
		return e.Name() == lockFile || atomicfile.IsTemporary(e.Name())
	})
	switch {
	case len(entries) == 0:
		return RunNew, nil
	case !has(ArgsFile):
		return RunNew, usage("%s exists and is not a run's folder: choose another folder", dir)
	case has(MetricsFile):
		return RunFinished, nil
	case has(stateFile):
		return RunInProgress, nil
	}
	return RunBroken, nil
}

// progressed is how far the run of a folder has come.
type progressed struct {
	state       *runState // from its checkpoint; nil if it has none
	finished    *Result   // not nil if nothing is left to train
	environment Environment
	notes       []string
}

// progressOf reads how far the run of a folder has come, and checks that it can
// continue with the recipe, the network and the dataset. Without o.Resume the folder must not hold
// a run.
func (f folder) progressOf(r Recipe, n model.Network, data *dataset.Dataset, o Options) (p progressed, err error) {
	p.environment = o.Environment
	if f.dir == "" {
		return p, nil
	}
	if !o.Resume {
		if f.has(ArgsFile) {
			return p, usage("the folder %s already holds a run: choose another, or resume that run", f.dir)
		}
		return p, nil
	}
	if err := f.checkFiles(); err != nil {
		return p, err
	}
	had, err := f.readArgs()
	if err != nil {
		return p, err
	}
	if p.state, err = f.readState(); err != nil {
		return p, err
	}
	if p.state == nil && !f.has(MetricsFile) {
		if f.has(ResultsFile) && !o.Restart { // written after the checkpoint
			return p, &LostError{f.dir, fmt.Sprintf("%s has results but no %s, so it cannot continue; restore that file from a copy, or start a new run, perhaps from its weights", f.dir, stateFile)}
		}
		p.notes = []string{"the run has no checkpoint yet: it starts from the beginning"}
		was, err := ReadEnvironment(f.dir)
		p.environment.Init = was.Init
		return p, err
	}
	if err := CheckDataset(f.dir, data); errors.Is(err, dataset.ErrBadData) {
		return p, fmt.Errorf("%w, or start a new run", err)
	} else if err != nil {
		return p, err
	}
	different, err := had.differences(r, n)
	if err != nil {
		return p, err
	}
	if len(different) > 0 {
		return p, usage("%s was trained with other settings (%s), which cannot change in a run that is resumed: leave them as they were, or start a new run", f.dir, strings.Join(different, ", "))
	}
	if p.finished, err = FinishedRun(f.dir, r); p.finished != nil || err != nil {
		return p, err
	}
	if p.state == nil {
		return p, f.damaged(MetricsFile, errors.New("it cannot be read"))
	}
	p.notes = resumeNotes(p.state, had.Recipe, r)
	was, err := ReadEnvironment(f.dir)
	if err != nil {
		return p, err
	}
	moved, note := o.Environment.movedFrom(was)
	if note != "" {
		p.notes = append(p.notes, note)
	}
	p.environment = moved
	return p, nil
}

// checkFiles refuses a run with something other than a regular file, such as a pipe, where
// the training will write one: it would wait for a reader.
func (f folder) checkFiles() error {
	for _, file := range append([]string{ArgsFile, ResultsFile, StepsFile, BestWeights, LastWeights, stateFile}, finishedFiles...) {
		if isOther(f.path(file)) {
			return badCheckpoint("%s is not a regular file; remove it, or restore it from a copy", f.path(file))
		}
	}
	return nil
}

// resumeNotes says where a run continues. If the run had stopped early, it adjusts
// its state so that it can continue.
func resumeNotes(s *runState, had, now Recipe) []string {
	var notes []string
	if s.allow(had, now) {
		notes = append(notes, fmt.Sprintf("the run had stopped early; its patience of %s now counts from epoch %d", english.Plural(now.Patience, "epoch", ""), len(s.Epochs)))
	}
	from := fmt.Sprintf("the run continues after epoch %d", len(s.Epochs))
	if s.Slot > 0 {
		from = fmt.Sprintf("the run continues after step %d of epoch %d", s.Slot, len(s.Epochs)+1)
	}
	return append(notes, from)
}

// start makes the folder a run's folder: it writes args.yaml and, for a resumed
// run, the files that follow from the checkpoint. It runs after all checks.
func (t *training) start() error {
	f, found := t.folder, t.found.state
	if f.dir == "" {
		return nil
	}
	if t.options.Resume {
		for _, name := range finishedFiles {
			if err := atomicfile.Remove(f.path(name)); err != nil {
				return err
			}
		}
	}
	if found != nil && found.PatienceFrom > 0 {
		if err := f.writeState(&t.state); err != nil {
			return err
		}
	}
	if err := t.writeArgs(); err != nil {
		return err
	}
	for _, sub := range subfolders {
		if err := os.MkdirAll(f.path(sub), 0o777); err != nil {
			return err
		}
	}
	if err := t.openEvents(); err != nil {
		return err
	}
	if found == nil {
		return nil
	}
	if err := f.removeTensors(fmt.Sprintf(tensors, t.state.Step)); err != nil {
		return err
	}
	last, err := readSnapshot(t.net, t.prog, t.state.Step)
	if err != nil {
		return err
	}
	return t.export(last, t.state.BestEpoch > 0)
}

// finishedFiles hold the results of a finished run. A run that continues must not
// have them. The first to be removed marks the run as finished.
var finishedFiles = []string{MetricsFile, PredictionsFile, mistakesFile, reportFile}

// export writes the files that follow from a checkpoint: the last weights, the
// best weights if best is set, results.csv and steps.csv.
func (t *training) export(last snapshot, best bool) error {
	f := t.folder
	if f.dir == "" {
		return nil
	}
	save := func(s snapshot, file string, epoch int) error {
		return t.model(s, epoch).Save(f.path(file))
	}
	if best {
		if err := save(t.best, BestWeights, t.state.BestEpoch); err != nil {
			return err
		}
		debug.FreeOSMemory() // or the copies of the last weights would add to those of the best
	}
	if err := save(last, LastWeights, len(t.state.Epochs)); err != nil {
		return err
	}
	if err := f.writeResults(t.state.Epochs); err != nil {
		return err
	}
	return f.writeSteps(t.log)
}

// ReadEpochs reads results.csv in a run's folder. It may have more or fewer columns
// than this version writes: missing figures are NaN. Best is not set.
func ReadEpochs(dir string) ([]EpochReport, error) {
	path := folder{dir}.path(ResultsFile)
	f, err := limitedfile.OpenAtMost(path, limitedfile.JSON)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	epochs, err := parseEpochs(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w: want a header and a row for each epoch", path, err)
	}
	return epochs, nil
}

// mostReports is the most rows of results.csv that are read: in memory a row has fifty times
// the bytes of the shortest one.
const mostReports = 1 << 18

func parseEpochs(text io.Reader) ([]EpochReport, error) {
	var header []string
	var epochs []EpochReport
	for row, err := range limitedfile.Rows(text) {
		switch {
		case err != nil:
			return nil, err
		case header == nil:
			header = slices.Clone(row)
			continue
		case len(epochs) == mostReports:
			return nil, fmt.Errorf("it has more than %d rows", mostReports)
		}
		value := func(name string) float64 {
			if at := slices.Index(header, name); at >= 0 {
				if x, err := strconv.ParseFloat(row[at], 64); err == nil {
					return x
				}
			}
			return math.NaN()
		}
		accuracy := func(name string) float64 {
			if x := value(name); x >= 0 && x <= 1 {
				return x
			}
			return math.NaN() // of a damaged file: whoever draws or compares it takes it for a fraction
		}
		epochs = append(epochs, EpochReport{Epoch: len(epochs) + 1, TrainLoss: value("train_loss"), TrainAccuracy: accuracy("train_accuracy"),
			ValLoss: value("val_loss"), ValAccuracy: accuracy("val_accuracy"), LR: value("lr"),
			Seconds: value("seconds"), ImagesPerSecond: value("images_per_second")})
	}
	if header == nil {
		return nil, errors.New("it is empty")
	}
	return epochs, nil
}

// writeResults writes results.csv, with one row per epoch. Figures that were not
// evaluated are empty.
func (f folder) writeResults(epochs []EpochReport) error {
	rows := [][]string{{"epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds", "images_per_second", "train_accuracy"}}
	for _, e := range epochs {
		rows = append(rows, []string{strconv.Itoa(e.Epoch), number(e.TrainLoss), number(e.ValLoss), number(e.ValAccuracy),
			number(e.LR), strconv.FormatFloat(e.Seconds, 'f', 3, 64), strconv.FormatFloat(e.ImagesPerSecond, 'f', 1, 64), number(e.TrainAccuracy)})
	}
	return f.writeCSV(ResultsFile, rows)
}

// loggedStep is a row of steps.csv.
type loggedStep struct {
	Step int64 // 1 is the first
	Loss float32
	Rate float64
}

// logSteps adds the epoch's new steps to the log, or every LogEvery-th of them.
// losses holds those of all the epoch's steps so far.
func (t *training) logSteps(losses []float32) error {
	before := len(t.log)
	first := t.state.Step - len(losses) + 1
	for step := max(first, t.logged+1); step <= t.state.Step; step++ {
		if every := t.options.LogEvery; every > 0 && step%every == 0 {
			t.log = append(t.log, loggedStep{int64(step), losses[step-first], t.state.Schedule.At(step - 1)})
		}
	}
	t.logged = t.state.Step
	return t.events.steps(t.log[before:])
}

// writeSteps writes steps.csv, or removes it if no step is logged.
func (f folder) writeSteps(log []loggedStep) error {
	if len(log) == 0 {
		return atomicfile.Remove(f.path(StepsFile))
	}
	rows := [][]string{{"step", "loss", "lr"}}
	for _, l := range log {
		rows = append(rows, []string{strconv.FormatInt(l.Step, 10), number(float64(l.Loss)), number(l.Rate)})
	}
	return f.writeCSV(StepsFile, rows)
}

// WriteFile replaces a file whole or not at all: the old content stays until the new one
// is on the disk. What is not a file, such as a pipe, is written to.
func WriteFile(path string, content []byte) error { return atomicfile.Write(path, content) }

// AbandonWrites is for a program that ends without waiting for the files that it writes: it
// removes what there is of each that is not complete, and lets no other write begin.
func AbandonWrites() { atomicfile.Abandon() }

func (f folder) writeCSV(name string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.write(name, b.Bytes())
}

// writePredictions writes predictions.csv and misclassified.csv of images. indices are
// their positions in the test set, or nil for all of it.
func (f folder) writePredictions(indices []int, images dataset.Split, probs []float32) error {
	if f.dir == "" {
		return nil
	}
	if err := metrics.WritePredictions(f.path(PredictionsFile), indices, images.Labels, probs); err != nil {
		return err
	}
	return metrics.WriteMisclassified(f.path(mistakesFile), indices, images.Labels, probs, images.Files)
}

// writeMetrics writes metrics.json.
func (f folder) writeMetrics(m *metrics.Metrics) error {
	if f.dir == "" {
		return nil
	}
	return m.Write(f.path(MetricsFile))
}

// number formats a float so that it reads back as the same float32. NaN becomes
// "".
func number(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', 9, 64)
}
