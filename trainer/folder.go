package trainer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"
	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// The files in a run's folder. ArgsFile holds the run's settings, which
// [Config.LoadYAML] reads.
const (
	ArgsFile        = "args.yaml"
	resultsFile     = "results.csv"
	stepsFile       = "steps.csv"
	metricsFile     = "metrics.json"
	predictionsFile = "predictions.csv"
	mistakesFile    = "misclassified.csv"
	reportFile      = "report.html" // written by package report
	bestWeights     = "weights/best.safetensors"
	lastWeights     = "weights/last.safetensors"
)

// Environment records, in args.yaml, where and with what a run was trained.
type Environment struct {
	Version string `yaml:"version"`
	Go      string `yaml:"go"`
	OS      string `yaml:"os"`
	Backend string `yaml:"backend"` // vulkan or cpu
	Device  string `yaml:"device"`
	Driver  string `yaml:"driver,omitempty"`
	Tuned   bool   `yaml:"tuned,omitempty"` // the shader variants are those that bench --tune chose
	Threads int    `yaml:"threads,omitempty"`
	// Together is the number of trainings that ran at the same time in this
	// process, or 0 for one. Timings and memory figures cover all of them.
	Together int               `yaml:"together,omitempty"`
	Data     string            `yaml:"data"`
	SHA256   map[string]string `yaml:"sha256"` // of the dataset's files, uncompressed
}

// NewFolder creates the folder of a new run under c.Out and returns its path.
// If c has no Name, NewFolder appends a number where needed to find a free name.
// A Name that is taken is [ErrUsage], unless that folder is empty.
func NewFolder(c Config) (string, error) {
	if err := os.MkdirAll(c.Out, 0o777); err != nil {
		return "", fmt.Errorf("cannot create the output folder %s: %w; choose another with --out", c.Out, cause(err))
	}
	for i := 1; ; i++ {
		dir := filepath.Join(c.Out, c.RunName())
		if i > 1 {
			dir += "-" + strconv.Itoa(i)
		}
		err := os.Mkdir(dir, 0o777)
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrExist):
			return "", fmt.Errorf("cannot create the run's folder %s: %w; choose another place with --out", dir, cause(err))
		case c.Name != "":
			if state, err := StateOfRun(dir); err == nil && state == RunNew {
				return dir, nil
			}
			return "", usage("the run %s already exists: choose another --name, or continue it with --resume %s", dir, dir)
		}
	}
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

// progressed is how far the run of a folder has come.
type progressed struct {
	state    *runState // from its checkpoint; nil if it has none
	finished *Result   // not nil if nothing is left to train
	notes    []string
}

// progressOf reads how far the run of a folder has come, and checks that it can
// continue with the settings c. Without o.Resume the folder must not hold a run.
func (f folder) progressOf(c Config, o Options) (p progressed, err error) {
	if f.dir == "" {
		return p, nil
	}
	if !o.Resume {
		if f.has(ArgsFile) {
			return p, usage("the folder %s already holds a run: choose another, or resume that run", f.dir)
		}
		return p, nil
	}
	had, err := ReadArgs(f.dir)
	if err != nil {
		return p, err
	}
	if p.state, err = f.readState(); err != nil {
		return p, err
	}
	if p.state == nil && !f.has(metricsFile) {
		if f.has(resultsFile) && !o.Restart { // written after the checkpoint
			return p, badCheckpoint("%s has results but no %s, so it cannot continue; restore that file from a copy, or start a new run, perhaps from its weights with --init %s", f.dir, stateFile, f.dir)
		}
		p.notes = []string{"the run has no checkpoint yet: it starts from the beginning"}
		return p, nil
	}
	if different := differences(withoutLimits(had), withoutLimits(c)); len(different) > 0 {
		return p, usage("%s was trained with other settings (%s), which cannot change in a run that is resumed", f.dir, strings.Join(different, ", "))
	}
	if p.finished, err = FinishedRun(f.dir, c); p.finished != nil || err != nil {
		return p, err
	}
	if p.state == nil {
		return p, f.damaged(metricsFile, errors.New("it cannot be read"))
	}
	p.notes = resumeNotes(p.state, had, c)
	return p, nil
}

// withoutLimits returns the settings without those that a resume may change or no
// longer needs.
func withoutLimits(c Config) Config {
	c.Epochs, c.Patience, c.MaxSteps, c.InitFrom = 0, 0, 0, ""
	return c
}

// resumeNotes says where a run continues. If the run had stopped early, it adjusts
// its state so that it can continue.
func resumeNotes(s *runState, had, c Config) []string {
	var notes []string
	if s.allow(had, c) {
		notes = append(notes, fmt.Sprintf("the run had stopped early; its patience of %s now counts from epoch %d", english.Plural(c.Patience, "epoch", ""), len(s.Epochs)))
	}
	from := fmt.Sprintf("the run continues after epoch %d", len(s.Epochs))
	if s.Slot > 0 {
		from = fmt.Sprintf("the run continues after step %d of epoch %d", s.Slot, len(s.Epochs)+1)
	}
	return append(notes, from)
}

