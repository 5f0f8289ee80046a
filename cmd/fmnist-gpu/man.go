package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newManCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "man --out FOLDER",
		Short: "Write manual pages",
		Long: `Write a manual page for every command to a folder, such as
/usr/local/share/man/man1.`,
		Example: `  fmnist-gpu man --out man1
  man -l man1/fmnist-gpu-train.1`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return &commandLineError{"--out is missing: name a folder for the pages"}
			}
			if err := study.MakeOut(out); err != nil {
				return err
			}
			root := c.Root()
			root.DisableAutoGenTag = true // otherwise two builds would differ by their date
			date := buildTime()
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Date: &date, Source: "fmnist-gpu " + version(), Manual: "fmnist-gpu"}, out); err != nil {
				return fmt.Errorf("cannot write the manual pages: %w", err)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "the manual pages are in %s\n", out)
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &out, "out", setting.Path("FOLDER", "a folder"), "folder to write the pages to")
	return c
}

// buildTime returns the time of the commit that this program was built from, or that
// of the first one that Unix knows.
func buildTime() time.Time {
	t, err := time.Parse(time.RFC3339, buildSetting("vcs.time"))
	if err != nil {
		return time.Unix(0, 0).UTC()
	}
	return t
}
