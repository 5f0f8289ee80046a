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
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	shared "github.com/fmnist-gpu/fmnist-gpu/trainer/internal/page"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// trained is the folder of the runs that all tests copy; "" before the first.
var trained string

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(trained)
	os.Exit(code)
}

// trainRuns returns a folder of the test's own with a run of a convolutional
// network, and with two recipes of logistic regression of two seeds each.
func trainRuns(t *testing.T) string {
	t.Helper()
	if trained == "" {
		source, err := os.MkdirTemp("", "report")
		if err != nil {
			t.Fatal(err)
		}
		trainInto(t, source)
		trained = source
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(trained)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func trainInto(t *testing.T, dir string) {
	t.Helper()
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	for _, change := range []func(c *study.Config){
		func(c *study.Config) { c.Model, c.Name = "alternative", "alternative-seed1" },
		func(c *study.Config) { c.Name = "slow-seed1" },
		func(c *study.Config) { c.Name, c.LR = "fast-seed1", .01 },
		func(c *study.Config) { c.Name, c.Seed = "slow-seed2", 2 },
		func(c *study.Config) { c.Name, c.LR, c.Seed = "fast-seed2", .01, 2 },
	} {
		c := study.DefaultConfig()
		c.Model, c.Epochs, c.SelectOn, c.Out, c.Seed = "logistic", 2, "test", dir, 1
		change(&c)
		run, err := study.NewFolder(c)
		if err != nil {
			t.Fatal(err)
		}
		environment := trainer.Environment{Version: "v0", Backend: "cpu", Device: `a "fast" <CPU>`, Threads: 2}
		if _, err := study.Train(context.Background(), c, datasettest.Subset(t), backend, trainer.Options{Dir: run, Environment: environment}); err != nil {
			t.Fatal(err)
		}
	}
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
	r, err := study.ReadRun(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("<b>%.2f %%</b>test accuracy", 100*r.Metrics.Accuracy),
		fmt.Sprintf(`<th scope="row">Shirt</th><td>%.4f</td>`, r.Metrics.PerClass[6].Precision),
		fmt.Sprintf("<b>%d of 2</b>best epoch", r.BestEpoch()),
		"a &#34;fast&#34; &lt;CPU&gt;, 2 threads", "215,466", "batch-size: 64", "so these figures are optimistic",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := strings.Count(html, "<img"); got != len(pictures)+1 {
		t.Errorf("%d pictures, want %d and the curves", got, len(pictures))
	}
	_, html = write(t, filepath.Join(dir, "slow-seed1"))
	if got := strings.Count(html, "<img"); got != len(pictures) || strings.Contains(html, "Class activation") {
		t.Errorf("%d pictures of a network without convolutions, want all but the class activation", got)
	}
}

// A folder of runs is compared, with one run of each recipe in full, and gets
// the pictures of the comparison.
func TestReportOfRuns(t *testing.T) {
	dir := trainRuns(t)
	_, html := write(t, dir)
	if recipes, runs := strings.Count(html, `<th scope="row">logistic (lr: `)+strings.Count(html, `<th scope="row">alternative</th>`), strings.Count(html, `<details class="run">`); recipes != 3 || runs != 3 {
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

// values writes a line, "-" for null.
func values(list []*float64) string {
	var words []string
	for _, v := range list {
		if v == nil {
			words = append(words, "-")
		} else {
			words = append(words, fmt.Sprintf("%.4g", *v))
		}
	}
	return strings.Join(words, " ")
}

// Values that JSON lacks are gaps; runs of one recipe are a mean and a band, up
// to the end of the shortest; a single run has no band.
func TestGroupPanel(t *testing.T) {
	run := func(name string, seed uint64, losses ...float64) *study.Run {
		r := &study.Run{Dir: fmt.Sprint(name, seed), Config: study.DefaultConfig(), Labels: []byte{1}, Right: []bool{name == "a"}}
		r.Config.Model, r.Config.Seed, r.Metrics.Protocol = name, seed, "test"
		if r.Right[0] {
			r.Metrics.Accuracy = 1
		}
		for i, v := range losses {
			r.Epochs = append(r.Epochs, trainer.EpochReport{Epoch: i + 1, ValLoss: v})
		}
		return r
	}
	c, err := study.Compare([]*study.Run{run("a", 1, .5, math.NaN(), .3), run("b", 1, .7, .6, .4, .2), run("b", 2, .5, .2)})
	if err != nil {
		t.Fatal(err)
	}
	p := groupPanel(c)
	if got := fmt.Sprint(p.Epochs); got != "[1 2 3 4]" {
		t.Errorf("epochs %s, want those of the longest run", got)
	}
	if len(p.Series) != 2 || p.Series[0] != (series{"a", 0, 0, true}) || p.Series[1] != (series{"b", 1, 0, true}) {
		t.Errorf("lines %+v, want one for each recipe", p.Series)
	}
	loss := p.Charts[1]
	if a := loss.Lines[0]; values(a.Mean) != "0.5 - 0.3" || a.Low != nil || a.High != nil {
		t.Errorf("a single run: %s in %s to %s", values(a.Mean), values(a.Low), values(a.High))
	}
	if b := loss.Lines[1]; values(b.Mean) != "0.6 0.4" || values(b.Low) != "0.5 0.2" || values(b.High) != "0.7 0.6" {
		t.Errorf("two runs: %s in %s to %s", values(b.Mean), values(b.Low), values(b.High))
	}
}

// pageOf returns the page of a run, and its HTML.
func pageOf(t *testing.T, r *study.Run) (p page, html []byte) {
	t.Helper()
	p.Title = "none"
	if err := p.addRun(r, false); err != nil {
		t.Fatal(err)
	}
	html, err := p.render()
	if err != nil {
		t.Fatal(err)
	}
	return p, html
}

// A run whose results.csv has no row, and one that evaluated no epoch, have a
// page too; lists in it are never null.
func TestNoEpochs(t *testing.T) {
	for _, epochs := range [][]trainer.EpochReport{nil, {{Epoch: 1, TrainLoss: .5, ValLoss: math.NaN(), ValAccuracy: math.NaN(), TrainAccuracy: math.NaN(), LR: .1}}} {
		r := &study.Run{Dir: t.TempDir(), Config: study.DefaultConfig(), Labels: []byte{1}, Right: []bool{true}, Epochs: epochs}
		_, html := pageOf(t, r)
		if strings.Contains(string(html), `"epochs":null`) || strings.Contains(string(html), "NaN<") || !strings.Contains(string(html), fmt.Sprintf("<b>0 of %d</b>", len(epochs))) {
			t.Errorf("%d epochs: the page has null for a list, NaN, or no count", len(epochs))
		}
	}
}

// A class without an AUC, since no test image is of it, has a dash.
func TestNoAUC(t *testing.T) {
	r := &study.Run{Dir: t.TempDir(), Config: study.DefaultConfig(), Labels: []byte{1}, Right: []bool{true}}
	r.Metrics.PerClass = []metrics.ClassMetrics{{Name: "cat"}, {Name: "dog", AUC: new(0.), Support: 1}}
	_, html := pageOf(t, r)
	for _, want := range []string{"<td>–</td><td>0</td>", "<td>0.0000</td><td>1</td>"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// A run that took its last epoch's weights unseen marks none as the best.
func TestNoSelection(t *testing.T) {
	r := &study.Run{Dir: t.TempDir(), Config: study.DefaultConfig(), Labels: []byte{1}, Right: []bool{true}}
	r.Metrics.Protocol = "none"
	r.Epochs = []trainer.EpochReport{{Epoch: 1, ValAccuracy: math.NaN()}, {Epoch: 2, ValAccuracy: math.NaN()}}
	p, html := pageOf(t, r)
	if p.Panels[0].Best != 0 || strings.Contains(string(html), "2 (best)") || !strings.Contains(string(html), "No epoch was evaluated") || !strings.Contains(string(html), "</b>last epoch</li>") {
		t.Errorf("epoch %d is marked, or the page does not say that none was evaluated", p.Panels[0].Best)
	}
}

// Thirty recipes are thirty entries of one legend, of which the best are drawn,
// each in its own style; unrelated recipes have no columns for the
// original; and only some runs are in full.
func TestManyRecipes(t *testing.T) {
	var runs []*study.Run
	for i := range 30 {
		r := &study.Run{Dir: t.TempDir(), Config: study.DefaultConfig(), Labels: []byte{1, 2}, Right: []bool{true, i%2 == 0}}
		r.Config.LR, r.Metrics.Protocol = float64(i+1)/1000, "val"
		r.Epochs = []trainer.EpochReport{{Epoch: 1, ValAccuracy: 1 - float64(i)/100}}
		runs = append(runs, r)
	}
	c, err := study.Compare(runs)
	if err != nil {
		t.Fatal(err)
	}
	p := page{Title: "many"}
	if err := p.addGroup(c); err != nil {
		t.Fatal(err)
	}
	shown, styles := 0, map[string]bool{}
	for i, s := range p.Panels[0].Series {
		if s.Shown {
			shown++
		}
		if s.Shown != (i < len(plots.SeriesColours)) {
			t.Errorf("line %d is drawn: %v", i, s.Shown)
		}
		if i < len(shared.Dashes)*len(plots.SeriesColours) {
			styles[fmt.Sprint(s.Colour, s.Dash)] = true
		}
	}
	if len(p.Panels) != 1 || len(p.Panels[0].Series) != 30 || shown != len(plots.SeriesColours) || len(styles) != min(30, len(shared.Dashes)*len(plots.SeriesColours)) {
		t.Errorf("%d panels, %d lines, %d drawn, %d styles", len(p.Panels), len(p.Panels[0].Series), shown, len(styles))
	}
	html, err := p.render()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(html), "Original’s") || !strings.Contains(string(html), "tick others to draw them") || !strings.Contains(string(html), "Of the 406 pairs without") {
		t.Error("the page has columns for the original, or does not say what it leaves to the reader")
	}
}

// One of the original's trainings has the original's figures beside it.
func TestOriginalColumns(t *testing.T) {
	run := func(preset string, accuracy float64) *study.Run {
		r := &study.Run{Dir: preset, Config: study.DefaultConfig(), Labels: []byte{1}, Right: []bool{true}}
		if preset != "" {
			if err := r.Config.ApplyPreset(preset); err != nil {
				t.Fatal(err)
			}
		}
		r.Metrics.Protocol, r.Metrics.Accuracy = "val", accuracy
		r.Epochs = []trainer.EpochReport{{Epoch: 1, ValAccuracy: accuracy}}
		return r
	}
	c, err := study.Compare([]*study.Run{run("main_no_aug", .9), run("", .8)})
	if err != nil {
		t.Fatal(err)
	}
	p := page{Title: "original"}
	if err := p.addGroup(c); err != nil {
		t.Fatal(err)
	}
	html, err := p.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Original’s accuracy*", "<td>92.71 %</td><td>0.9273</td></tr>", "<td>–</td><td>–</td></tr>"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestCapitalised(t *testing.T) {
	for text, want := range map[string]string{"": "", "rates": "Rates", "écarts": "Écarts", "3 seeds": "3 seeds"} {
		if got := capitalised(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// The most frequent confusions, by their share of the true class; a perfect
// network has none.
func TestConfusions(t *testing.T) {
	var m metrics.Metrics
	for c, name := range dataset.FashionMNIST.Classes {
		m.PerClass = append(m.PerClass, metrics.ClassMetrics{Name: name})
		row := make([]int, len(dataset.FashionMNIST.Classes))
		row[c] = 10
		m.ConfusionMatrix = append(m.ConfusionMatrix, row)
	}
	matrix := m.ConfusionMatrix
	if list := confusions(m, 10); len(list) != 0 {
		t.Errorf("without mistakes: %+v", list)
	}
	matrix[6][0], matrix[6][2], matrix[2][4] = 8, 2, 5
	list := confusions(m, 2)
	if len(list) != 2 || list[0] != (confusion{"Shirt", "T-shirt/top", 8, .4}) || list[1].True != "Pullover" || list[1].Images != 5 {
		t.Errorf("%+v", list)
	}
}
