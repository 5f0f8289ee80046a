package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/audit"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newRecordCommand() *cobra.Command {
	var out, twins, with, whyUntimed string
	asJSON := false
	c := &cobra.Command{
		Use:   "record FOLDER",
		Short: "Write down what a recipe reaches over seeds, as JSON and Markdown",
		Long: `Write down what the runs in a folder reached: date, version, device, recipe, the
results of each seed, and their means with 95 % intervals. The runs must be finished
and differ only in the seed. --without gives every accuracy a second time, without the test
images that have a near twin among the training images.

The seconds of a run are those from the start of its program until its weights were on
the disk. A run has them if "train" trained it in one go, and alone: one that was
interrupted and resumed has none, nor has one of an experiment or of --replicas.
"make record-NAME" trains the seeds of a preset in this way, one after the other.
--no-seconds leaves them out, for example because the machine also did other work, and
notes the reason.

--with adds the seeds of an earlier record of the same recipe, such as one from another
machine.`,
		Example: `  fmnist-gpu record runs/record-main_no_aug
  fmnist-gpu record runs/record-fast --without runs/audit/twins.csv --out fast
  fmnist-gpu record runs/record-best --with seeds-42-and-43.json
  fmnist-gpu record runs/record-best --no-seconds "the machine also compiled"`,
		Args:              oneArgument("one folder of runs"),
		ValidArgsFunction: completeRunFolders,
		RunE: func(c *cobra.Command, args []string) error {
			named := out
			if out == "" {
				named, out = args[0], filepath.Join(args[0], "record")
			}
			named, err := filepath.Abs(named) // "." has no name
			if err != nil {
				return err
			}
			if i, err := os.Stat(out); err == nil && i.IsDir() {
				out = filepath.Join(out, "record")
			}
			if err := checkRecord(out, args[0], twins, with); err != nil {
				return err
			}
			r, err := newRecord(filepath.Base(named), args[0], twins)
			if err != nil {
				return err
			}
			if whyUntimed != "" {
				r.WithoutSeconds(whyUntimed)
			}
			if with != "" {
				if err := addRecord(r, with); err != nil {
					return err
				}
			}
			if err := report.WriteRecord(out, r); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), r)
			}
			text, err := report.RecordMarkdown(r)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\nthe record is in %s.json and %s.md\n", text, out, out)
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupData}, &twins, "without", setting.Path("FILE", "the twins.csv of an audit"), "also give accuracies without test images that have a twin among the training images in this list")
	bind(flagGroup{c.Flags(), groupData}, &with, "with", setting.Path("FILE", "the JSON of a record"), "add the seeds of this record of the same recipe")
	bind(flagGroup{c.Flags(), groupData}, &whyUntimed, "no-seconds", setting.Text("REASON", "a reason"), "leave out the seconds of the runs in FOLDER, for this reason")
	g := flagGroup{c.Flags(), groupOutput}
	bind(g, &out, "out", setting.Path("PATH", "a path without an extension"), "write to this `PATH` with .json and .md appended; in a folder, the name is record (default: the folder of the runs)")
	bind(g, &asJSON, "json", setting.Bool(), "print the record as JSON, not as Markdown")
	return c
}

// checkRecord checks the files of a record.
func checkRecord(out string, inputs ...string) error {
	for _, extension := range []string{".json", ".md"} {
		if err := checkOutFile("out", out+extension, inputs...); err != nil {
			return err
		}
	}
	return nil
}

// addRecord adds the seeds of the record in a file.
func addRecord(r *study.Record, path string) error {
	earlier, err := study.ReadRecord(path)
	switch {
	case errors.Is(err, trainer.ErrUsage):
		return fmt.Errorf("--with: %w", err)
	case err != nil:
		return fmt.Errorf("%w: --with: %v", dataset.ErrBadData, err)
	}
	if err := r.Add(earlier); err != nil {
		return fmt.Errorf("--with %s: %w", path, err)
	}
	return nil
}

// newRecord returns the record of the runs in a folder; twins is a list of an audit, or
// "" for none.
func newRecord(name, dir, twins string) (*study.Record, error) {
	var list []audit.Twins
	var seen []int
	if twins != "" {
		var err error
		if list, err = audit.ReadTwins(twins); err != nil {
			return nil, fmt.Errorf("%w: --without: %v", dataset.ErrBadData, err)
		}
		seen = append([]int{}, audit.SeenInTraining(list)...) // not nil
	}
	groups, err := study.ReadGroups([]string{dir})
	if err != nil {
		return nil, err
	}
	var runs []*study.Run
	for _, g := range groups {
		if len(g.Unfinished) > 0 {
			return nil, &commandLineError{fmt.Sprintf("the run %s in %s is not finished, and a record needs all runs: resume it, or remove it", g.Unfinished[0], dir)}
		}
		runs = append(runs, g.Runs...)
	}
	if len(runs) > 0 && runs[0].Config.EvalImages == 0 {
		if err := audit.CheckTest(list, dataset.Split{N: len(runs[0].Labels), Labels: runs[0].Labels}); err != nil {
			return nil, fmt.Errorf("%w: --without %s: %v", dataset.ErrBadData, twins, err)
		}
	}
	return study.NewRecord(name, time.Now().UTC().Format(time.DateOnly), runs, seen)
}
