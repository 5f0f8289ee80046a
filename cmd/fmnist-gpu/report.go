package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

func newReportCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "report FOLDER",
		Short: "Write one self-contained HTML file about a run or an experiment",
		Long: `Write what a run, an experiment or a folder of runs has found as one HTML file
that needs no network: configuration, interactive curves, confusion matrix, ROC,
figures by class and mistakes and, for several runs, their comparison and its
significance. Trainings and experiments write it by themselves, as report.html in
their folder.`,
		Example: `  fmnist-gpu report runs/main_no_aug
  fmnist-gpu report runs/original --out study.html`,
		Args:              oneArgument("one folder, of a run or of runs"),
		ValidArgsFunction: completeRunFolders,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := report.Write(args[0], out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "report: %s\n", path)
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &out, "out", setting.Text("FILE", "an HTML file"), "HTML file to write (default: report.html in the folder)")
	return c
}
