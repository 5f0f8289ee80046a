package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/statistics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// column is a column of a table of recipes for people.
type column struct {
	name string
	text bool // whether it holds text; numbers are right-aligned
	cell func(r *study.RecipeRuns) string
}

// columns returns the columns for a comparison, with validation accuracy only if the
// comparison has it.
func columns(c *study.Comparison) []column {
	list := []column{
		{"Rank", false, func(r *study.RecipeRuns) string { return strconv.Itoa(r.Rank) }},
		{"Recipe", true, func(r *study.RecipeRuns) string { return r.Name }},
		{"Seeds", false, func(r *study.RecipeRuns) string { return strconv.Itoa(len(r.Seeds)) }},
	}
	if c.RankedBy == study.ByValAccuracy {
		list = append(list, column{"Val accuracy, %", false, func(r *study.RecipeRuns) string {
			if r.ValAccuracy == nil {
				return "–"
			}
			return estimate(*r.ValAccuracy, r.ValInterval)
		}})
	}
	return append(list,
		column{"Test accuracy, %", false, func(r *study.RecipeRuns) string { return estimate(r.Accuracy, r.Interval) }},
		column{"Macro F1", false, func(r *study.RecipeRuns) string { return fmt.Sprintf("%.4f", r.MacroF1) }},
		column{"Parameters", false, func(r *study.RecipeRuns) string { return humanize.Comma(int64(r.Parameters)) }},
		column{"Seconds", false, func(r *study.RecipeRuns) string { return humanize.CommafWithDigits(r.Seconds, 1) }})
}

