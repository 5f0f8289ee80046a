package report

import (
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// hostile is a name with what Markdown, LaTeX and CSV have to escape.
const hostile = "a_b|c, \"50% & #1\" \\x {y} $z ~w ^v <i> *s* [l]\nnext"

// compared returns a comparison of two recipes, one of two seeds and the other
// of one, both on validation images or both on test images.
func compared(t *testing.T, protocol string) *study.Comparison {
	t.Helper()
	run := func(name string, seed uint64, val float64, right ...bool) *study.Run {
		r := &study.Run{Dir: name, Config: study.DefaultConfig(), Labels: make([]byte, len(right)), Right: right}
		r.Config.Model, r.Config.Seed = name, seed
		r.Metrics.Protocol, r.Metrics.Parameters, r.Metrics.TrainingSeconds = protocol, 7850, 1234.56
		r.Epochs = []trainer.EpochReport{{Epoch: 1, ValAccuracy: val, ValLoss: 1 - val}}
		for _, ok := range right {
			if ok {
				r.Metrics.Accuracy += 1 / float64(len(right))
			}
		}
		return r
	}
	c, err := study.Compare([]*study.Run{run("plain", 1, .5, true, true, true, true), run(hostile, 1, .75, true, false, true, false), run(hostile, 2, .8, true, true, true, false)})
	if err != nil {
		t.Fatal(err)
	}
	c.Name = hostile
	return c
}

func TestTable(t *testing.T) {
	header, rows := Table(compared(t, "val"))
	if want := "[Rank Recipe Seeds Val accuracy, % Test accuracy, % Macro F1 Parameters Seconds]"; fmt.Sprint(header) != want {
		t.Errorf("header %v, want %s", header, want)
	}
	if got, want := fmt.Sprintf("%q", rows), fmt.Sprintf("%q", [][]string{
		{"1", hostile, "2", "77.50 [45.73, 100.00]", "62.50 [0.00, 100.00]", "0.0000", "7,850", "1,234.5"},
		{"2", "plain", "1", "50.00", "100.00", "0.0000", "7,850", "1,234.5"}}); got != want {
		t.Errorf("rows\n%s, want\n%s", got, want)
	}
	header, rows = Table(compared(t, "test"))
	if slices.Contains(header, "Val accuracy, %") || rows[0][1] != "plain" {
		t.Errorf("without validation: %v, %v", header, rows)
	}
}

// Every row of a Markdown table has as many cells as its header, with any characters
// in names.
func TestMarkdown(t *testing.T) {
	var b strings.Builder
	if err := Markdown(&b, []*study.Comparison{compared(t, "val")}); err != nil {
		t.Fatal(err)
	}
	bars := 0
	for _, line := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(line, "|") {
			bars++
			if n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); n != 9 {
				t.Errorf("%d bars in %s, want 9", n, line)
			}
		}
	}
	if bars != 4 {
		t.Errorf("%d lines of the table, want 4:\n%s", bars, b.String())
	}
	for _, want := range []string{"| 1 | a\\_b\\|c, \"50% &amp; \\#1\" \\\\x {y} $z \\~w ^v &lt;i&gt; \\*s\\* \\[l\\] next | 2 |", "| ---: | --- | ---: |", "Ranked by validation accuracy", "\n- No significant difference"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

// LaTeX's special characters are escaped, and where there is a pdflatex it
// takes the table.
func TestLaTeX(t *testing.T) {
	var b strings.Builder
	if err := LaTeX(&b, []*study.Comparison{compared(t, "val"), compared(t, "test")}); err != nil {
		t.Fatal(err)
	}
	if want := `1 & a\_b\textbar{}c, ''50\% \& \#1'' \textbackslash{}x \{y\} \$z \textasciitilde{}w \textasciicircum{}v \textless{}i\textgreater{} *s* [l] next & 2 & 77.50 [45.73, 100.00] &`; !strings.Contains(b.String(), want) {
		t.Errorf("lacks %s:\n%s", want, b.String())
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if strings.HasSuffix(line, `\\`) && !slices.Contains([]int{6, 7}, strings.Count(strings.ReplaceAll(line, `\&`, ""), "&")) {
			t.Errorf("the row %s does not have 7 or 8 cells", line)
		}
	}
	pdflatex, err := exec.LookPath("pdflatex")
	if err != nil {
		t.Log("without pdflatex the table is not compiled")
		return
	}
	dir := t.TempDir()
	text := "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n" + b.String() + "\\end{document}\n"
	if err := os.WriteFile(filepath.Join(dir, "t.tex"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(pdflatex, "-interaction=nonstopmode", "-halt-on-error", "t.tex")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("pdflatex: %v\n%s", err, out)
	}
}

// CSV has a row for each recipe of every group; what is missing is empty.
func TestCSV(t *testing.T) {
	var b strings.Builder
	if err := CSV(&b, []*study.Comparison{compared(t, "val"), compared(t, "test")}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows (%v), want a header and four", len(rows), err)
	}
	if got := rows[1]; got[0] != hostile || got[3] != hostile || got[4] != "1 2" || !strings.HasPrefix(got[5], "0.77") || got[7] != "1" || got[8] != "0.625" {
		t.Errorf("first row %q", got)
	}
	if got := rows[3]; got[1] != "test" || got[3] != "plain" || fmt.Sprint(got[5:11]) != "[   1  ]" {
		t.Errorf("row without validation and interval %q", got)
	}
}
