package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// compareFormats are the formats of the command compare other than text, one flag
// each. inGroups is false if the runs do not belong to an experiment.
var compareFormats = []struct {
	flag, usage string
	write       func(w io.Writer, list []*study.Comparison, inGroups bool) error
}{
	{"json", "print JSON; for an experiment's folder, a list of its groups", func(w io.Writer, list []*study.Comparison, inGroups bool) error {
		if !inGroups && len(list) == 1 {
			return printJSON(w, list[0])
		}
		return printJSON(w, map[string]any{"groups": list})
	}},
	{"csv", "print CSV: one row per recipe, fractions in full precision", func(w io.Writer, list []*study.Comparison, _ bool) error { return report.CSV(w, list) }},
	{"markdown", "print Markdown tables", func(w io.Writer, list []*study.Comparison, _ bool) error { return report.Markdown(w, list) }},
	{"latex", "print LaTeX tables (package booktabs)", func(w io.Writer, list []*study.Comparison, _ bool) error { return report.LaTeX(w, list) }},
}

func newCompareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "compare FOLDER...",
		Short: "Rank runs, and test which differences are significant",
		Long: `Compare finished runs: the runs named, all runs in a folder, or an experiment's
runs, group by group. Runs that differ only in the seed form one recipe.

Recipes are ranked by mean validation accuracy; choose by that. A test accuracy that
you choose by is optimistic: it no longer estimates the accuracy on new images. Runs
trained with --select-on test have no validation accuracy and are ranked by test
accuracy.

Differences in test accuracy are tested for significance: recipes with common seeds
by a paired t test over those seeds (effect size: Cohen's d_z), others by McNemar's
test on one run of each, and three or more runs together by Cochran's Q test. The
p-values of pairs are adjusted for their number by Holm's method.`,
		Example: `  fmnist-gpu compare runs/main_no_aug runs/main_aug_dropout
  fmnist-gpu compare runs
  fmnist-gpu compare --json runs/seed*
  fmnist-gpu compare --csv runs/rates > rates.csv
  fmnist-gpu compare --latex runs/original > table.tex`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &commandLineError{"name the folders of runs to compare"}
			}
			return nil
		},
		ValidArgsFunction: completeRunFolders,
		RunE:              runCompare,
	}
	for _, f := range compareFormats {
		chosen := false
		bind(flagGroup{c.Flags(), groupOutput}, &chosen, f.flag, setting.Bool(), f.usage)
	}
	return c
}

func runCompare(c *cobra.Command, args []string) error {
	write, format := printComparisons, ""
	for _, f := range compareFormats {
		if on, _ := c.Flags().GetBool(f.flag); on {
			if format != "" {
				return &commandLineError{fmt.Sprintf("--%s and --%s are mutually exclusive: give only one", format, f.flag)}
			}
			write, format = f.write, f.flag
		}
	}
	groups, err := study.ReadGroups(args)
	if err != nil {
		return err
	}
	comparisons, err := study.CompareGroups(groups)
	if err != nil {
		return err
	}
	if len(comparisons) == 0 {
		_, err := study.Compare(groups[0].Runs) // which says what is missing
		return err
	}
	return write(c.OutOrStdout(), comparisons, groups[0].Name != "")
}

// printComparisons prints comparisons for a person at a terminal.
func printComparisons(w io.Writer, list []*study.Comparison, _ bool) error {
	for i, c := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if c.Name != "" {
			fmt.Fprintf(w, "%s\n\n", c.Name)
		}
		if err := printComparison(w, c); err != nil {
			return err
		}
	}
	return nil
}

func printComparison(w io.Writer, c *study.Comparison) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header, rows := report.Table(c)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(header, "\t")))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, note := range report.Notes(c) {
		fmt.Fprintln(w, note)
	}
	lines := report.Conclusions(c)
	if len(lines) > 0 {
		fmt.Fprintf(w, "\n%s\n", report.Differences)
	}
	for _, line := range lines {
		fmt.Fprintf(w, "- %s\n", line.Words)
		if line.Test != "" {
			fmt.Fprintf(w, "  %s\n", line.Test)
		}
	}
	return nil
}