// estimate formats a fraction in per cent, with the interval of a mean if there is one.
func estimate(mean float64, i *statistics.Interval) string {
	if i == nil {
		return fmt.Sprintf("%.2f", 100*mean)
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", 100*mean, 100*i.Low, 100*i.High)
}

// Table returns the recipes of a comparison as a table for people, the best first.
// Brackets contain the 95 % interval of a mean over seeds.
func Table(c *study.Comparison) (header []string, rows [][]string) {
	columns := columns(c)
	for _, column := range columns {
		header = append(header, column.name)
	}
	for i := range c.Recipes {
		var row []string
		for _, column := range columns {
			row = append(row, column.cell(&c.Recipes[i]))
		}
		rows = append(rows, row)
	}
	return header, rows
}

// Notes returns the sentences below a table, which say what its figures are and how to
// interpret them.
func Notes(c *study.Comparison) []string {
	text := fmt.Sprintf("%s test images; %s.", humanize.Comma(int64(c.Images)), weights(c.Protocol))
	for _, r := range c.Recipes {
		if r.Interval != nil {
			text += " Brackets hold the 95 % interval of the mean over seeds."
			break
		}
	}
	notes := append([]string{text}, c.Notes...)
	if len(c.Unfinished) > 0 {
		notes = append(notes, "Not finished and left out: "+strings.Join(c.Unfinished, ", ")+".")
	}
	return notes
}

// weights says which epoch's weights a protocol uses.
func weights(protocol string) string {
	switch protocol {
	case "val":
		return "best epoch selected on held-out training images"
	case "test":
		return "best epoch selected on the test images"
	case "none":
		return "weights of the last epoch, without selection"
	}
	return "unknown selection of the epoch"
}

// Markdown writes a table of each comparison's recipes, its notes and its main
// differences in GitHub's Markdown.
func Markdown(w io.Writer, list []*study.Comparison) error {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		if c.Name != "" {
			fmt.Fprintf(&b, "## %s\n\n", escapeMarkdown(c.Name))
		}
		header, rows := Table(c)
		markdownRow(&b, header)
		for _, column := range columns(c) {
			if column.text {
				b.WriteString("| --- ")
			} else {
				b.WriteString("| ---: ")
			}
		}
		b.WriteString("|\n")
		for _, row := range rows {
			markdownRow(&b, row)
		}
		fmt.Fprintf(&b, "\n%s\n", escapeMarkdown(strings.Join(Notes(c), " ")))
		if lines := Conclusions(c); len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n\n", Differences)
			for _, line := range lines {
				fmt.Fprintf(&b, "- %s\n", escapeMarkdown(line.String()))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownRow(b *strings.Builder, cells []string) {
	for _, cell := range cells {
		fmt.Fprintf(b, "| %s ", escapeMarkdown(cell))
	}
	b.WriteString("|\n")
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"[", `\[`, "]", `\]`, "~", `\~`, "#", `\#`, "\r\n", " ", "\n", " ", "\r", " ")

// escapeMarkdown escapes a text for Markdown, on one line.
func escapeMarkdown(text string) string { return markdownEscapes.Replace(text) }

// LaTeX writes a tabular of each comparison's recipes, with its notes as
// comments. It needs the package booktabs.
func LaTeX(w io.Writer, list []*study.Comparison) error {
	var b strings.Builder
	b.WriteString("% needs \\usepackage{booktabs}\n")
	for _, c := range list {
		b.WriteString("\n")
		for _, line := range append([]string{c.Name}, Notes(c)...) {
			if line != "" {
				fmt.Fprintf(&b, "%% %s\n", oneLine(line))
			}
		}
		alignment := ""
		for _, column := range columns(c) {
			if column.text {
				alignment += "l"
			} else {
				alignment += "r"
			}
		}
		header, rows := Table(c)
		fmt.Fprintf(&b, "\\begin{tabular}{%s}\n\\toprule\n%s\\midrule\n", alignment, latexRow(header))
		for _, row := range rows {
			b.WriteString(latexRow(row))
		}
		b.WriteString("\\bottomrule\n\\end{tabular}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func latexRow(cells []string) string {
	var escaped []string
	for _, cell := range cells {
		escaped = append(escaped, latexEscapes.Replace(oneLine(cell)))
	}
	return strings.Join(escaped, " & ") + " \\\\\n"
}

var latexEscapes = strings.NewReplacer(`\`, `\textbackslash{}`, "&", `\&`, "%", `\%`, "$", `\$`, "#", `\#`, "_", `\_`, "{", `\{`, "}", `\}`,
	"~", `\textasciitilde{}`, "^", `\textasciicircum{}`, "<", `\textless{}`, ">", `\textgreater{}`, "|", `\textbar{}`, `"`, `''`, "–", "--")

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// CSV writes one table of the recipes of all comparisons for programs: fractions in full
// precision, and empty cells for missing values.
func CSV(w io.Writer, list []*study.Comparison) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"group", "protocol", "rank", "recipe", "seeds", "val_accuracy", "val_accuracy_low", "val_accuracy_high",
		"test_accuracy", "test_accuracy_low", "test_accuracy_high", "test_macro_f1", "test_macro_f1_low", "test_macro_f1_high", "parameters", "training_seconds"}}
	for _, c := range list {
		for _, r := range c.Recipes {
			row := []string{c.Name, c.Protocol, strconv.Itoa(r.Rank), r.Name, strings.Trim(fmt.Sprint(r.Seeds), "[]")}
			row = append(row, numbers(r.ValAccuracy, r.ValInterval)...)
			row = append(row, numbers(&r.Accuracy, r.Interval)...)
			row = append(row, numbers(&r.MacroF1, r.F1Interval)...)
			rows = append(rows, append(row, strconv.Itoa(r.Parameters), number(r.Seconds)))
		}
	}
	return out.WriteAll(rows)
}

// numbers returns the cells of a mean and its interval.
func numbers(mean *float64, i *statistics.Interval) []string {
	switch {
	case mean == nil:
		return []string{"", "", ""}
	case i == nil:
		return []string{number(*mean), "", ""}
	}
	return []string{number(*mean), number(i.Low), number(i.High)}
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// Conclusion is a sentence about the result of a comparison, and the test on which it is
// based, "" if the sentence names the test.
type Conclusion struct{ Words, Test string }

// String returns both on one line.
func (c Conclusion) String() string {
	if c.Test == "" {
		return c.Words
	}
	return c.Words + " (" + c.Test + ")"
}

// Differences is the heading of the conclusions.
const Differences = "Differences in test accuracy:"

// Conclusions returns the conclusions of a comparison: about the original's findings,
// all runs together, and the main pairs.
func Conclusions(c *study.Comparison) []Conclusion {
	var list []Conclusion
	for _, f := range c.Findings {
		list = append(list, Conclusion{Words: fmt.Sprintf("The original's finding that %s: %s, %s.", f.Claim, f.Verdict, f.Words)})
	}
	if c.Together != nil {
		list = append(list, Conclusion{Words: c.Together.Words})
	}
	main, others := c.MainPairs()
	for _, p := range main {
		list = append(list, Conclusion{p.Words, p.Test})
	}
	if len(others) > 0 {
		list = append(list, Conclusion{Words: othersInWords(others)})
	}
	return list
}

// othersInWords says how many of the pairs that are not listed differ.
func othersInWords(others []study.Pair) string {
	shown := 0
	for _, p := range others {
		if p.Shown {
			shown++
		}
	}
	return fmt.Sprintf("Of the %d pairs without the recipe that is ranked first, %d differ significantly.", len(others), shown)
}
