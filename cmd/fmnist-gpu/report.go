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
		Short: "Write the report of a run or experiment as one HTML file",
		Long: `Write the report of a run, an experiment or a folder of runs as one HTML file that
works offline. A run's report shows its configuration, interactive curves, epochs,
confusion matrix, ROC curves, metrics by class, reliability and mistakes. The
report of several runs ranks them and shows which differences are significant.
"train" and "experiment" write report.html to their folder themselves.`,
		Example: `  fmnist-gpu report runs/main_no_aug
  fmnist-gpu report runs/original --out study.html`,
		Args:              oneArgument("one folder, of a run or of runs"),
		ValidArgsFunction: completeRunFolders,
		RunE: func(c *cobra.Command, args []string) error {
			if out != "" {
				if err := checkOutFile("out", out, args[0]); err != nil {
					return err
				}
			}
			path, err := report.Write(args[0], out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "report: %s\n", path)
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &out, "out", setting.Path("FILE", "an HTML file"), "HTML file to write (default: report.html in the folder)")
	return c
}
