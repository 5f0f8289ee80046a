package main

import (
	"encoding/json"
	"image/color"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// A search on one's own pictures prints its trials, is complete when it is run again, and
// its best trial can be tested and repeated.
func TestSearch(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, file, out := filepath.Join(dir, "pictures"), filepath.Join(dir, "rates.yaml"), filepath.Join(dir, "rates")
	writeClassFolders(t, pictures, 12, 24, color.White)
	writeFile(t, filepath.Join(dir, "net.yaml"), tinyCNN)
	text := "base:\n  dataset: " + pictures + "\n  batch-size: 8\nranges:\n  lr: [1e-9, 0.01]\n  model: [net.yaml, logistic]\ntrials: 4\nmax-epochs: 4\n"
	writeFile(t, file, text)
	args := []string{"search", file, "--cpu", "--reduction", "2", "--out", out}
	printed := wantSuccess(t, args...)
	for _, want := range []string{"[7 of 7] trial", "RANK", "VAL ACCURACY 4", "the best is trial", "train --config " + filepath.Join(out, study.BestFile)} {
		if !strings.Contains(printed, want) {
			t.Errorf("printed no %q:\n%s", want, printed)
		}
	}
	if strings.Contains(printed, "test accuracy") {
		t.Errorf("a trial was tested:\n%s", printed)
	}
	var found study.SearchResult
	if err := json.Unmarshal([]byte(wantSuccess(t, append(args, "--json")...)), &found); err != nil {
		t.Fatal(err)
	}
	best := found.Best()
	if found.Left() != 0 || len(found.Trials) != 4 || best.Settings["lr"] != "0.01" {
		t.Errorf("%+v", found)
	}
	if got := wantSuccess(t, "train", "--cpu", "--resume", filepath.Join(out, best.Name)); !strings.Contains(got, "test accuracy") {
		t.Errorf("the best trial, resumed:\n%s", got)
	}
	if plan := wantSuccess(t, "train", "--cpu", "--dry-run", "--config", filepath.Join(out, study.BestFile)); !strings.Contains(plan, "\nlr: 0.01\n") {
		t.Errorf("the settings of the best:\n%s", plan)
	}
	wantFailure(t, append(args, "--trials", "3"), exitUsage, "is of the search \"rates\" with other trials")
	wantFailure(t, append(args, "--trials", "5"), exitUsage, "the ranges allow only about 4 different trials")
	wantFailure(t, []string{"search"}, exitUsage, "name one YAML file")
	wantFailure(t, []string{"search", filepath.Join(dir, "none.yaml")}, exitUsage, "none.yaml: no such file")
	writeFile(t, file, strings.Replace(text, "[1e-9, 0.01]", "{log: [1e-9, 1]}", 1))
	wantFailure(t, args, exitUsage, file+": line 5: ")
}
