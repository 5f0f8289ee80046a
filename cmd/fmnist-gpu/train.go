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
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newTrainCommand() *cobra.Command {
	var c study.Config
	var file string
	var resume []string
	var dryRun bool
	replicas := 1
	page := trainingPage{logFormat: logText}
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train one model",
		Long: `Train one model, on Fashion-MNIST unless --dataset says otherwise, and write the run
to a folder: settings, results of every epoch, best and last weights, the metrics of
the best weights on the test set, pictures, and a report in one HTML file.

Without --device or --cpu, it trains on the best GPU, or on the CPU if there is
none.

Each source of settings overrides those before it: defaults, preset, --config
file, flags. A --preset flag also overrides the file, and other flags override
the preset.

Ctrl-C, SIGTERM, or closing the terminal or the pipe finishes the current step,
saves the state and exits with code 130; a second Ctrl-C ends at once. --resume
continues an interrupted run or, with a larger --epochs, a finished one. For this,
a run keeps the folder "checkpoint", which you may delete. If the run's dataset has
moved, --dataset names its new folder.

--replicas K trains with K consecutive seeds at once on one GPU, which a small network
leaves mostly idle. Each trains as it would by itself, in a folder of its own,
and can be resumed by itself or, with several --resume, together with others. The CPU
trains one on each core.

On a slow device, evaluation can take longer than training. --eval-images N
evaluates only N images of each split, the same ones each time; the best epoch,
the plateau scheduler, --patience and the final metrics then depend on those.
--no-eval evaluates only the last epoch's weights, on the test set; the plateau
scheduler then keeps the learning rate, and --patience has no effect.

--serve shows the training in a browser: curves, confusion matrix, samples, and
what its model says of your drawings and pictures. The page stays after the last
epoch, until Ctrl-C.`,
		Example: `  fmnist-gpu train                                  fashioncnn, 10 epochs
  fmnist-gpu train --cpu --epochs 3
  fmnist-gpu train --device 0 --preset main_no_aug --select-on test
  fmnist-gpu train --model logistic --lr 0.01 --optimizer sgd
  fmnist-gpu train --model mynet.yaml               a network of your own
  fmnist-gpu train --dataset pictures               pictures in pictures/CLASS/
  fmnist-gpu train --config runs/fashioncnn/args.yaml --seed 43 --name seed43
  fmnist-gpu train --resume runs/fashioncnn --epochs 20
  fmnist-gpu train --replicas 16 --seed 42          seeds 42 to 57 at once
  fmnist-gpu train --device 0 --max-steps 20 --eval-images 500
  fmnist-gpu train --log-format json | jq -c '.epoch // empty'`,
		Args: noArguments(trainHint),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := page.check(); err != nil {
				return err
			}
			defer func() { err = page.close(cmd, err) }()
			page.logTo(cmd)
			if len(resume) > 0 {
				if err := checkResume(cmd.Flags()); err != nil {
					return err
				}
				if len(resume) > 1 {
					return resumeReplicas(cmd, resume, &page)
				}
				if c, err = resumedConfig(cmd, resume[0]); err != nil {
					return err
				}
				return resumeTraining(cmd, c, resume[0], &page)
			}
			if err := resolve(cmd, &c, file); err != nil {
				return err
			}
			if err := checkOutside("out", c.Out, c.Dataset); err != nil {
				return err
			}
			switch {
			case dryRun:
				return rehearse(cmd, c, replicas)
			case replicas > 1:
				return trainReplicas(cmd, c, replicas, &page)
			}
			return train(cmd, c, &page)
		},
	}
	run := flagGroup{cmd.Flags(), groupRun}
	bind(run, &file, "config", setting.Path("FILE", "a YAML file"), "read settings from this YAML file, whose keys are names of flags; - is standard input")
	bindEach(run, &resume, "resume", setting.Path("FOLDER", "the folder of a run"), "continue the run in this folder, interrupted or finished; may be repeated, for replicas")
	bind(run, &dryRun, "dry-run", setting.Bool(), "check everything that training needs and print the plan, but do not train")
	page.add(run, flagGroup{cmd.Flags(), groupOutput})
	addTrainFlags(cmd.Flags())
	bindReplicas(flagGroup{cmd.Flags(), groupDevice}, &replicas, "trainings, with the seeds from --seed on,")
	return cmd
}

