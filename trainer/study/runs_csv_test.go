package study

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Every finished run is a row, every setting and result a column; names that
// CSV must quote come back as they are.
func TestWriteRuns(t *testing.T) {
	a, b := selected("main_no_aug", 7, .93, .92), invented("baseline_logistic", 8, .67)
	a.Dir = filepath.Join("runs", "lr0.01, \"quoted\"\nname")
	a.Config.LR, a.Config.Crop, a.Config.Name = .0005, new(2), "not the folder's"
	b.Metrics.Loss = math.NaN()
	dir := t.TempDir()
	if err := WriteRuns(dir, []RunGroup{{Name: "one, two", Runs: []*Run{a}}, {Name: "other", Runs: []*Run{b}}}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, RunsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows (%v), want a header and two runs", len(rows), err)
	}
	for _, c := range []struct{ column, first, second string }{
		{"name", a.Name(), "baseline_logistic-8"}, {"group", "one, two", "other"}, {"preset", "main_no_aug", "baseline_logistic"},
		{"lr", "0.0005", "0.001"}, {"crop", "2", ""}, {"seed", "7", "8"}, {"cpu", "false", "false"}, {"protocol", "val", "test"},
		{"val_accuracy", "0.93", ""}, {"test_accuracy", cell(a.Metrics.Accuracy), cell(b.Metrics.Accuracy)}, {"test_loss", "0", ""},
		{"best_epoch", "2", "0"}, {"epochs", "10", "10"}, {"epochs_trained", "3", "0"},
	} {
		at := slices.Index(rows[0], c.column)
		if at < 0 || rows[1][at] != c.first || rows[2][at] != c.second {
			t.Errorf("column %s (%d): %q", c.column, at, rows[1:])
		}
	}
	for _, s := range Settings() {
		if count := len(slices.DeleteFunc(slices.Clone(rows[0]), func(name string) bool { return name != s.Name })); count != 1 {
			t.Errorf("%d columns %s, want one for each setting", count, s.Name)
		}
	}
}
