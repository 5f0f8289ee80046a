package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

func newCompareCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "compare FOLDER...",
		Short: "Compare runs, and test which differences are more than chance",
		Long: `Compare finished runs: those named, all runs in a folder, or an experiment's runs
group by group. Runs that differ in nothing but the seed are one recipe. Recipes
with common seeds are compared by a paired t test over those seeds (its effect
size is Cohen's d_z), single runs by McNemar's test on the test images, and three
or more together by Cochran's Q. The p-values of pairs are corrected for their
number by Holm's method.`,
		Example: `  fmnist-gpu compare runs/main_no_aug runs/main_aug_dropout
  fmnist-gpu compare runs
  fmnist-gpu compare --json runs/seed*`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &commandLineError{"name the folders of runs to compare"}
			}
			return nil
		},
		ValidArgsFunction: completeRunFolders,
		RunE: func(c *cobra.Command, args []string) error {
			groups, err := trainer.ReadGroups(args)
			if err != nil {
				return err
			}
			comparisons, err := trainer.CompareGroups(groups)
			if err != nil {
				return err
			}
			switch {
			case len(comparisons) == 0:
				_, err := trainer.Compare(groups[0].Runs) // which says what is missing
				return err
			case !asJSON:
				return printComparisons(c.OutOrStdout(), comparisons)
			case groups[0].Name == "": // no experiment's folder
				return printJSON(c.OutOrStdout(), comparisons[0])
			}
			return printJSON(c.OutOrStdout(), map[string]any{"groups": comparisons})
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON; for an experiment's folder, a list of its groups")
	return c
}

func printComparisons(w io.Writer, list []*trainer.Comparison) error {
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

func printComparison(w io.Writer, c *trainer.Comparison) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RECIPE\tSEEDS\tACCURACY\tMACRO F1\tPARAMETERS\tSECONDS")
	for _, r := range c.Recipes {
		accuracy, f1 := fmt.Sprintf("%.2f %%", 100*r.Accuracy), fmt.Sprintf("%.4f", r.MacroF1)
		if r.Interval != nil {
			accuracy += fmt.Sprintf(" ± %.2f", 100*(r.Interval.High-r.Accuracy))
			f1 += fmt.Sprintf(" ± %.4f", r.F1Interval.High-r.MacroF1)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%.1f\n", r.Name, len(r.Seeds), accuracy, f1, humanize.Comma(int64(r.Parameters)), r.Seconds)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s test images, best epoch selected on: %s; ± is the 95 %% interval of the mean over seeds\n\n",
		humanize.Comma(int64(c.Images)), c.Protocol)
	if len(c.Unfinished) > 0 {
		fmt.Fprintf(w, "not finished, and so left out: %s\n\n", strings.Join(c.Unfinished, ", "))
	}
	for _, f := range c.Findings {
		fmt.Fprintf(w, "- the original's finding that %s: %s, %s\n", f.Claim, f.Verdict, f.Words)
	}
	if c.Together != nil {
		fmt.Fprintf(w, "- %s\n", c.Together.Words)
	}
	for _, p := range c.Pairs {
		if _, err := fmt.Fprintf(w, "- %s\n  %s\n", p.Words, p.Test); err != nil {
			return err
		}
	}
	return nil
}
