package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"strings"
	"unicode"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// chart is an interactive plot over epochs.
type chart struct {
	Title  string       `json:"title"`
	Y      string       `json:"y"`
	Digits int          `json:"digits"` // of a value
	Series []series     `json:"series"`
	Data   [][]*float64 `json:"data"` // the epochs, then each series; null where it has none
}

type series struct {
	Name   string `json:"name"`
	Colour string `json:"colour"`
	Dashed bool   `json:"dashed"`
}

// colour returns that of line i of a chart, as CSS writes it.
func colour(i int) string {
	r, g, b, _ := plots.SeriesColours[i%len(plots.SeriesColours)].RGBA()
	return fmt.Sprintf("#%02X%02X%02X", r>>8, g>>8, b>>8)
}

// group is the comparison of an experiment's runs.
type group struct {
	*trainer.Comparison
	Rows     []row
	Loss     int // index of the chart
	Accuracy int
	Models   template.URL // the picture of the recipes
}

// row is a recipe beside the original's training.
type row struct {
	trainer.Recipe
	Original *trainer.Preset // nil where there is none to compare with
	Half     float64         // of the mean's interval; 0 where there is none
	F1Half   float64
}

func (p *page) addRunCharts(r *trainer.Run) (loss, accuracy int) {
	column := func(value func(trainer.EpochReport) float64) []*float64 { return pointers(r.Epochs, value) }
	lines := []series{{"training", colour(0), true}, {r.Config.SelectOn, colour(1), false}}
	epochs := column(func(e trainer.EpochReport) float64 { return float64(e.Epoch) })
	loss = p.addChart(chart{"Loss", "mean cross-entropy", 4, lines, [][]*float64{epochs,
		column(func(e trainer.EpochReport) float64 { return e.TrainLoss }), column(func(e trainer.EpochReport) float64 { return e.ValLoss })}})
	accuracy = p.addChart(chart{"Accuracy", "% of images", 2, lines, [][]*float64{epochs,
		column(func(e trainer.EpochReport) float64 { return 100 * e.TrainAccuracy }), column(func(e trainer.EpochReport) float64 { return 100 * e.ValAccuracy })}})
	return loss, accuracy
}

func (p *page) addChart(c chart) int {
	p.Charts = append(p.Charts, c)
	return len(p.Charts) - 1
}

// pointers returns a value of every epoch, nil for NaN, which JSON lacks.
func pointers(epochs []trainer.EpochReport, value func(trainer.EpochReport) float64) []*float64 {
	list := make([]*float64, len(epochs))
	for i, e := range epochs {
		if x := value(e); !math.IsNaN(x) && !math.IsInf(x, 0) {
			list[i] = &x
		}
	}
	return list
}

func (p *page) addGroup(c *trainer.Comparison) error {
	g := group{Comparison: c}
	g.Loss = p.addChart(runsChart(c, chart{Title: "Loss on " + c.Protocol, Y: "mean cross-entropy", Digits: 4},
		func(e trainer.EpochReport) float64 { return e.ValLoss }))
	g.Accuracy = p.addChart(runsChart(c, chart{Title: "Accuracy on " + c.Protocol, Y: "% of images", Digits: 2},
		func(e trainer.EpochReport) float64 { return 100 * e.ValAccuracy }))
	for _, r := range c.Recipes {
		g.Rows = append(g.Rows, newRow(r))
	}
	models, err := plots.Models(models(g.Rows))
	if err != nil {
		return err
	}
	g.Models = dataURL(models)
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

func newRow(r trainer.Recipe) row {
	out := row{Recipe: r}
	if p, ok := r.Runs()[0].Config.IsPreset(); ok {
		out.Original = &p
	}
	if r.Interval != nil {
		out.Half, out.F1Half = r.Interval.High-r.Accuracy, r.F1Interval.High-r.MacroF1
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
func curves(c *trainer.Comparison) []plots.Series {
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

// runsChart adds a line for every run to a chart, in one colour the runs of one
// recipe.
func runsChart(c *trainer.Comparison, out chart, value func(trainer.EpochReport) float64) chart {
	out.Data = [][]*float64{nil}
	longest := 0
	for i, recipe := range c.Recipes {
		for _, r := range recipe.Runs() {
			out.Series = append(out.Series, series{r.Name(), colour(i), i >= len(plots.SeriesColours)})
			out.Data = append(out.Data, pointers(r.Epochs, value))
			longest = max(longest, len(r.Epochs))
		}
	}
	for e := range longest {
		epoch := float64(e + 1)
		out.Data[0] = append(out.Data[0], &epoch)
	}
	for i := range out.Data {
		out.Data[i] = append(out.Data[i], make([]*float64, longest-len(out.Data[i]))...)
	}
	return out
}
