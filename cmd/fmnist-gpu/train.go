package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

func newTrainCommand() *cobra.Command {
	var c trainer.Config
	var file, resume string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train one model",
		Long: `Train one model on Fashion-MNIST and write its run to a folder: settings, results
of every epoch, best and last weights, the metrics of the best weights on the
test set, pictures, and a report in one HTML file.

Without --device or --cpu it trains on the best GPU, or on the CPU if there is
none. Precedence of settings: defaults < preset < --config < flags. A --preset
given as a flag overrides the file, and other flags override the preset.

Ctrl-C, SIGTERM, and closing the terminal or the pipe finish the step, save, and
exit with 130; a second Ctrl-C ends at once. --resume goes on from there and,
with more --epochs, from the end of a finished run. For that a run keeps its
folder checkpoint, which may be deleted.

On a slow device, evaluating can take longer than training. --eval-images N
evaluates the same N images each time, evenly spaced in their split; the best
epoch, the plateau scheduler, --patience and the final metrics then depend on
those. --no-eval evaluates only the last epoch's weights, on the test set; the
plateau scheduler keeps its rate, and --patience does not stop.`,
		Example: `  fmnist-gpu train                                  fashioncnn, 10 epochs
  fmnist-gpu train --cpu --epochs 3
  fmnist-gpu train --device 0 --preset main_no_aug --select-on test
  fmnist-gpu train --model logistic --lr 0.01 --optimizer sgd
  fmnist-gpu train --model mynet.yaml               a network of your own
  fmnist-gpu train --config runs/fashioncnn/args.yaml --seed 43 --name seed43
  fmnist-gpu train --resume runs/fashioncnn --epochs 20
  fmnist-gpu train --device 0 --max-steps 20 --eval-images 500`,
		Args: noArguments(trainHint),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if resume != "" {
				if err := checkResume(cmd.Flags()); err != nil {
					return err
				}
				if c, err = trainer.ReadArgs(resume); err != nil {
					return err
				}
				if err := applyFlags(cmd, &c); err != nil {
					return err
				}
				return resumeTraining(cmd, c, resume)
			}
			if err := resolve(cmd, &c, file); err != nil {
				return err
			}
			if dryRun {
				return rehearse(cmd, c)
			}
			return train(cmd, c)
		},
	}
	run := flagGroup{cmd.Flags(), groupRun}
	bind(run, &file, "config", setting.Path("FILE", "a YAML file"), "read settings from this YAML file, whose keys are the names of flags; - is standard input")
	bind(run, &resume, "resume", setting.Path("FOLDER", "the folder of a run"), "go on with the run in this folder, interrupted or finished")
	bind(run, &dryRun, "dry-run", setting.Bool(), "check everything that training needs and print the plan, but train nothing")
	addTrainFlags(cmd.Flags())
	return cmd
}

// trainHint says which flag an argument was probably meant for.
func trainHint(_ *cobra.Command, argument string) string {
	flag := ""
	switch _, isPreset := trainer.FindPreset(argument); {
	case isPreset:
		flag = "preset"
	case slices.Contains(model.Names(), argument):
		flag = "model"
	case isYAML(argument):
		flag = "config"
	case slices.Contains([]string{".safetensors", ".pth", ".pt"}, filepath.Ext(argument)):
		flag = "init"
	default:
		if _, err := os.Stat(filepath.Join(argument, trainer.ArgsFile)); err != nil {
			return ""
		}
		flag = "resume"
	}
	return fmt.Sprintf("did you mean --%s %s?", flag, argument)
}

