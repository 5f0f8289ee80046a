//go:build view && cgo

// Command fmnist-view is the live window of a training: its curves, its filters as they
// change, what its layers make of an image, and its confusion matrix.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// init keeps main on the process' first thread, where window systems want it.
func init() { runtime.LockOSThread() }

// flags are what the command line says.
type flags struct {
	attach   string
	device   string
	dataDir  string
	validate bool
	measure  float64
	size     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := newCommand()
	err := command.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fmnist-view: "+strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; "))
	}
	os.Exit(exitCode(err))
}

// exitCode maps an error to the program's exit code, as fmnist-gpu does.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, trainer.ErrUsage):
		return 2
	case errors.Is(err, gpu.ErrNoVulkan), errors.Is(err, gpu.ErrNoDevice):
		return 3
	case errors.Is(err, dataset.ErrBadData), errors.Is(err, checkpoint.ErrBadCheckpoint):
		return 4
	case errors.Is(err, context.Canceled):
		return 130
	}
	return 1
}

func newCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "fmnist-view [RUN]",
		Short: "Watch a training in a window",
		Long: `Watch a training in a window: its curves, the filters of its first layer, what its
layers make of an image of the test set, and its confusion matrix.

RUN is the folder of a run, finished or not; without it, the newest run in the folder
runs is opened. --attach follows a training that runs with "train --serve", step by step;
RUN then only says where its weights are, if they cannot be found.

In the window:
  space      hold what is shown, and go on
  ← →        step through the images
  s          save a picture of the window
  f          full screen, and back
  q, Escape  close`,
		Example: `  fmnist-view                                        the newest run
  fmnist-view runs/fashioncnn --device 0             compute activations on a GPU
  fmnist-view --attach http://127.0.0.1:8601         a training with --serve`,
		Args:          arguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, args []string) error { return run(c.Context(), f, args) },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return setting.Errorf("%v", err) })
	c.CompletionOptions.DisableDefaultCmd = true
	g := c.Flags()
	g.SortFlags = false
	g.StringVar(&f.attach, "attach", "", "address of a training that runs with --serve")
	g.StringVar(&f.device, "device", "", "Vulkan device (index, name or UUID) that draws and computes activations; without it, the CPU computes them")
	g.StringVar(&f.dataDir, "data-dir", os.Getenv("FMNIST_DATA"), "folder of Fashion-MNIST, if the run does not say")
	g.BoolVar(&f.validate, "validate", false, "switch on Vulkan's validation layer")
	g.StringVar(&f.size, "size", "1280x800", "size of the window, WIDTHxHEIGHT")
	g.Float64Var(&f.measure, "measure", 0, "draw without pause for so many seconds, print frames per second and close")
	return c
}

func arguments(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return setting.Errorf("%d arguments: want at most the folder of one run", len(args))
	}
	return nil
}

// run opens the run and shows it until the window is closed.
func run(ctx context.Context, f flags, args []string) (err error) {
	w, h, err := parseSize(f.size)
	if err != nil {
		return err
	}
	o := source.Options{Images: func(ctx context.Context, dir string) (dataset.Split, error) {
		return source.TestImages(ctx, dir, setting.ExpandHome(f.dataDir))
	}}
	if f.attach != "" {
		o.URL, o.Dir, err = source.Attach(ctx, f.attach)
	} else if len(args) == 0 {
		o.Dir, err = source.NewestRun("runs")
	}
	if err != nil {
		return err
	}
	if len(args) == 1 {
		o.Dir = args[0]
	}
	win, err := openWindow(f, w, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, win.close()) }()
	if o.Backend, err = openBackend(f); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Backend.Close()) }()
	s, err := source.Open(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return win.show(ctx, s, f.measure)
}

// openBackend opens what computes activations.
func openBackend(f flags) (kernels.Backend, error) {
	if f.device != "" {
		return vulkan.Open(f.device, vulkan.Options{Validate: f.validate})
	}
	return cpuref.Open(cpuref.Options{})
}

func parseSize(text string) (w, h int, err error) {
	if n, err := fmt.Sscanf(text, "%dx%d", &w, &h); n != 2 || err != nil || min(w, h) < 1 || max(w, h) > 16384 {
		return 0, 0, setting.Errorf("--size is %q: want WIDTHxHEIGHT, such as 1280x800", text)
	}
	return w, h, nil
}
