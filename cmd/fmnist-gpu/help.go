package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mitchellh/go-wordwrap"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the width of the help on any terminal.
const helpWidth = 80

// printHelp prints a command's description, subcommands, examples, and flags
// under their headings.
func printHelp(c *cobra.Command, _ []string) {
	w := c.OutOrStdout()
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", fillParagraphs(long), c.UseLine())
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND [flags]\n\nCommands:\n", c.CommandPath())
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-*s  %s\n", c.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	printFlags(w, c.Flags())
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nRun \"%s COMMAND --help\" for more about a command.\n", c.CommandPath())
	}
}

// fillParagraphs wraps paragraphs to the width of the help, except those with an
// indented line.
func fillParagraphs(text string) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") && !strings.HasPrefix(p, "\t") && !strings.Contains(p, "\n ") {
			paragraphs[i] = wordwrap.WrapString(strings.ReplaceAll(p, "\n", " "), helpWidth)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// printFlags prints flags under their headings, those without one last.
func printFlags(w io.Writer, flags *pflag.FlagSet) {
	const others = "General"
	groups := map[string]*pflag.FlagSet{}
	var titles []string
	flags.VisitAll(func(f *pflag.Flag) {
		title := others
		if group := f.Annotations[groupKey]; len(group) > 0 {
			title = group[0]
		}
		if groups[title] == nil {
			groups[title] = pflag.NewFlagSet(title, pflag.ContinueOnError)
			groups[title].SortFlags = false
			titles = append(titles, title)
		}
		groups[title].AddFlag(f)
	})
	slices.SortStableFunc(titles, func(a, b string) int {
		return btoi(a == others) - btoi(b == others)
	})
	for _, title := range titles {
		fmt.Fprintf(w, "\n%s:\n%s", title, groups[title].FlagUsagesWrapped(helpWidth))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// newHelpCommand prints the help of the command that its arguments name.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Example: `  fmnist-gpu help train
  fmnist-gpu help data fetch`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range found.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(found, rest)
			}
			found.InitDefaultHelpFlag()
			found.InitDefaultVersionFlag()
			return found.Help()
		},
	}
}
