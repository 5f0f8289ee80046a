package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// A record is written as JSON that reads back, and as Markdown in which all of it is
// found.
func TestWriteRecord(t *testing.T) {
	r := &study.Record{Name: hostile, Date: "2026-11-27", Version: "v1", Device: "abacus", Dataset: "fashion-mnist", Protocol: "none", Parameters: 1234,
		TestImages: 10_000, Twins: new(20), Accuracy: study.Estimate{Mean: .94123, PlusMinus: new(.0012), Runs: 2}, AccuracyWithout: &study.Estimate{Mean: .941, Runs: 1},
		Loss: study.Estimate{Mean: .2, Runs: 2}, Seconds: &study.Estimate{Mean: 58.25, Runs: 1}, Recipe: map[string]any{"lr": .5, "network": "layers:\n- relu\n"},
		Runs: []study.RecordRun{{Seed: 42, Accuracy: .942, Seconds: new(58.25), Epochs: 3, BestEpoch: 3}, {Seed: 43, Accuracy: .9405, WithoutTime: "interrupted", Earlier: []string{"the CPU"}},
			{Seed: 44, Accuracy: .9405, WithoutTime: "interrupted"}}}
	path := filepath.Join(t.TempDir(), "fast")
	if err := WriteRecord(path, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var read study.Record
	if err := json.Unmarshal(text, &read); err != nil || read.Name != hostile || *read.Runs[0].Seconds != 58.25 || read.Runs[1].Seconds != nil {
		t.Errorf("%+v (%v)", read, err)
	}
	page, err := os.ReadFile(path + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{": 94.12 % ± 0.12\n", "| date | 2026-11-27 |", "| accuracy on the 10,000 test images | 94.12 % ± 0.12 |", "without the 20 with a near twin in training | 94.10 % |",
		"weights on the disk | 58.2 (of 1 seed) |", "| 43 | 94.05 | – | 0.0000 | – | 0 | 0 | – |", "- seeds 43 and 44: no time: interrupted\n", "- seed 43: trained before on: the CPU\n", "lr: 0.5\nnetwork: |\n    layers:\n    - relu\n```"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "<i>") {
		t.Errorf("a name is not escaped:\n%s", page)
	}
}
