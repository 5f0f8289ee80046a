// Command fmnist-gpu trains convolutional networks on Fashion-MNIST, on any
// Vulkan GPU or on the CPU alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
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
	exitInterrupted = 130
)

// started is when the program began, but for what the Go runtime does before.
var started = time.Now()

func main() {
	ctx, interrupt := context.WithCancel(context.Background())
	watchSignals(interrupt)
	root := newRootCommand()
	root.SetOut(newStandardOutput(interrupt))
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	err := await(ctx, done)
	code := exitCode(err)
	if err != nil && code != exitInterrupted {
		fmt.Fprintln(os.Stderr, "fmnist-gpu: "+oneLine(err))
	}
	os.Exit(code)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "fmnist-gpu",
		Short: "Train CNNs on Fashion-MNIST on any Vulkan GPU, or on the CPU",
		Example: `  fmnist-gpu train                      train on the best GPU, or on the CPU
  fmnist-gpu train --cpu --epochs 3     train on the CPU
  fmnist-gpu devices                    list what can be trained on
  fmnist-gpu eval --checkpoint runs/fashioncnn`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(printHelp)
	root.AddCommand(newDevicesCommand(), newDataCommand(), newTrainCommand(), newEvalCommand(), newSummaryCommand(), newExperimentCommand(), newCompareCommand(), newReportCommand(), newBenchCommand())
	root.SetHelpCommand(newHelpCommand(root))
	root.InitDefaultHelpCmd()
	addCompletionCommand(root)
	if err := addCompletions(root); err != nil {
		panic(err) // a flag twice, which any test finds
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
		c.Example = "  source <(fmnist-gpu completion bash)"
		for _, shell := range c.Commands() {
			shell.Args = noArguments(nil)
			shell.Short = "Print the completion script for " + shell.Name()
			shell.Long = shell.Short + `. Load it as the example does; to have completion in
every shell, add that line to the file that your shell reads when it starts.`
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
	case errors.Is(err, gpu.ErrNoVulkan), errors.Is(err, gpu.ErrNoDevice):
		return exitNoDevice
	case errors.Is(err, dataset.ErrBadData), errors.Is(err, checkpoint.ErrBadCheckpoint):
		return exitBadFile
	}
	return exitFailed
}

// oneLine formats an error for a person.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
}

// version returns the version of the module this program was built from, with
// the commit where there is none.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
