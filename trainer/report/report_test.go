package report

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// trainRuns trains a convolutional network and two recipes of logistic
// regression, the latter with two seeds, and returns their folder.
func trainRuns(t *testing.T) string {
	t.Helper()
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	dir := t.TempDir()
	for _, change := range []func(c *trainer.Config){
		func(c *trainer.Config) { c.Model, c.Name = "alternative", "alternative-seed1" },
		func(c *trainer.Config) { c.Name = "slow-seed1" },
		func(c *trainer.Config) { c.Name, c.LR = "fast-seed1", .01 },
		func(c *trainer.Config) { c.Name, c.Seed = "slow-seed2", 2 },
		func(c *trainer.Config) { c.Name, c.LR, c.Seed = "fast-seed2", .01, 2 },
	} {
		c := trainer.DefaultConfig()
		c.Model, c.Epochs, c.SelectOn, c.Out, c.Seed = "logistic", 2, "test", dir, 1
		change(&c)
		run, err := trainer.NewFolder(c)
		if err != nil {
			t.Fatal(err)
		}
		environment := trainer.Environment{Version: "v0", Backend: "cpu", Device: `a "fast" <CPU>`, Threads: 2}
		if _, err := trainer.Train(context.Background(), c, backend, datasettest.Subset(t), trainer.Options{Dir: run, Environment: environment}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, dir string) (path, html string) {
	t.Helper()
	path, err := Write(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// address finds what a browser would fetch or follow.
var address = regexp.MustCompile(`(?:src|href|action)="([^"]{0,20})|url\(([^)]{0,20})|@import`)

// A page refers to nothing outside itself, and says what its run's files say.
func TestReportOfARun(t *testing.T) {
	dir := trainRuns(t)
	run := filepath.Join(dir, "alternative-seed1")
	path, html := write(t, run)
	if want := filepath.Join(run, File); path != want {
		t.Errorf("the report is in %s, want %s", path, want)
	}
	for _, found := range address.FindAllStringSubmatch(html, -1) {
		if !strings.HasPrefix(found[1]+found[2], "data:image/png") {
			t.Errorf("the page refers to something outside: %q", found[0])
		}
	}
	r, err := trainer.ReadRun(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("<b>%.2f %%</b>test accuracy", 100*r.Metrics.Accuracy),
		fmt.Sprintf("<td>Shirt</td><td>%.4f</td>", r.Metrics.PerClass[6].Precision),
		fmt.Sprintf("<b>%d of 2</b>best epoch", r.BestEpoch()),
		"a &#34;fast&#34; &lt;CPU&gt;, 2 threads", "215,466", "batch-size: 64", "so these figures are optimistic",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := strings.Count(html, "<img"); got != len(pictureTitles)+1 {
		t.Errorf("%d pictures, want %d and the curves", got, len(pictureTitles))
	}
	_, html = write(t, filepath.Join(dir, "slow-seed1"))
	if got := strings.Count(html, "<img"); got != len(pictureTitles) || strings.Contains(html, "Grad-CAM") {
		t.Errorf("%d pictures of a network without convolutions, want all but Grad-CAM", got)
	}
}

// A folder of runs is compared, with one run of each recipe in full, and gets
// the pictures of the comparison.
func TestReportOfRuns(t *testing.T) {
	dir := trainRuns(t)
	_, html := write(t, dir)
	if recipes, runs := strings.Count(html, "<tr><td>logistic (lr: ")+strings.Count(html, "<tr><td>alternative</td>"), strings.Count(html, `<details class="run">`); recipes != 3 || runs != 3 {
		t.Errorf("%d recipes in the table and %d runs in full, want 3 of each", recipes, runs)
	}
	if !strings.Contains(html, "paired t over seeds 1, 2") {
		t.Error("the comparison is missing")
	}
	for _, name := range []string{"comparison_models.png", "comparison_curves.png"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "comparison_models.png")); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.html")
	if path, err := Write(dir, other); err != nil || path != other {
		t.Errorf("written to %s (%v), want %s", path, err, other)
	}
	if _, err := os.Stat(filepath.Join(dir, "comparison_models.png")); err == nil {
		t.Error("a report for elsewhere has written to the folder")
	}
	if _, err := Write(t.TempDir(), ""); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("a folder without runs: %v, want a usage error", err)
	}
}

// An experiment under way: a group whose only finished run is compared with
// nothing is there in full, and what is not finished is named.
func TestReportOfUnfinished(t *testing.T) {
	dir := trainRuns(t)
	index := "name: made\ngroups:\n- {name: one/of two, runs: [alternative-seed1, gone]}\n- {name: rest, runs: [slow-seed1, fast-seed1, late]}\n"
	if err := os.WriteFile(filepath.Join(dir, "experiment.yaml"), []byte(index), 0o666); err != nil {
		t.Fatal(err)
	}
	_, html := write(t, dir)
	if groups, runs := strings.Count(html, `<section class="group">`), strings.Count(html, `<details class="run">`); groups != 1 || runs != 3 {
		t.Errorf("%d groups compared and %d runs in full, want 1 and 3", groups, runs)
	}
	if !strings.Contains(html, "<h1>made</h1>") || !strings.Contains(html, "left out: late.") {
		t.Error("the page does not name the experiment, or the run that is not finished")
	}
	for name, want := range map[string]string{"one/of two": "one_of_two_models.png", "": "comparison_models.png", "Learning rates": "learning_rates_models.png"} {
		if got := pictureFile(name, "models"); got != want {
			t.Errorf("the group %q has the picture %s, want %s", name, got, want)
		}
	}
}

// Values that JSON lacks are gaps, and runs of different lengths share an axis.
func TestRunsChart(t *testing.T) {
	run := func(name string, values ...float64) *trainer.Run {
		r := &trainer.Run{Dir: name, Config: trainer.DefaultConfig()}
		r.Config.Model, r.Metrics.Protocol = name, "test"
		for i, v := range values {
			r.Epochs = append(r.Epochs, trainer.EpochReport{Epoch: i + 1, ValLoss: v})
		}
		return r
	}
	a, b := run("a", .5, math.NaN(), .3), run("b", .7)
	a.Labels, a.Right, b.Labels, b.Right = []byte{1}, []bool{true}, []byte{1}, []bool{false}
	a.Metrics.Accuracy = 1
	c, err := trainer.Compare([]*trainer.Run{a, b})
	if err != nil {
		t.Fatal(err)
	}
	data := runsChart(c, chart{}, func(e trainer.EpochReport) float64 { return e.ValLoss }).Data
	var got []string
	for _, column := range data {
		for _, v := range column {
			if v == nil {
				got = append(got, "-")
			} else {
				got = append(got, fmt.Sprint(*v))
			}
		}
	}
	if want := "1 2 3 0.5 - 0.3 0.7 - -"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