// start makes the folder a run's folder: it writes args.yaml and, for a resumed
// run, the files that follow from the checkpoint. It runs after all checks.
func (t *training) start(p progressed) error {
	f := t.folder
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
	if p.state != nil && p.state.PatienceFrom > 0 {
		if err := f.writeState(&t.state); err != nil {
			return err
		}
	}
	if err := f.writeArgs(t.config, t.options.Environment); err != nil {
		return err
	}
	for _, sub := range subfolders {
		if err := os.MkdirAll(f.path(sub), 0o777); err != nil {
			return err
		}
	}
	if p.state == nil {
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
var finishedFiles = []string{metricsFile, predictionsFile, mistakesFile, reportFile}

// writeArgs writes args.yaml. It makes the paths absolute so that the run can be
// resumed from any folder.
func (f folder) writeArgs(c Config, e Environment) error {
	for _, path := range []*string{&c.DataDir, &c.InitFrom, &e.Data} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	args := struct {
		Config      `yaml:",inline"`
		Environment Environment `yaml:"environment"`
	}{c, e}
	text, err := yaml.Marshal(args)
	if err != nil {
		return err
	}
	return f.write(ArgsFile, text)
}

// ReadArgs returns the settings of the run in a folder. The error, which is
// [checkpoint.ErrBadCheckpoint], says what is wrong with the folder or with its
// args.yaml. ReadArgs refuses a truncated file: the lost settings would silently
// become the defaults.
func ReadArgs(dir string) (Config, error) {
	c, path := DefaultConfig(), folder{dir}.path(ArgsFile)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return c, badCheckpoint("%s is a file; name the folder of a run", dir)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, badCheckpoint("%s is not a run's folder, or its training ended before it began: it has no %s; name the folder of a run, or start a new run", dir, ArgsFile)
	}
	if err == nil {
		err = c.ParseYAML(ArgsFile, text)
	}
	if err == nil && !lastKey.Match(text) {
		err = fmt.Errorf("the end of %s is missing", ArgsFile)
	}
	if err != nil {
		return c, badCheckpoint("cannot read the settings of the run %s: %v; restore %s from a copy, or start a new run", dir, cause(err), path)
	}
	return c, nil
}

// lastKey matches the section that writeArgs writes last.
var lastKey = regexp.MustCompile("(?m)^" + environmentKey + ":")

// export writes the files that follow from a checkpoint: the last weights, the
// best weights if best is set, results.csv and steps.csv.
func (t *training) export(last snapshot, best bool) error {
	f := t.folder
	if f.dir == "" {
		return nil
	}
	save := func(s snapshot, file string, epoch int) error {
		about, err := metadata(t.config, t.net.Config.Network, epoch, t.options.Environment.Version)
		if err != nil {
			return err
		}
		return s.save(f.path(file), t.net, about)
	}
	if best {
		if err := save(t.best, bestWeights, t.state.BestEpoch); err != nil {
			return err
		}
	}
	if err := save(last, lastWeights, len(t.state.Epochs)); err != nil {
		return err
	}
	if err := f.writeResults(t.state.Epochs); err != nil {
		return err
	}
	return f.writeSteps(t.log)
}

// writeResults writes results.csv, with one row per epoch. Figures that were not
// evaluated are empty.
func (f folder) writeResults(epochs []EpochReport) error {
	rows := [][]string{{"epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds", "images_per_second", "train_accuracy"}}
	for _, e := range epochs {
		rows = append(rows, []string{strconv.Itoa(e.Epoch), number(e.TrainLoss), number(e.ValLoss), number(e.ValAccuracy),
			number(e.LR), strconv.FormatFloat(e.Seconds, 'f', 3, 64), strconv.FormatFloat(e.ImagesPerSecond, 'f', 1, 64), number(e.TrainAccuracy)})
	}
	return f.writeCSV(resultsFile, rows)
}

// loggedStep is a row of steps.csv.
type loggedStep struct {
	Step int64 // 1 is the first
	Loss float32
	Rate float64
}

// logSteps adds the epoch's new steps to the log, or every --log-every'th of them.
// losses holds those of all the epoch's steps so far.
func (t *training) logSteps(losses []float32) {
	first := t.state.Step - len(losses) + 1
	for step := max(first, t.logged+1); step <= t.state.Step; step++ {
		if every := t.config.LogEvery; every > 0 && step%every == 0 {
			t.log = append(t.log, loggedStep{int64(step), losses[step-first], t.state.Schedule.At(step - 1)})
		}
	}
	t.logged = t.state.Step
}

// writeSteps writes steps.csv, or removes it if no step is logged.
func (f folder) writeSteps(log []loggedStep) error {
	if len(log) == 0 {
		return atomicfile.Remove(f.path(stepsFile))
	}
	rows := [][]string{{"step", "loss", "lr"}}
	for _, l := range log {
		rows = append(rows, []string{strconv.FormatInt(l.Step, 10), number(float64(l.Loss)), number(l.Rate)})
	}
	return f.writeCSV(stepsFile, rows)
}

func (f folder) writeCSV(name string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.write(name, b.Bytes())
}

// writePredictions writes predictions.csv and misclassified.csv. indices are the
// images' positions in the test set, or nil for all of it.
func (f folder) writePredictions(indices []int, labels []byte, probs []float32) error {
	if f.dir == "" {
		return nil
	}
	if err := metrics.WritePredictions(f.path(predictionsFile), indices, labels, probs); err != nil {
		return err
	}
	return metrics.WriteMisclassified(f.path(mistakesFile), indices, labels, probs)
}

// writeMetrics writes metrics.json.
func (f folder) writeMetrics(m *metrics.Metrics) error {
	if f.dir == "" {
		return nil
	}
	return m.Write(f.path(metricsFile))
}

// number formats a float so that it reads back as the same float32. NaN becomes
// "".
func number(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', 9, 64)
}
