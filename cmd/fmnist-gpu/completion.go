package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// addCompletions registers completions for the flag values of a command and its
// subcommands.
func addCompletions(c *cobra.Command) error {
	var failed error
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if complete := completionOf(f); complete != nil {
			if err := c.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				failed = err
			}
		}
	})
	for _, sub := range c.Commands() {
		if err := addCompletions(sub); err != nil {
			return err
		}
	}
	return failed
}

// completionOf returns the completion of a flag's values; nil completes file names.
func completionOf(f *pflag.Flag) cobra.CompletionFunc {
	checked, ok := f.Value.(*checkedFlag)
	switch {
	case !ok:
		return nil
	case checked.kind.Open:
		return cobra.FixedCompletions(checked.kind.Values, cobra.ShellCompDirectiveDefault) // also files
	case len(checked.kind.Values) > 0:
		return cobra.FixedCompletions(checked.kind.Values, cobra.ShellCompDirectiveNoFileComp)
	}
	switch f.Name {
	case "device":
		return completeDevices
	case "config":
		return extensions("yaml", "yml")
	case "init", "checkpoint":
		return completeRunFoldersOr(extensions("safetensors", "pth", "pt"))
	case "resume":
		return completeRunFoldersOr(onlyFolders)
	case "set":
		return completeSettings
	}
	switch checked.kind.Placeholder {
	case "FOLDER":
		return onlyFolders
	case "FILE":
		return nil
	}
	return cobra.NoFileCompletions
}

func extensions(names ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(names, cobra.ShellCompDirectiveFilterFileExt)
}

func onlyFolders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeDevices lists the Vulkan devices by index and name. It ignores drivers
// that fail: a completion cannot report them.
func completeDevices(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	found, _ := vulkan.List()
	var list []string
	for _, d := range found {
		list = append(list, cobra.CompletionWithDesc(fmt.Sprint(d.Index), d.Name), d.Name)
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// completeRunFoldersOr completes run folders whose path starts with the text typed,
// or those in runs if nothing is typed yet. If there are none, it falls back to
// otherwise.
func completeRunFoldersOr(otherwise cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if folders := runFolders(typed); len(folders) > 0 {
			return folders, cobra.ShellCompDirectiveDefault
		}
		return otherwise(c, args, typed)
	}
}

// completeRunFolders completes arguments with run folders, or else any folders.
func completeRunFolders(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeRunFoldersOr(onlyFolders)(c, args, typed)
}

// runFolders lists the run folders, one or two levels down, whose path starts with
// the text typed.
func runFolders(typed string) []string {
	start := typed
	if start == "" {
		start = study.DefaultConfig().Out + string(filepath.Separator)
	}
	var list []string
	for _, level := range []string{"*", filepath.Join("*", "*")} {
		found, err := filepath.Glob(globEscape(start) + level + string(filepath.Separator) + trainer.ArgsFile)
		if err != nil {
			continue // an odd path has no completions
		}
		for _, path := range found {
			list = append(list, filepath.Dir(path))
		}
	}
	return list
}

// globEscape escapes a path for use in a pattern.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// completeSettings completes the names of settings, each followed by "=", and then
// their values.
func completeSettings(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	var list []string
	name, _, hasValue := strings.Cut(typed, "=")
	for _, s := range study.Settings() {
		switch {
		case hasValue && s.Name == name:
			for _, v := range s.Values {
				list = append(list, name+"="+v)
			}
			return list, cobra.ShellCompDirectiveNoFileComp
		case !hasValue:
			list = append(list, s.Name+"=")
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeExperiments completes the argument of the command experiment.
func completeExperiments(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list := []string{originalName}
	for _, extension := range []string{"*.yaml", "*.yml"} {
		if found, err := filepath.Glob(globEscape(typed) + extension); err == nil {
			list = append(list, found...)
		}
	}
	return list, cobra.ShellCompDirectiveDefault // also folders, which may lead to a file
}
