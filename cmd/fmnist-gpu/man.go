package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
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
			if err := writePages(root, out); err != nil {
				return fmt.Errorf("cannot write the manual pages: %w", err)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "the manual pages are in %s\n", out)
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &out, "out", setting.Path("FOLDER", "a folder"), "folder to write the pages to")
	return c
}

// writePages writes the pages of a command and its subcommands. Cobra's GenManTree would
// leave half a page on a full disk.
func writePages(c *cobra.Command, out string) error {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writePages(sub, out); err != nil {
			return err
		}
	}
	date := buildTime()
	var page bytes.Buffer
	if err := doc.GenMan(c, &doc.GenManHeader{Section: "1", Date: &date, Source: "fmnist-gpu " + shortVersion(version()), Manual: "fmnist-gpu"}, &page); err != nil {
		return err
	}
	return trainer.WriteFile(filepath.Join(out, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"), page.Bytes())
}

// shortVersion returns the commit of a pseudo-version, which would leave the date no room
// in a page's footer, and other versions as they are.
func shortVersion(version string) string {
	if parts := strings.Split(version, "-"); len(parts) == 3 {
		return parts[2]
	}
	return version
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
