package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// With --log-format json, standard output has an event per line and nothing else.
func TestLogFormatJSON(t *testing.T) {
	dir := trainedOnStripes(t)
	stdout, stderr, code := run(t, append(quickly, "--dataset", dir+"/pictures", "--model", "logistic", "--epochs", "2", "--out", t.TempDir(), "--log-format", "json")...)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	counts := map[string]int{}
	var last live.Event
	for line := range strings.Lines(stdout) {
		last = live.Event{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		counts[last.Type]++
		if last.Epoch != nil && (len(last.Epoch.ConfusionMatrix) != 3 || last.Epoch.Samples != nil) {
			t.Errorf("an epoch with a matrix of %d classes and %d samples", len(last.Epoch.ConfusionMatrix), len(last.Epoch.Samples))
		}
	}
	if counts[live.TypeStart] != 1 || counts[live.TypeStep] == 0 || counts[live.TypeEpoch] != 2 || counts[live.TypeEnd] != 1 ||
		last.End == nil || last.End.State != live.Finished || !(last.End.Metrics.Accuracy > 0) {
		t.Errorf("events %v, the last %+v", counts, last)
	}
	if !strings.Contains(stderr, "test accuracy") {
		t.Errorf("standard error lacks the result: %s", stderr)
	}
}