// trainHint says which flag an argument was probably meant for.
func trainHint(c *cobra.Command, argument string) string {
	flag := ""
	switch {
	case slices.Contains(study.PresetNames(), argument):
		flag = "preset"
	case slices.Contains(model.Names(), argument):
		flag = "model"
	case study.IsYAML(argument):
		flag = "config"
	case slices.Contains([]string{".safetensors", ".pth", ".pt"}, filepath.Ext(argument)):
		flag = "init"
	default:
		if _, err := os.Stat(filepath.Join(argument, trainer.ArgsFile)); err != nil {
			return ""
		}
		if flag = "resume"; c.Flags().Lookup(flag) == nil { // lr-find cannot resume, but begin with a run's weights
			flag = "init"
		}
	}
	return fmt.Sprintf("did you mean --%s %s?", flag, argument)
}

// addTrainFlags adds a flag for each setting of a training.
func addTrainFlags(f *pflag.FlagSet) {
	g := flagGroup{f, groupModel}
	g.setting("preset", "recipe by name, which other settings adapt: "+kindOf("preset").Want)
	g.setting("model", "network: "+kindOf("model").Want)
	g.setting("network", "layers of a network as YAML text, instead of a file for --model")
	g.setting("init", "weights to start from, at this `PATH`: a run's folder, or a .safetensors or PyTorch .pth file")
	g.setting("dropout", "probability in all dropout layers (default: the network's own, 0.25 in the built-in networks)")

	g = flagGroup{f, groupData}
	addDatasetFlags(g)
	g.setting("select-on", selectOnUsage)
	g.setting("no-shuffle", "train on the images in file order")

	addOptimisationFlags(f)
	addAugmentFlags(f, study.DefaultConfig().Augment)

	g = flagGroup{f, groupDevice}
	g.setting("device", deviceUsage)
	g.setting("cpu", cpuUsage)
	g.setting("threads", threadsUsage)
	g.setting("precision", precisionUsage)
	g.setting("validate", validateUsage)

	g = flagGroup{f, groupOutput}
	g.setting("out", "folder in which to create the run's folder")
	g.setting("name", "name of the run's folder (default: that of the preset or model, numbered)")
	g.setting("log-every", "write every Nth step to steps.csv; 0 means none")
	g.setting("checkpoint-every", "within an epoch, save a checkpoint every `SECONDS`; 0 means only after epochs")
	g.setting("quiet", "print only the result")
	g.setting("no-progress", noProgressUsage)
}

// addDatasetFlags adds the flags that choose a dataset.
func addDatasetFlags(g flagGroup) {
	g.setting("dataset", "fashion-mnist, or a `PATH` of your own: a folder of MNIST-like IDX files, or of pictures in class folders")
	g.setting("image-size", imageSizeUsage)
	g.setting("skip-bad", skipBadUsage)
	g.setting("data-dir", dataDirUsage)
}

// The usage of flags that several commands have.
const (
	datasetUsage    = "fashion-mnist, or a `PATH` of your own, as for train"
	imageSizeUsage  = "height and width to scale pictures to; 0 means their own, or 32 if they differ or exceed 96"
	skipBadUsage    = "leave out pictures that cannot be read"
	dataDirUsage    = "folder of Fashion-MNIST (default: $FMNIST_DATA, else see \"fmnist-gpu data --help\")"
	selectOnUsage   = "images that select the best epoch: val (the dataset's own, or a twelfth of the training images) or test (the original's protocol, optimistic)"
	batchSizeUsage  = "images per step"
	maxStepsUsage   = "stop a training after N optimiser steps; 0 means no limit"
	cpuUsage        = "use the CPU"
	deviceUsage     = "Vulkan device: index, name or UUID, as listed by \"fmnist-gpu devices\""
	threadsUsage    = "threads of the CPU backend; 0 means one per core"
	precisionUsage  = "arithmetic: fp32, or mixed (factors in bfloat16, sums and weights in fp32)"
	validateUsage   = "run under the Vulkan validation layer and treat any message as an error"
	noProgressUsage = "print one line per epoch, without a progress bar"
)

