package trainer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// The files of a run's folder. ArgsFile holds its settings, for
// [Config.LoadYAML].
const (
	ArgsFile        = "args.yaml"
	resultsFile     = "results.csv"
	stepsFile       = "steps.csv"
	metricsFile     = "metrics.json"
	predictionsFile = "predictions.csv"
	mistakesFile    = "misclassified.csv"
	bestWeights     = "weights/best.safetensors"
	lastWeights     = "weights/last.safetensors"
)

// Environment records in args.yaml where and with what a run was made.
type Environment struct {
	Version string `yaml:"version"`
	Go      string `yaml:"go"`
	OS      string `yaml:"os"`
	Backend string `yaml:"backend"` // vulkan or cpu
	Device  string `yaml:"device"`
	Driver  string `yaml:"driver,omitempty"`
	Tuned   bool   `yaml:"tuned,omitempty"` // shader variants are those that bench --tune has found
	Threads int    `yaml:"threads,omitempty"`
	// Together is the number of trainings that ran at a time in this process,
	// where there were several: they share what is measured.
	Together int               `yaml:"together,omitempty"`
	Data     string            `yaml:"data"`
	SHA256   map[string]string `yaml:"sha256"` // of the dataset's files, uncompressed
}

// NewFolder creates the folder of a new run under c.Out and returns its path.
// Where the configuration has no Name, a number is appended to find a free
// one; a Name that is taken is an error.
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
			return "", usage("the run %s exists: choose another --name, or go on with it by --resume %s", dir, dir)
		}
	}
}

// cause strips the path and operation that an os error repeats.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// folder writes a run's files; with no dir it writes nothing.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name string, data []byte) error {
	if f.dir == "" {
		return nil
	}
	return atomicfile.Write(f.path(name), data)
}

// start writes args.yaml, which makes the folder a run's, and makes the
// sub-folders.
func (f folder) start(c Config, e Environment) error {
	if f.dir == "" {
		return nil
	}
	args := struct {
		Config      `yaml:",inline"`
		Environment Environment `yaml:"environment"`
	}{c, e}
	text, err := yaml.Marshal(args)
	if err != nil {
		return err
	}
	if err := f.write(ArgsFile, text); err != nil {
		return err
	}
	for _, sub := range []string{"weights", "checkpoint"} {
		if err := os.MkdirAll(f.path(sub), 0o777); err != nil {
			return err
		}
	}
	return nil
}

// writeResults writes results.csv, a row an epoch.
func (f folder) writeResults(epochs []EpochReport) error {
	rows := [][]string{{"epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds", "images_per_second", "train_accuracy"}}
	for _, e := range epochs {
		rows = append(rows, []string{strconv.Itoa(e.Epoch), number(e.TrainLoss), number(e.ValLoss), number(e.ValAccuracy),
			number(e.LR), strconv.FormatFloat(e.Seconds, 'f', 3, 64), strconv.FormatFloat(e.ImagesPerSecond, 'f', 1, 64), number(e.TrainAccuracy)})
	}
	return f.writeCSV(resultsFile, rows)
}

// appendSteps adds rows to steps.csv: step, loss, lr. A file that had rows
// after the first of them (a run killed since its last checkpoint) loses
// those.
func (f folder) appendSteps(rows [][]string) error {
	if f.dir == "" || len(rows) == 0 {
		return nil
	}
	all := [][]string{{"step", "loss", "lr"}}
	first, err := strconv.Atoi(rows[0][0])
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(f.path(stepsFile)); err == nil {
		old, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil {
			return fmt.Errorf("%s: %w", f.path(stepsFile), err)
		}
		for _, row := range old[min(1, len(old)):] {
			if step, err := strconv.Atoi(row[0]); err == nil && step < first {
				all = append(all, row)
			}
		}
	}
	return f.writeCSV(stepsFile, append(all, rows...))
}

func (f folder) writeCSV(name string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	return f.write(name, b.Bytes())
}

// writePredictions writes predictions.csv and misclassified.csv.
func (f folder) writePredictions(labels []byte, probs []float32) error {
	if f.dir == "" {
		return nil
	}
	if err := metrics.WritePredictions(f.path(predictionsFile), labels, probs); err != nil {
		return err
	}
	return metrics.WriteMisclassified(f.path(mistakesFile), labels, probs)
}

// writeMetrics writes metrics.json.
func (f folder) writeMetrics(m *metrics.Metrics) error {
	if f.dir == "" {
		return nil
	}
	return m.Write(f.path(metricsFile))
}

// number formats a float so that it reads back as the same float32.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 9, 64) }
