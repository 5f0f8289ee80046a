package study

import (
	"bytes"
	"encoding/csv"
	"math"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// RunsFile names the table of all finished runs in an experiment's folder.
const RunsFile = "runs.csv"

// WriteRuns writes RunsFile to an experiment's folder, with a row for each finished
// run and a column for each setting, named as on the command line, and each
// result. Settings and results that a run does not have are empty.
func WriteRuns(dir string, groups []RunGroup) error {
	header := append([]string{"name", "group"}, settingColumns()...)
	for _, c := range resultColumns {
		header = append(header, c.name)
	}
	rows := [][]string{header}
	for _, g := range groups {
		for _, r := range g.Runs {
			row := []string{r.Name(), g.Name}
			settings, err := r.Config.values()
			if err != nil {
				return err
			}
			for _, key := range settingColumns() {
				row = append(row, settings[key])
			}
			for _, c := range resultColumns {
				row = append(row, c.value(r))
			}
			rows = append(rows, row)
		}
	}
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, RunsFile), b.Bytes())
}

// settingColumns returns the settings that have a column: all but the name,
// which is that of the run's folder.
func settingColumns() []string {
	var keys []string
	for _, s := range Settings() {
		if s.Name != "name" {
			keys = append(keys, s.Name)
		}
	}
	return keys
}

// values returns the settings as YAML writes them, by their keys.
func (c Config) values() (map[string]string, error) {
	var node yaml.Node
	if err := node.Encode(c); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for i := 0; i < len(node.Content); i += 2 {
		values[node.Content[i].Value] = node.Content[i+1].Value
	}
	return values, nil
}

// resultColumns are the columns of results in RunsFile. Figures that are also in
// metrics.json have the same names there, without the prefix test_, which marks
// figures on the test images.
var resultColumns = []struct {
	name  string
	value func(*Run) string
}{
	{"protocol", func(r *Run) string { return r.Metrics.Protocol }},
	{"val_accuracy", func(r *Run) string {
		if val, ok := r.ValAccuracy(); ok {
			return cell(val)
		}
		return ""
	}},
	{"test_accuracy", func(r *Run) string { return cell(r.Metrics.Accuracy) }},
	{"test_macro_f1", func(r *Run) string { return cell(r.Metrics.Macro.F1) }},
	{"test_loss", func(r *Run) string { return cell(r.Metrics.Loss) }},
	{"expected_calibration_error", func(r *Run) string { return cell(r.Metrics.ExpectedCalibrationError) }},
	{"best_epoch", func(r *Run) string { return strconv.Itoa(r.BestEpoch()) }},
	{"epochs_trained", func(r *Run) string { return strconv.Itoa(len(r.Epochs)) }},
	{"training_seconds", func(r *Run) string { return cell(r.Metrics.TrainingSeconds) }},
	{"images_per_second", func(r *Run) string { return cell(r.Metrics.ImagesPerSecond) }},
	{"parameters", func(r *Run) string { return strconv.Itoa(r.Metrics.Parameters) }},
}

// cell formats a result; one that is not a number is empty.
func cell(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