func addOptimisationFlags(f *pflag.FlagSet) {
	g := flagGroup{f, groupOptimisation}
	g.setting("epochs", "passes over the training images")
	g.setting("batch-size", batchSizeUsage)
	g.setting("lr", "learning rate")
	g.setting("optimizer", "optimiser: "+kindOf("optimizer").Want+"; muon updates the weights between the first and the last layer's, if there are any, and adamw, with the same rate, the rest")
	g.setting("momentum", "Nesterov momentum of sgd (the others ignore it: that of muon is 0.95)")
	g.setting("weight-decay", "weight decay: an L2 penalty with adam and sgd, decoupled with adamw and muon; adam's applies to all parameters, the others' not to biases and batch-norm (default: 0.01 with adamw and muon, else 0)")
	g.setting("scheduler", "learning-rate schedule: plateau (halve it when accuracy stalls), none, onecycle or cosine")
	g.setting("warmup", "epochs, or a fraction of one, in which the learning rate rises linearly from near 0 before the schedule begins; with onecycle, those of its own rise (0: 30% of the run)")
	g.setting("label-smoothing", "share of each label spread over all classes in the training loss")
	g.setting("ema", "decay of a moving average of the weights, such as 0.999; that average is then evaluated and saved. In the first steps the decay is lower: (1+t)/(10+t) after t steps. 0 means none")
	g.setting("prune", "share of the training images that each epoch leaves out, 0 to 0.7: at random among all but the fifth with the highest losses (after InfoBatch). Accuracy suffers less than from fewer epochs. Training losses are those of the images trained on, and so higher")
	g.setting("patience", "stop after N epochs without improvement; 0 means never")
	g.setting("max-steps", maxStepsUsage)
	g.setting("no-eval", "do not evaluate after each epoch: use the last weights, never stop early")
	g.setting("eval-images", "evaluate at most N images of each split, evenly spaced; 0 means all")
	g.setting("seed", "seed of weights, image order, augmentation, dropout and hold-out")
}

// addAugmentFlags adds the flags of augmentation; named is the default of
// --augment.
func addAugmentFlags(f *pflag.FlagSet, named string) {
	g := flagGroup{f, groupAugmentation}
	g.settingDefault("augment", named, "augmentation of training images: none; original (rotate 10, flip random, crop 4); light (flip alternating, crop 2, erase 0.25)")
	g.setting("rotate", "random rotation up to ±`DEGREES` (overrides --augment)")
	g.setting("flip", "horizontal flip: none, random, or alternating from epoch to epoch (overrides --augment)")
	g.setting("crop", "random shift up to ±`PIXELS` (overrides --augment)")
	g.setting("erase", "probability of erasing a random rectangle (overrides --augment)")
}

// resolve fills c from the defaults, the file, and the flags that were given,
// in that order; in the file and in the flags, a preset comes first. A preset among the
// flags replaces the file's.
func resolve(cmd *cobra.Command, c *study.Config, file string) error {
	*c = study.DefaultConfig()
	if file != "" {
		text, err := readInput(cmd, file)
		if err != nil {
			return err
		}
		parse := c.ParseYAML
		if cmd.Flags().Changed("preset") {
			parse = c.ParseYAMLWithoutPreset
		}
		if err := parse(inputName(file), text); err != nil {
			return err
		}
	}
	return applyFlags(cmd, c)
}

// applyFlags overwrites the settings that flags give.
func applyFlags(cmd *cobra.Command, c *study.Config) error {
	given := assignments(cmd.Flags())
	// A device chosen by flags replaces the file's.
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
	if err := c.ReadNetwork(inputReader(cmd)); err != nil {
		return err
	}
	return c.Check()
}

// resumable are the flags that can change in the middle of a run.
var resumable = []string{"resume", "device", "cpu", "threads", "validate", "dataset", "data-dir", "epochs", "patience",
	"max-steps", "log-every", "checkpoint-every", "quiet", "no-progress", "serve", "listen", "log-format"}

