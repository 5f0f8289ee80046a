package metrics

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzMetrics checks that in metrics that are accepted every class has its row and column.
func FuzzMetrics(f *testing.F) {
	for _, text := range []string{`{"accuracy":0.5,"per_class":[{"name":"a"},{"name":"b"}],"confusion_matrix":[[1,2],[3,4]]}`, `{"confusion_matrix":[[1],[2]]}`, `{"confusion_matrix":[[1]],"per_class":[]}`, `{}`, `null`, `{"per_class":[` + strings.Repeat("{},", 256) + `{}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m Metrics
		if json.Unmarshal(text, &m) != nil {
			return
		}
		if len(m.PerClass) > 256 {
			t.Errorf("%d classes", len(m.PerClass))
		}
		for i, row := range m.ConfusionMatrix {
			if len(row) != len(m.ConfusionMatrix) || len(m.PerClass) > 0 && i >= len(m.PerClass) {
				t.Errorf("row %d of %d has %d columns; %d classes", i, len(m.ConfusionMatrix), len(row), len(m.PerClass))
			}
		}
	})
}

// FuzzPredictions checks that a predictions.csv gives a class and as many probabilities
// for each image, or an error.
func FuzzPredictions(f *testing.F) {
	for _, text := range []string{"index,label,predicted,p0,p1\n0,1,0,0.7,0.3\n1,1,1,0,1\n", "index,label,predicted\n0,255,3\n", "index,label,predicted,p0\n0,1,0,NaN\n", ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePredictions(bytes.NewReader(text))
		if err != nil {
			return
		}
		n := len(p.Labels)
		if n == 0 || len(p.Predicted) != n || len(p.Probabilities)%n != 0 {
			t.Fatalf("%d labels, %d predictions, %d probabilities", n, len(p.Predicted), len(p.Probabilities))
		}
		if p.Probabilities != nil {
			Calibration(p.Labels, p.Probabilities)
		}
	})
}