// addTrainFlags adds a flag for each setting of a training.
func addTrainFlags(f *pflag.FlagSet) {
	g := flagGroup{f, groupModel}
	g.setting("preset", "training of the original study, which sets model, augment and dropout: "+kindOf("preset").Want)
	g.setting("model", "network: "+kindOf("model").Want)
	g.setting("network", "layers of a network, in place of a file for --model")
	g.setting("init", "start from the weights in this `FILE` (.safetensors or PyTorch's .pth) or run's folder")
	g.setting("dropout", "probability in every dropout of the network (default: as the network has it, 0.25 in the built-in ones)")

	g = flagGroup{f, groupData}
	g.setting("data-dir", "folder of the dataset's files (default: see \"fmnist-gpu data --help\")")
	g.setting("select-on", "images that select the best epoch: val (5,000 held-out training images) or test (the original's protocol, optimistic)")
	g.setting("no-shuffle", "take the training images in file order")

	addOptimisationFlags(f)
	addAugmentFlags(f, trainer.DefaultConfig().Augment)

	g = flagGroup{f, groupDevice}
	g.setting("device", deviceUsage)
	g.setting("cpu", "train on the CPU")
	g.setting("threads", threadsUsage)
	g.setting("precision", precisionUsage)
	g.setting("validate", validateUsage)

	g = flagGroup{f, groupOutput}
	g.setting("out", "folder in which the run gets its own folder")
	g.setting("name", "name of the run's folder (default: that of the preset or model, numbered)")
	g.setting("log-every", "write every Nth step to steps.csv; 0 writes none")
	g.setting("quiet", "print only the result")
	g.setting("no-progress", noProgressUsage)
}

// The usage of flags that several commands have.
const (
	deviceUsage     = "Vulkan device: index, name or UUID, as listed by \"fmnist-gpu devices\""
	threadsUsage    = "threads on the CPU; 0 for one per core"
	precisionUsage  = "fp32, or mixed (factors in bfloat16, sums and weights in fp32)"
	validateUsage   = "run under the Vulkan validation layer and treat any message as an error"
	noProgressUsage = "print one line per epoch, without a progress bar"
)

func addOptimisationFlags(f *pflag.FlagSet) {
	g := flagGroup{f, groupOptimisation}
	g.setting("epochs", "passes over the training images")
	g.setting("batch-size", "images per step")
	g.setting("lr", "learning rate")
	g.setting("optimizer", kindOf("optimizer").Want)
	g.setting("momentum", "Nesterov momentum of sgd")
	g.setting("weight-decay", "L2 penalty")
	g.setting("scheduler", "course of the learning rate: plateau (halve it when accuracy stalls), none, onecycle or cosine")
	g.setting("label-smoothing", "share of each label that is spread over all classes in the training loss")
	g.setting("patience", "stop after N epochs without improvement; 0 never stops")
	g.setting("max-steps", "stop after N optimiser steps; 0 never stops")
	g.setting("no-eval", "do not evaluate after each epoch: keep the last weights, never stop early")
	g.setting("eval-images", "evaluate at most N images of each split, evenly spaced; 0 for all")
	g.setting("seed", "seed of weights, image order, augmentation, dropout and hold-out")
}

// addAugmentFlags adds the flags of augmentation; named is what --augment is by
// default.
func addAugmentFlags(f *pflag.FlagSet, named string) {
	g := flagGroup{f, groupAugmentation}
	g.settingDefault("augment", named, "of training images: none; original (rotate 10, flip random, crop 4); light (flip alternating, crop 2, erase 0.25)")
	g.setting("rotate", "random rotation up to ±`DEGREES` (overrides --augment)")
	g.setting("flip", "horizontal flip: none, random, or alternating from epoch to epoch (overrides --augment)")
	g.setting("crop", "random shift up to ±`PIXELS` (overrides --augment)")
	g.setting("erase", "probability of erasing a random rectangle (overrides --augment)")
}

// resolve fills c from the defaults, the file, and the flags that were given,
// in that order; in the file and in the flags, a preset comes first.
func resolve(cmd *cobra.Command, c *trainer.Config, file string) error {
	*c = trainer.DefaultConfig()
	if file != "" {
		text, err := readInput(cmd, file)
		if err != nil {
			return err
		}
		if err := c.ParseYAML(inputName(file), text); err != nil {
			return err
		}
	}
	return applyFlags(cmd, c)
}

// applyFlags overwrites the settings that flags give.
func applyFlags(cmd *cobra.Command, c *trainer.Config) error {
	given := assignments(cmd.Flags())
	// A device that is chosen here replaces the file's.
	for _, a := range given {
		switch {
		case a.Name == "cpu" && strings.EqualFold(a.Value, "true"):
			c.Device = ""
		case a.Name == "device":
			c.CPU = false
		}
	}
	if err := c.Apply(given...); err != nil {
		return err
	}
	if err := readNetwork(cmd, c); err != nil {
		return err
	}
	return c.Check()
}