// resumedConfig returns the settings of the run in a folder, with those that flags change.
func resumedConfig(cmd *cobra.Command, dir string) (study.Config, error) {
	c, err := study.ReadArgs(dir)
	if err != nil {
		return c, err
	}
	return c, applyFlags(cmd, &c)
}

// checkResume refuses flags that cannot change in a resumed run.
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
		return &commandLineError{fmt.Sprintf("--resume and --%s are mutually exclusive: leave one out", refused)}
	}
	return &commandLineError{fmt.Sprintf("--%s cannot change when a run is resumed: leave it out, or start a new run", refused)}
}

// train runs a new training.
func train(cmd *cobra.Command, c study.Config, page *trainingPage) error {
	return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
		if err := c.CheckFor(data.Info); err != nil { // before there is a folder
			return err
		}
		dir, err := study.NewFolder(c)
		if err != nil {
			return err
		}
		err = trainAndPrint(cmd, c, d, data, trainer.Options{Dir: dir}, page)
		if err != nil {
			_ = os.Remove(dir) // does nothing if the run has left files
		}
		return err
	})
}

// resumeTraining continues the run in a folder, whose args.yaml is in c. For a
// finished run it only prints the result, which needs no device.
func resumeTraining(cmd *cobra.Command, c study.Config, dir string, page *trainingPage) error {
	result, err := trainer.FinishedRun(dir, c.Recipe)
	if err != nil {
		return err
	}
	if result == nil {
		err := withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
			return trainAndPrint(cmd, c, d, data, trainer.Options{Dir: dir, Resume: true}, page)
		})
		return movedFromRun(cmd, dir, err)
	}
	if err := completeRun(dir); err != nil {
		return err
	}
	printFinished(cmd.OutOrStdout(), c, result, dir)
	return page.open(cmd, dir, nil)
}

// printFinished says that the run is finished and how to train more, and prints the
// result.
func printFinished(w io.Writer, c study.Config, r *trainer.Result, dir string) {
	if !c.Quiet {
		more := "a larger --epochs"
		switch {
		case c.MaxSteps > 0 && r.Stopped != "":
			more = "a larger --max-steps, or 0"
		case r.Stopped != "":
			more = "a larger --patience or --epochs"
		}
		fmt.Fprintf(w, "the run %s is already finished, after epoch %d; to train more, resume it with %s\n", dir, len(r.Epochs), more)
	}
	printResult(w, c, r, dir)
}

// completeRun removes what a program that was killed has left in the folder of a finished
// run, and writes the report if the program had not.
func completeRun(dir string) error {
	// Where nothing can be written, nothing has been left to tidy up.
	if err := trainer.TidyRun(dir); errors.Is(err, trainer.ErrUsage) {
		return err
	}
	return completeReport(dir)
}

// completeReport writes the report of a finished run that was killed before it
// could.
func completeReport(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, report.File)); err == nil {
		return nil
	}
	_, err := report.Write(dir, "")
	return err
}

// withDevice opens the device and loads the data that the settings name.
func withDevice(cmd *cobra.Command, c study.Config, do func(*device, *dataset.Dataset) error) error {
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
	data, err := loadDataset(cmd, cmd.OutOrStdout(), c)
	if err == nil {
		err = do(d, data)
	}
	return closeDevice(d, err)
}

// trainAndPrint trains and prints the result.
func trainAndPrint(cmd *cobra.Command, c study.Config, d *device, data *dataset.Dataset, o trainer.Options, page *trainingPage) error {
	if err := page.open(cmd, o.Dir, live.NewHub(o.Dir, d.Name())); err != nil {
		return err
	}
	if c.InitFrom != "" && !o.Resume {
		if err := changedSince(c.InitFrom, c, data); err != nil {
			printChanged(cmd.ErrOrStderr(), err, "the weights of --init may have been trained on some of the test images")
		}
	}
	out := cmd.OutOrStdout()
	screen := newScreen(out, cmd.ErrOrStderr(), !c.NoProgress && !c.Quiet)
	p := &progress{screen: screen, out: screen, config: c, dir: o.Dir}
	result, err := runTraining(cmd.Context(), p, page, d, data, o)
	page.ended(result, err)
	screen.close()
	if errors.Is(err, trainer.ErrInterrupted) {
		printInterrupted(cmd, "resume with: fmnist-gpu train --resume "+quoted(o.Dir))
	}
	if result != nil {
		printResult(out, c, result, o.Dir)
	}
	return err
}

