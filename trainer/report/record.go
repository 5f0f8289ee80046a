package report

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// WriteRecord writes a record to two files: as JSON to path + ".json" and as Markdown to
// path + ".md".
func WriteRecord(path string, r *study.Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	page, err := RecordMarkdown(r)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path+".json", append(text, '\n')); err != nil {
		return err
	}
	return atomicfile.Write(path+".md", []byte(page))
}

// RecordMarkdown returns a record as Markdown.
func RecordMarkdown(r *study.Record) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n", escapeMarkdown(r.Name), inPercent(r.Accuracy))
	fmt.Fprintf(&b, "Over %s; ± is the 95 %% interval of the mean.\n\n", english.Plural(len(r.Runs), "seed", ""))
	markdownRow(&b, []string{"", ""})
	markdownRow(&b, []string{"---", "---"})
	line := func(name, value string) { markdownRow(&b, []string{name, value}) }
	line("date", r.Date)
	line("version", r.Version)
	line("device", r.Device)
	line("dataset", r.Dataset)
	line("weights", weights(r.Protocol))
	line("parameters", humanize.Comma(int64(r.Parameters)))
	line("accuracy on the "+humanize.Comma(int64(r.TestImages))+" test images", inPercent(r.Accuracy))
	if r.AccuracyWithout != nil {
		line(fmt.Sprintf("without the %s with a near twin in training", humanize.Comma(int64(*r.Twins))), inPercent(*r.AccuracyWithout))
	}
	line("loss", plusMinus(r.Loss, "%.4f"))
	if r.Seconds != nil {
		of := ""
		if r.Seconds.Runs < len(r.Runs) {
			of = fmt.Sprintf(" (of %s)", english.Plural(r.Seconds.Runs, "seed", ""))
		}
		line("seconds from the program's start to the weights on the disk", plusMinus(*r.Seconds, "%.1f")+of)
	}
	b.WriteString("\n")
	recordRuns(&b, r)
	recipe, err := yaml.Marshal(r.Recipe)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\n```yaml\n%s```\n", recipe)
	return b.String(), nil
}

// recordRuns writes the table of a record's runs, and what is missing in it.
func recordRuns(b *strings.Builder, r *study.Record) {
	header := []string{"seed", "accuracy, %", "without twins, %", "loss", "val accuracy, %", "epochs", "best epoch", "seconds"}
	markdownRow(b, header)
	var line []string
	for range header {
		line = append(line, "---:")
	}
	markdownRow(b, line)
	optional := func(x *float64, format string, scale float64) string {
		if x == nil {
			return "–"
		}
		return fmt.Sprintf(format, scale**x)
	}
	for _, run := range r.Runs {
		markdownRow(b, []string{fmt.Sprint(run.Seed), fmt.Sprintf("%.2f", 100*run.Accuracy), optional(run.AccuracyWithout, "%.2f", 100), fmt.Sprintf("%.4f", run.Loss),
			optional(run.ValAccuracy, "%.2f", 100), fmt.Sprint(run.Epochs), fmt.Sprint(run.BestEpoch), optional(run.Seconds, "%.1f", 1)})
	}
	recordNotes(b, r)
}

// recordNotes writes what sets runs of a record apart, each with the seeds it is true of.
func recordNotes(b *strings.Builder, r *study.Record) {
	var notes []string
	seeds := map[string][]string{}
	for _, run := range r.Runs {
		for _, note := range []struct{ what, text string }{
			{"no time", run.WithoutTime}, {"version", run.Version}, {"device", run.Device}, {"trained before on", strings.Join(run.Earlier, "; ")},
		} {
			if note.text != "" {
				text := note.what + ": " + escapeMarkdown(note.text)
				if seeds[text] == nil {
					notes = append(notes, text)
				}
				seeds[text] = append(seeds[text], fmt.Sprint(run.Seed))
			}
		}
	}
	for i, note := range notes {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "- %s %s: %s\n", english.PluralWord(len(seeds[note]), "seed", ""), english.WordSeries(seeds[note], "and"), note)
	}
}

// inPercent formats the mean of a fraction.
func inPercent(e study.Estimate) string {
	text := fmt.Sprintf("%.2f %%", 100*e.Mean)
	if e.PlusMinus != nil {
		text += fmt.Sprintf(" ± %.2f", 100**e.PlusMinus)
	}
	return text
}

// plusMinus formats a mean, with its interval if it has one.
func plusMinus(e study.Estimate, format string) string {
	text := fmt.Sprintf(format, e.Mean)
	if e.PlusMinus != nil {
		text += fmt.Sprintf(" ± "+format, *e.PlusMinus)
	}
	return text
}
