package main

import (
	"encoding/json"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// lr-find takes the settings of a training, prints a suggestion and draws the curve.
func TestLRFind(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, network, picture := filepath.Join(dir, "pictures"), filepath.Join(dir, "net.yaml"), filepath.Join(dir, "rates.png")
	writeClassFolders(t, pictures, 12, 24, color.White)
	writeFile(t, network, tinyCNN)
	args := []string{"lr-find", "--cpu", "--dataset", pictures, "--model", network, "--batch-size", "8"}
	printed := wantSuccess(t, append(args, "--out", picture)...)
	if !strings.Contains(printed, "suggested learning rate: ") || !strings.Contains(printed, "train with --lr ") {
		t.Errorf("printed\n%s", printed)
	}
	if b, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(b), "\x89PNG") {
		t.Errorf("the picture: %v", err)
	}
	var found struct {
		trainer.RateSuggestions
		trainer.RateCurve
	}
	if err := json.Unmarshal([]byte(wantSuccess(t, append(args, "--json", "--start", "1e-5", "--steps", "50")...)), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Rates) > 50 || found.Rates[0] != 1e-5 || !(found.Valley > 1e-5 && found.Valley < 10) || len(found.Losses) != len(found.Smoothed) {
		t.Errorf("%+v", found)
	}
	wantFailure(t, append(args, "--start", "900", "--end", "1000"), exitUsage, "the loss")
	wantFailure(t, append(args, "--start", "1", "--end", ".1"), exitUsage, "want a start below the end")
	wantFailure(t, append(args, "--out", filepath.Join(dir, "none", "x.png")), exitFailed, "the folder "+filepath.Join(dir, "none")+" does not exist")
	wantFailure(t, append(args, "--out", dir), exitFailed, "a folder of that name is in the way")
	wantFailure(t, []string{"lr-find", "logistic"}, exitUsage, "did you mean --model logistic?")
	writeFile(t, filepath.Join(dir, "args.yaml"), "")
	wantFailure(t, []string{"lr-find", dir}, exitUsage, "did you mean --init "+dir)
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"lr-find", "--cpu", "--dataset", filepath.Join(dir, "empty"), "--start", "1", "--end", "1"}, exitUsage, "want a start below the end")
	for _, without := range []string{"lr", "ema", "prune"} { // which would change nothing
		wantFailure(t, append(args, "--"+without, ".5"), exitUsage, "unknown flag --"+without)
	}
	wantFailure(t, append(args, "--steps", "3"), exitUsage, "--steps is 3: want a whole number from 20")
}