// printInterrupted says how to resume an interrupted command, on standard error if
// nobody reads standard output.
func printInterrupted(cmd *cobra.Command, how string) {
	text := "interrupted; everything is saved; " + how
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
}

// runTraining trains, prints the progress and writes the report. If only the report
// fails, it returns the result with the error.
func runTraining(ctx context.Context, p *progress, page *trainingPage, d *device, data *dataset.Dataset, o trainer.Options) (*trainer.Result, error) {
	defer p.end()
	o.Environment, o.Progress, o.Started = d.environment, page.progress(p), started
	result, err := study.Train(ctx, p.config, data, d.Backend, o)
	if err != nil {
		return nil, err
	}
	_, err = report.Write(o.Dir, "")
	return result, err
}

// printResult prints a run's accuracy, speed and folder.
func printResult(w io.Writer, c study.Config, r *trainer.Result, dir string) {
	printAccuracy(w, c, r)
	if p, ok := c.IsPreset(); ok {
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

// printAccuracy prints how well a run's weights do on the test set.
func printAccuracy(w io.Writer, c study.Config, r *trainer.Result) {
	if r.Stopped != "" && !c.Quiet {
		fmt.Fprintln(w, "stopped", r.Stopped)
	}
	protocol := "best epoch selected on held-out training images"
	switch {
	case c.NoEval:
		protocol = "last epoch, without selection"
	case c.SelectOn == "test":
		protocol = "best epoch selected on the test images, so optimistic"
	}
	limited := ""
	if c.EvalImages > 0 {
		limited = fmt.Sprintf(" on %s images", humanize.Comma(int64(r.Metrics.Images)))
	}
	fmt.Fprintf(w, "test accuracy%s %.2f %%  macro F1 %.4f  loss %.4f  (epoch %d, %s)\n",
		limited, 100*r.Metrics.Accuracy, r.Metrics.Macro.F1, r.Metrics.Loss, r.BestEpoch, protocol)
}

// rehearse implements --dry-run: it prepares the training, refuses what training
// would refuse, and prints the plan.
func rehearse(cmd *cobra.Command, c study.Config, replicas int) error {
	return withDevice(cmd, c, func(d *device, data *dataset.Dataset) error {
		if err := c.CheckFor(data.Info); err != nil {
			return err
		}
		runs := []study.Config{c}
		if replicas > 1 {
			var err error
			if runs, err = c.Replicas(replicas); err != nil {
				return err
			}
			runs = runs[:replicasOn([]*device{d}, replicas)]
		}
		if err := study.TryFolder(runs[0]); err != nil {
			return err
		}
		s, err := study.Rehearse(runs, data, d.Backend)
		if err != nil {
			return fewerReplicas(err, useReplicas)
		}
		return printPlan(cmd.OutOrStdout(), c, s, data.Dir)
	})
}

// printPlan prints the settings and the size of a training.
func printPlan(w io.Writer, c study.Config, s trainer.Summary, dataDir string) error {
	text, err := c.YAML()
	if err != nil {
		return err
	}
	evaluated := fmt.Sprintf("on %s images after each epoch (%s)", humanize.Comma(int64(s.SelectImages)), c.SelectOn)
	if c.NoEval {
		evaluated = "on the test images at the end"
	}
	_, err = fmt.Fprintf(w, `%s
# dry run: nothing is trained
parameters       %s
each epoch       %s, in %s steps of %d
evaluated        %s
device memory    %s for weights, optimiser, activations and the dataset
data             %s
`, text, humanize.Comma(int64(s.Parameters)), trainImages(s), humanize.Comma(int64(s.StepsPerEpoch)),
		c.BatchSize, evaluated, humanize.IBytes(uint64(s.DeviceBytes)), dataDir)
	return err
}