func isYAML(name string) bool {
	return slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(filepath.Ext(name)))
}

// readNetwork replaces a model that is a YAML file by the network in it, so
// that the settings do without the file from then on.
func readNetwork(cmd *cobra.Command, c *trainer.Config) error {
	if c.Network != "" || !isYAML(c.Model) {
		return nil
	}
	text, err := readInput(cmd, c.Model)
	if err != nil {
		return err
	}
	n, err := trainer.ParseNetwork(c.Model, text)
	if err != nil {
		return err
	}
	c.Model = n.Name
	c.Network, err = n.YAML()
	return err
}

// resumable are the flags that can change in the middle of a run.
var resumable = []string{"resume", "device", "cpu", "threads", "validate", "data-dir", "epochs", "patience",
	"max-steps", "log-every", "quiet", "no-progress"}

// checkResume refuses flags that would make another run of the one that is
// resumed.
func checkResume(flags *pflag.FlagSet) error {
	var refused string
	flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains(resumable, f.Name) {
			refused = f.Name
		}
	})
	switch refused {
	case "":
		return nil
	case "config", "dry-run":
		return &commandLineError{fmt.Sprintf("--resume and --%s exclude each other: leave one out", refused)}
	}
	return &commandLineError{fmt.Sprintf("--%s cannot change in a run that is resumed: leave it out, or start a new run", refused)}
}

// train runs a new training.
func train(cmd *cobra.Command, c trainer.Config) error {
	return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
		dir, err := trainer.NewFolder(c)
		if err != nil {
			return err
		}
		err = trainAndPrint(cmd, c, d, data, trainer.Options{Dir: dir})
		if err != nil {
			_ = os.Remove(dir) // does nothing if the run has left files
		}
		return err
	})
}

// resumeTraining goes on with the run of a folder, whose args.yaml is in c. Of
// one that is finished it prints the result, for which it needs no device.
func resumeTraining(cmd *cobra.Command, c trainer.Config, dir string) error {
	result, err := trainer.FinishedRun(dir, c)
	if err != nil {
		return err
	}
	if result == nil {
		return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
			return trainAndPrint(cmd, c, d, data, trainer.Options{Dir: dir, Resume: true})
		})
	}
	if err := trainer.TidyRun(dir); err != nil {
		return err
	}
	if err := completeReport(dir); err != nil {
		return err
	}
	printFinished(cmd.OutOrStdout(), c, result, dir)
	return nil
}

// printFinished says that nothing was left to train, what would change that,
// and the result.
func printFinished(w io.Writer, c trainer.Config, r *trainer.Result, dir string) {
	if !c.Quiet {
		more := "a larger --epochs"
		switch {
		case c.MaxSteps > 0 && r.Stopped != "":
			more = "a larger --max-steps, or 0"
		case r.Stopped != "":
			more = "a larger --patience or --epochs"
		}
		fmt.Fprintf(w, "the run %s had finished after epoch %d; to train more, resume it with %s\n", dir, len(r.Epochs), more)
	}
	printResult(w, c, r, dir)
}

// completeReport writes the report of a finished run that lacks it, since it
// was killed in the last moment.
func completeReport(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, report.File)); err == nil {
		return nil
	}
	_, err := report.Write(dir, "")
	return err
}

// withDevice opens the device and loads the data that the settings name.
func withDevice(cmd *cobra.Command, c trainer.Config, do func(*device, *dataset.Dataset) error) error {
	precision, err := kernels.ParsePrecision(c.Precision)
	if err != nil {
		return err
	}
	d, err := openDevice(deviceFlags{selector: c.Device, cpu: c.CPU, threads: c.Threads, validate: c.Validate, precision: precision})
	if err != nil {
		return err
	}
	if !c.Quiet {
		fmt.Fprintln(cmd.OutOrStdout(), d.announce())
	}
	data, err := loadData(c.DataDir)
	if err == nil {
		err = do(d, data)
	}
	return closeDevice(d, err)
}

