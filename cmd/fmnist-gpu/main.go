// Command fmnist-gpu trains convolutional networks on Fashion-MNIST or pictures of
// one's own, on any Vulkan GPU or on the CPU alone, and classifies with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// The exit codes of every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNoDevice    = 3
	exitBadFile     = 4
	exitDiverges    = 5 // of run-job only; see divergingJob
	exitInterrupted = 130
)

// started is about when the process began: until here, it has waited for nothing.
var started = time.Now().Add(-bench.CPUTime())

func main() {
	ctx, interrupt := context.WithCancel(context.Background())
	watchSignals(interrupt)
	limitMemory(hostmemory.Of())
	root := newRootCommand()
	out := newStandardOutput(interrupt)
	root.SetOut(out)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	err := await(ctx, done)
	if err == nil {
		err = out.err()
	}
	trainer.AbandonWrites() // of a command that does not end
	code := exitCode(err)
	if err != nil && code != exitInterrupted {
		fmt.Fprintln(os.Stderr, "fmnist-gpu: "+remedied(err))
	}
	os.Exit(code)
}

// limitMemory makes Go collect garbage sooner where a control group would otherwise end
// the program, unless the user has set a limit.
func limitMemory(l hostmemory.Limit) {
	if l.Group && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(l.Bytes / 10 * 9)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "fmnist-gpu",
		Short: "Train CNNs on Fashion-MNIST or your own pictures, on any Vulkan GPU or the CPU",
		Example: `  fmnist-gpu train                      train on the best GPU, or on the CPU
  fmnist-gpu train --cpu --epochs 3     train on the CPU
  fmnist-gpu devices                    list the devices to train on
  fmnist-gpu eval --checkpoint runs/fashioncnn`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SetVersionTemplate(versionText())
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(printHelp)
	root.AddCommand(newDevicesCommand(), newDataCommand(), newTrainCommand(), newLRFindCommand(), newEvalCommand(), newPredictCommand(), newSummaryCommand(), newExperimentCommand(), newSearchCommand(), newCompareCommand(), newReportCommand(), newRecordCommand(), newExportCommand(), newServeCommand(), newBenchCommand(), newManCommand())
	root.SetHelpCommand(newHelpCommand(root))
	root.InitDefaultHelpCmd()
	addCompletionCommand(root)
	if err := addCompletions(root); err != nil {
		panic(err) // a flag that is registered twice, which any test finds
	}
	return root
}

// addCompletionCommand adds cobra's command that prints completion scripts.
func addCompletionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	load := map[string]string{"bash": "source <(%s)", "zsh": "source <(%s)", "fish": "%s | source", "powershell": "%s | Out-String | Invoke-Expression"}
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args, c.RunE = unknownCommand, func(c *cobra.Command, _ []string) error { return c.Help() }
		c.Short = "Print a script that completes commands and flags in a shell"
		c.Long = c.Short + ". Each shell's help says how to load it."
		c.Example = "  source <(fmnist-gpu completion bash)"
		for _, shell := range c.Commands() {
			shell.Args = noArguments(nil)
			shell.Short = "Print the completion script for " + shell.Name()
			shell.Long = shell.Short + `. The example loads it
into the current shell; to load it in every shell, add that line to your shell's
startup file.`
			switch shell.Name() {
			case "bash":
				shell.Long += "\n\nIt needs the package bash-completion."
			case "zsh":
				shell.Long += "\n\nIt needs zsh's completion system. To start it, put this line before the other in\n~/.zshrc: autoload -U compinit; compinit"
			}
			shell.Example = "  " + fmt.Sprintf(load[shell.Name()], shell.CommandPath())
		}
	}
}

// commandLineError is a command line that cannot be understood.
type commandLineError struct{ text string }

func (e *commandLineError) Error() string        { return e.text }
func (e *commandLineError) Is(target error) bool { return target == trainer.ErrUsage }

// exitCode maps an error to the program's exit code.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, trainer.ErrInterrupted), errors.Is(err, context.Canceled), errors.Is(err, syscall.EPIPE):
		return exitInterrupted
	case errors.Is(err, trainer.ErrUsage):
		return exitUsage
	case errors.As(err, new(*divergingJob)):
		return exitDiverges
	case errors.Is(err, gpu.ErrNoVulkan), errors.Is(err, gpu.ErrNoDevice):
		return exitNoDevice
	case errors.Is(err, dataset.ErrBadData), errors.Is(err, checkpoint.ErrBadCheckpoint):
		return exitBadFile
	}
	return exitFailed
}

// oneLine returns an error's text with its lines joined by semicolons.
func oneLine(err error) string {
	return printable(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; "))
}

// printNote prints a note, which may contain names of files and classes.
func printNote(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "note: "+printable(fmt.Sprintf(format, args...)))
}

// printable returns text, such as a file's name, on one line and without what a terminal or
// a table would take for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// version returns the version of the module that this program was built from, or
// the commit if it has no version.
func version() string {
	v := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
	}
	if commit := buildSetting("vcs.revision"); commit != "" && (v == "" || v == "(devel)") {
		v = "devel-" + commit[:min(12, len(commit))]
	}
	if v == "" {
		return "unknown"
	}
	return v
}

// buildSetting returns how this program was built, or "" if that is not recorded.
func buildSetting(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// versionText is what --version prints.
func versionText() string {
	text := "fmnist-gpu " + version()
	if commit, date := buildSetting("vcs.revision"), buildSetting("vcs.time"); commit != "" {
		text += fmt.Sprintf(" (commit %s, %s)", commit[:min(12, len(commit))], date)
	}
	devices := "Vulkan and CPU"
	if buildSetting("CGO_ENABLED") == "0" {
		devices = "CPU only"
	}
	return fmt.Sprintf("%s\n%s, %s/%s, %s\n", text, runtime.Version(), runtime.GOOS, runtime.GOARCH, devices)
}
