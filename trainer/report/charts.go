package report

import (
	"cmp"
	"math"
	"strings"
	"unicode"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	shared "github.com/fmnist-gpu/fmnist-gpu/trainer/internal/page"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// panel is a group of interactive charts with the same lines, the same epochs and one
// legend.
type panel struct {
	Epochs []int    `json:"epochs"`
	Best   int      `json:"best"` // the epoch to mark; 0 for none
	Series []series `json:"series"`
	Charts []chart  `json:"charts"`
}

// series describes a line that every chart of a panel has.
type series struct {
	Name   string `json:"name"`
	Colour int    `json:"colour"` // index into the page's colours for lines
	Dash   int    `json:"dash"`   // index into the page's dash patterns
	Shown  bool   `json:"shown"`  // drawn at first
}

type chart struct {
	Title  string `json:"title"`
	Y      string `json:"y"`      // label of its axis
	Digits int    `json:"digits"` // after the decimal point of a value; -1 for four significant ones
	Lines  []line `json:"lines"`  // in the order of the panel's series
}

// line is a line's value at each epoch, null if it has none, and the band around the
// line, which a single run lacks.
type line struct {
	Mean []*float64 `json:"mean"`
	Low  []*float64 `json:"low,omitempty"`
	High []*float64 `json:"high,omitempty"`
}

// quantity is what a chart shows of an epoch.
type quantity struct {
	title, y string
	digits   int
	value    func(trainer.EpochReport) float64
}

// The quantities measured on the images that select the best epoch.
var (
	valLoss     = quantity{"Loss", "mean cross-entropy", 4, func(e trainer.EpochReport) float64 { return e.ValLoss }}
	valAccuracy = quantity{"Accuracy", "% of images", 2, func(e trainer.EpochReport) float64 { return 100 * e.ValAccuracy }}
)

// named returns a series in the style of line i.
func named(name string, i int) series {
	colours := len(plots.SeriesColours)
	return series{Name: name, Colour: i % colours, Dash: i / colours % len(shared.Dashes), Shown: i < colours}
}

// addRunPanels adds the curves of a run: loss and accuracy, and the learning
// rate.
func (p *page) addRunPanels(r *study.Run) (curves, rate int) {
	runs := []*study.Run{r}
	draw := func(q quantity, values ...func(trainer.EpochReport) float64) chart {
		c := chart{q.title, q.y, q.digits, nil}
		for _, value := range values {
			c.Lines = append(c.Lines, newLine(runs, value))
		}
		return c
	}
	both := panel{Epochs: epochs(runs), Best: selected(r), Series: []series{named("training", 0), named(protocolName(r.Metrics.Protocol), 1)}, Charts: []chart{
		draw(valLoss, func(e trainer.EpochReport) float64 { return e.TrainLoss }, valLoss.value),
		draw(valAccuracy, func(e trainer.EpochReport) float64 { return 100 * e.TrainAccuracy }, valAccuracy.value)}}
	lr := panel{Epochs: both.Epochs, Best: both.Best, Series: []series{named("learning rate", 2)}, Charts: []chart{
		draw(quantity{"Learning rate", "at the end of the epoch", -1, nil}, func(e trainer.EpochReport) float64 { return e.LR })}}
	return p.addPanel(both), p.addPanel(lr)
}

// selected returns the epoch that a run has selected, or 0 if it evaluated no epoch.
func selected(r *study.Run) int {
	if r.Metrics.Protocol == "none" {
		return 0
	}
	return r.BestEpoch()
}

// protocolName says on which images a run selects its best epoch.
func protocolName(protocol string) string {
	switch protocol {
	case "val":
		return "validation"
	case "test":
		return "test"
	}
	return "selection" // the images are not known
}

func (p *page) addPanel(c panel) int {
	p.Panels = append(p.Panels, c)
	return len(p.Panels) - 1
}

// epochs returns the numbers from 1 to the last epoch of the longest run.
func epochs(runs []*study.Run) []int {
	list := []int{} // not nil, which would be null in JSON
	for _, r := range runs {
		for len(list) < len(r.Epochs) {
			list = append(list, len(list)+1)
		}
	}
	return list
}

// newLine returns the mean of a recipe's runs by epoch, and the band from their lowest
// to their highest value. It ends where the shortest run ends: beyond that it would be
// the mean of other runs.
func newLine(runs []*study.Run, value func(trainer.EpochReport) float64) line {
	shortest := len(runs[0].Epochs)
	for _, r := range runs {
		shortest = min(shortest, len(r.Epochs))
	}
	var l line
	for e := range shortest {
		low, high, sum := math.Inf(1), math.Inf(-1), 0.
		for _, r := range runs {
			x := value(r.Epochs[e])
			low, high, sum = min(low, x), max(high, x), sum+x
		}
		l.Mean = append(l.Mean, finite(sum/float64(len(runs))))
		if len(runs) > 1 {
			l.Low, l.High = append(l.Low, finite(low)), append(l.High, finite(high))
		}
	}
	return l
}

// finite returns x, or nil (null in JSON) if it is not a finite number.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// groupPanel returns the curves of a comparison: one line per recipe, the best first.
func groupPanel(c *study.Comparison) panel {
	var all []*study.Run
	out := panel{}
	for _, q := range []quantity{valAccuracy, valLoss} {
		out.Charts = append(out.Charts, chart{q.title + " on " + c.Protocol, q.y, q.digits, nil})
		last := &out.Charts[len(out.Charts)-1]
		for _, r := range c.Recipes {
			last.Lines = append(last.Lines, newLine(r.Runs(), q.value))
		}
	}
	for i, r := range c.Recipes {
		out.Series, all = append(out.Series, named(r.Name, i)), append(all, r.Runs()...)
	}
	out.Epochs = epochs(all)
	return out
}

// group is the comparison of an experiment's runs.
type group struct {
	*study.Comparison
	Rows        []row
	Panel       int     // index of the curves
	Banded      bool    // whether some line is a mean
	Hidden      int     // number of lines that are not drawn at first
	HasOriginal bool    // whether some recipe is one of the original's trainings
	Picture     picture // compares the recipes
}

// Header returns the columns of the table of recipes.
func (g group) Header() []string {
	header, _ := Table(g.Comparison)
	return header
}

// Notes returns the sentences below the table.
func (g group) Notes() []string { return Notes(g.Comparison) }

// Main returns the pairs to read first.
func (g group) Main() []study.Pair {
	main, _ := g.MainPairs()
	return main
}

// Others returns the other pairs, which are folded on the page.
func (g group) Others() []study.Pair {
	_, others := g.MainPairs()
	return others
}

// OthersInWords summarises Others in one sentence.
func (g group) OthersInWords() string { return othersInWords(g.Others()) }

// row is a recipe of the table.
type row struct {
	study.RecipeRuns
	Cells    []string
	Original *study.Preset // the original's training; nil if it is not one
}

func (p *page) addGroup(c *study.Comparison) error {
	g := group{Comparison: c}
	curvesPanel := groupPanel(c)
	g.Panel = p.addPanel(curvesPanel)
	for i, s := range curvesPanel.Series {
		g.Banded = g.Banded || len(c.Recipes[i].Seeds) > 1
		if !s.Shown {
			g.Hidden++
		}
	}
	_, cells := Table(c)
	for i, r := range c.Recipes {
		g.Rows = append(g.Rows, newRow(r, cells[i]))
		g.HasOriginal = g.HasOriginal || g.Rows[i].Original != nil
	}
	models, err := plots.Models(models(g.Rows))
	if err != nil {
		return err
	}
	g.Picture = picture{"Test error and training time", "Test error and training time of each recipe; the values are in the table of recipes", dataURL(models)}
	p.Groups = append(p.Groups, g)
	p.pictures = append(p.pictures, file{pictureFile(c.Name, "models"), models})
	curves, err := plots.RunCurves(curves(c), c.Protocol)
	if err != nil {
		return err
	}
	p.pictures = append(p.pictures, file{pictureFile(c.Name, "curves"), curves})
	return nil
}

// pictureFile names a picture of a group: learning_rates_curves.png, or
// comparison_curves.png.
func pictureFile(group, name string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' {
			return unicode.ToLower(r)
		}
		return '_'
	}, cmp.Or(group, "comparison"))
	return plain + "_" + name + ".png"
}

func newRow(r study.RecipeRuns, cells []string) row {
	out := row{RecipeRuns: r, Cells: cells}
	if p, ok := r.Runs()[0].Config.IsPreset(); ok {
		out.Original = &p
	}
	return out
}

func models(rows []row) []plots.Model {
	var list []plots.Model
	for _, r := range rows {
		m := plots.Model{Name: r.Name, Accuracies: r.Accuracies, Mean: r.Accuracy, Low: math.NaN(), High: math.NaN(), Seconds: r.Seconds}
		if r.Interval != nil {
			m.Low, m.High = r.Interval.Low, r.Interval.High
		}
		if r.Original != nil {
			m.Original = r.Original.OriginalAccuracy
		}
		list = append(list, m)
	}
	return list
}

// curves returns the curves of every recipe, the best first.
func curves(c *study.Comparison) []plots.Series {
	var list []plots.Series
	for _, recipe := range c.Recipes {
		series := plots.Series{Name: recipe.Name}
		for _, r := range recipe.Runs() {
			series.Runs = append(series.Runs, trainer.Curve(r.Epochs))
		}
		list = append(list, series)
	}
	return list
}
