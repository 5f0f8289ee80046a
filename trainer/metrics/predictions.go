package metrics

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// WritePredictions writes predictions.csv: a header and for each image its
// index, label, predicted class and the probabilities of all classes, p0 and so on,
// in digits that give the same float32 back. The arguments are as for [Compute];
// indices (N) are those of the images in their split, nil for 0 to N−1. The file is written
// whole or not at all.
func WritePredictions(path string, indices []int, labels []byte, probabilities []float32) error {
	return writePredictions(path, indices, labels, probabilities, nil, func(label, predicted int) bool { return true })
}

// WriteMisclassified writes misclassified.csv: those rows of predictions.csv
// whose predicted class is not the label. A last column, file, has the images' files (N),
// unless files is nil.
func WriteMisclassified(path string, indices []int, labels []byte, probabilities []float32, files []string) error {
	return writePredictions(path, indices, labels, probabilities, files, func(label, predicted int) bool { return label != predicted })
}

func writePredictions(path string, indices []int, labels []byte, probabilities []float32, files []string, include func(label, predicted int) bool) error {
	classes := len(probabilities) / max(1, len(labels))
	if err := check(labels, probabilities, classes); err != nil {
		return err
	}
	if indices != nil && len(indices) != len(labels) {
		return fmt.Errorf("metrics: %d indices for %d labels", len(indices), len(labels))
	}
	if files != nil && len(files) != len(labels) {
		return fmt.Errorf("metrics: %d files for %d labels", len(files), len(labels))
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	header := []string{"index", "label", "predicted"}
	for c := range classes {
		header = append(header, fmt.Sprintf("p%d", c))
	}
	if files != nil {
		header = append(header, "file")
	}
	w.Write(header) // a csv.Writer keeps its first error for Error
	for i, label := range labels {
		p := row(labels, probabilities, i)
		predicted := Predicted(p)
		if !include(int(label), predicted) {
			continue
		}
		index := i
		if indices != nil {
			index = indices[i]
		}
		record := []string{strconv.Itoa(index), strconv.Itoa(int(label)), strconv.Itoa(predicted)}
		for _, x := range p {
			record = append(record, strconv.FormatFloat(float64(x), 'g', -1, 32))
		}
		if files != nil {
			record = append(record, files[i])
		}
		w.Write(record)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return atomicfile.Write(path, b.Bytes())
}

// Worst returns the indices of at most n misclassified images, those with the
// largest probability of the predicted class first and equal ones in order. The
// arguments are as for [Compute].
func Worst(labels []byte, probabilities []float32, n int) []int {
	var wrong []int
	for i, label := range labels {
		if Predicted(row(labels, probabilities, i)) != int(label) {
			wrong = append(wrong, i)
		}
	}
	confidence := func(i int) float32 { return slices.Max(row(labels, probabilities, i)) }
	slices.SortStableFunc(wrong, func(a, b int) int { return cmp.Compare(confidence(b), confidence(a)) })
	return wrong[:min(n, len(wrong))]
}

// Predictions is the content of a predictions.csv.
type Predictions struct {
	Labels    []byte // true classes
	Predicted []byte
	// Probabilities (N, classes) are nil if the file has none.
	Probabilities []float32
}

// ReadPredictions reads a predictions.csv. The error names the file and what is
// wrong in it.
func ReadPredictions(path string) (*Predictions, error) {
	f, err := limitedfile.OpenAtMost(path, limitedfile.Table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := parsePredictions(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func parsePredictions(text io.Reader) (*Predictions, error) {
	p := &Predictions{}
	line, classes := 0, 0
	for row, err := range limitedfile.Rows(text) {
		if err != nil {
			return nil, err
		}
		if line++; line == 1 {
			if len(row) < firstProbability || row[1] != "label" || row[2] != "predicted" {
				return nil, errNoPredictions
			}
			// Files without probabilities have no more to say about the number of classes.
			if classes = len(row) - firstProbability; classes > mostClasses {
				return nil, fmt.Errorf("line 1: probabilities of %d classes, want at most %d", classes, mostClasses)
			}
		} else if err := p.add(row, classes); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if len(p.Labels) == 0 {
		return nil, errNoPredictions
	}
	return p, nil
}

var errNoPredictions = errors.New("want a header with index, label and predicted, and rows")

// mostClasses is the most classes that there can be: a label is a byte.
const mostClasses = 1 << 8

// firstProbability is the column of p0, after index, label and predicted.
const firstProbability = 3

// add reads a row of the file.
func (p *Predictions) add(row []string, classes int) error {
	label, err1 := strconv.ParseUint(row[1], 10, 8)
	class, err2 := strconv.ParseUint(row[2], 10, 8)
	most := uint64(mostClasses - 1)
	if classes > 0 {
		most = uint64(classes - 1)
	}
	if err := errors.Join(err1, err2); err != nil || label > most || class > most {
		return fmt.Errorf("classes %q and %q, want 0 to %d", row[1], row[2], most)
	}
	p.Labels, p.Predicted = append(p.Labels, byte(label)), append(p.Predicted, byte(class))
	for _, text := range row[firstProbability:] {
		probability, err := strconv.ParseFloat(text, 32)
		if err != nil || !(probability >= 0 && probability <= 1+roundedUp) {
			return fmt.Errorf("probability %q, want a number from 0 to 1", text)
		}
		p.Probabilities = append(p.Probabilities, float32(probability))
	}
	return nil
}