// trainAndPrint trains, and prints what came out.
func trainAndPrint(cmd *cobra.Command, c trainer.Config, d *device, data *dataset.Dataset, o trainer.Options) error {
	out := cmd.OutOrStdout()
	screen := newScreen(out, cmd.ErrOrStderr(), !c.NoProgress && !c.Quiet)
	p := &progress{screen: screen, out: screen, config: c, dir: o.Dir}
	result, err := runTraining(cmd.Context(), p, d, data, o)
	screen.close()
	if errors.Is(err, trainer.ErrInterrupted) {
		printInterrupted(cmd, "go on with: fmnist-gpu train --resume "+o.Dir)
	}
	if result != nil {
		printResult(out, c, result, o.Dir)
	}
	return err
}

// printInterrupted says how an interrupted command goes on: on standard error
// where it was interrupted since nobody reads its output.
func printInterrupted(cmd *cobra.Command, goOn string) {
	text := "interrupted; all is saved, " + goOn
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
}

// runTraining trains, prints how it goes and writes the report. Where only the
// report fails there is a result.
func runTraining(ctx context.Context, p *progress, d *device, data *dataset.Dataset, o trainer.Options) (*trainer.Result, error) {
	defer p.end()
	o.Environment, o.Progress = d.environment, p
	o.Environment.Data, o.Environment.SHA256 = data.Dir, data.SHA256
	result, err := trainer.Train(ctx, p.config, d.Backend, data, o)
	if err != nil {
		return nil, err
	}
	_, err = report.Write(o.Dir, "")
	return result, err
}

// printResult says how well the run's weights do on the test set.
func printResult(w io.Writer, c trainer.Config, r *trainer.Result, dir string) {
	printAccuracy(w, c, r)
	if p, ok := trainer.FindPreset(c.Preset); ok {
		fmt.Fprintf(w, "the original's %s reached %.2f %%, macro F1 %.4f, selecting on the test images\n",
			p.Name, 100*p.OriginalAccuracy, p.OriginalMacroF1)
	}
	first := ""
	if !r.FirstStep.IsZero() {
		first = fmt.Sprintf(", the first step done after %.0f ms", r.FirstStep.Sub(started).Seconds()*1e3)
	}
	fmt.Fprintf(w, "trained in %.1f s at %s images/s%s; the run and its report.html are in %s\n",
		r.Metrics.TrainingSeconds, humanize.Comma(int64(r.Metrics.ImagesPerSecond)), first, dir)
}

// printAccuracy says how well the run's weights do on the test set.
func printAccuracy(w io.Writer, c trainer.Config, r *trainer.Result) {
	if r.Stopped != "" && !c.Quiet {
		fmt.Fprintln(w, "stopped", r.Stopped)
	}
	protocol := "best epoch by held-out training images"
	switch {
	case c.NoEval:
		protocol = "the last epoch, not selected"
	case c.SelectOn == "test":
		protocol = "best epoch by the test images themselves, so optimistic"
	}
	limited := ""
	if c.EvalImages > 0 {
		limited = fmt.Sprintf(" on %s images", humanize.Comma(int64(r.Metrics.Images)))
	}
	fmt.Fprintf(w, "test accuracy%s %.2f %%  macro F1 %.4f  loss %.4f  (epoch %d, %s)\n",
		limited, 100*r.Metrics.Accuracy, r.Metrics.Macro.F1, r.Metrics.Loss, r.BestEpoch, protocol)
}

// rehearse is --dry-run: it prepares the training, refusing what the training
// would refuse, and prints the plan.
func rehearse(cmd *cobra.Command, c trainer.Config) error {
	return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
		s, err := trainer.Rehearse(c, d.Backend, data)
		if err != nil {
			return err
		}
		return printPlan(cmd.OutOrStdout(), s, data.Dir)
	})
}

// printPlan prints what a training would be.
func printPlan(w io.Writer, s trainer.Summary, dataDir string) error {
	text, err := s.Config.YAML()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `%s
# dry run: nothing is trained
parameters       %s
training images  %s per epoch, in %s steps of %d
evaluated on     %s images after each epoch (%s)
device memory    %s for weights, optimiser, activations and the dataset
data             %s
`, text, humanize.Comma(int64(s.Parameters)), humanize.Comma(int64(s.TrainImages)), humanize.Comma(int64(s.StepsPerEpoch)),
		s.Config.BatchSize, humanize.Comma(int64(s.SelectImages)), s.Config.SelectOn, humanize.IBytes(uint64(s.DeviceBytes)), dataDir)
	return err
}
