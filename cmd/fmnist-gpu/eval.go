package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/audit"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// evalSettings are the flags of the command eval.
type evalSettings struct {
	checkpoint  checkpointFlags
	together    []string // checkpoints of further models
	tta         string
	twins       string // file, or "" for none
	dataDir     string
	device      deviceFlags
	out         string // "" for no files
	cam         string
	predictions string
	asJSON      bool
}

func newEvalCommand() *cobra.Command {
	f := evalSettings{tta: "none", cam: string(trainer.HiResCAM)}
	config := study.DefaultConfig()
	c := &cobra.Command{
		Use:   "eval --checkpoint PATH",
		Short: "Evaluate a checkpoint on the test set",
		Long: `Classify test images with the weights of a checkpoint, and print all metrics. The
images are those that the run was trained with, or Fashion-MNIST's if the checkpoint
is a file, unless --dataset names others. A checkpoint is a run's folder, or a
.safetensors or PyTorch .pth file that contains a state_dict, which may be nested (no
code in the file is run). The network is that of the file's metadata, or else that of
--model, or else the built-in one that has such tensors.

--out writes metrics, every image's probabilities and pictures to a folder:
confusion matrix, ROC curves, F1 by class, reliability, samples, the worst
mistakes, the first layer's filters, and the regions of images that support the
predicted class (see --cam).

--ensemble PATH adds a model: the mean of all models' probabilities is evaluated. --tta
also averages over views of each image: its mirror image (flip), its shifts by one pixel
(shift), or both (flip-shift).

--without FILE also gives the accuracy without the test images that have a twin among
the training images, by the list that "data audit" wrote for the same dataset.`,
		Example: `  fmnist-gpu eval --checkpoint runs/fashioncnn
  fmnist-gpu eval --checkpoint model.pth --out evaluation
  fmnist-gpu eval --checkpoint mynet.pth --model mynet.yaml
  fmnist-gpu eval --checkpoint runs/seed1 --ensemble runs/seed2 --tta flip
  fmnist-gpu eval --checkpoint runs/fashioncnn/weights/last.safetensors --json`,
		Args: noArguments(func(_ *cobra.Command, argument string) string {
			return "name the checkpoint with --checkpoint " + argument
		}),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.checkpoint.check(); err != nil {
				return err
			}
			if c.Flags().Changed("cam") && f.out == "" {
				return &commandLineError{"--cam applies only to the pictures that --out writes: add --out FOLDER"}
			}
			config.DataDir = f.dataDir
			ofRun := isRun(f.checkpoint.path)
			if ofRun {
				run, err := study.ReadArgs(f.checkpoint.path)
				if err != nil {
					return err
				}
				config.Dataset, config.SkipBad = run.Dataset, run.SkipBad // unless flags say otherwise
			}
			if err := config.Apply(assignments(c.Flags())...); err != nil {
				return err
			}
			if err := f.checkOutputs(config); err != nil {
				return err
			}
			config.Quiet = f.asJSON
			err := f.run(c, config)
			if ofRun {
				err = movedFromRun(c, f.checkpoint.path, err)
			}
			return err
		},
	}
	f.add(c)
	return c
}

// add adds the flags to the command.
func (f *evalSettings) add(c *cobra.Command) {
	models := flagGroup{c.Flags(), groupModel}
	f.checkpoint.add(models, "weights to evaluate")
	bindEach(models, &f.together, "ensemble", setting.Path("PATH", "a run's folder, or a .safetensors or .pth file"), "weights of another model, whose probabilities are averaged with the first's; may be repeated")
	bind(models, &f.tta, "tta", setting.Choice(trainer.ViewNames()...), "test-time augmentation: average over views of each image: none, flip, shift or flip-shift")
	data := flagGroup{c.Flags(), groupData}
	data.setting("dataset", datasetUsage)
	data.setting("skip-bad", skipBadUsage)
	bind(data, &f.twins, "without", setting.Path("FILE", "the twins.csv of an audit"), "also give the accuracy without test images that have a twin among the training images in this list")
	bind(data, &f.dataDir, "data-dir", kindOf("data-dir"), dataDirUsage)
	addDeviceFlags(flagGroup{c.Flags(), groupDevice}, &f.device)
	output := flagGroup{c.Flags(), groupOutput}
	bind(output, &f.out, "out", kindOf("out"), "write metrics, predictions and pictures to this folder")
	bind(output, &f.cam, "cam", setting.Choice(string(trainer.HiResCAM), string(trainer.GradCAM)), "method of the class activation maps in gradcam.png: hirescam or gradcam")
	bind(output, &f.predictions, "predictions", setting.Path("FILE", "a CSV file"), "write each image's probabilities to this CSV file")
	bind(output, &f.asJSON, "json", setting.Bool(), "print the metrics as JSON, as in a run's metrics.json")
}

// checkOutputs checks the folder of --out and the file of --predictions.
func (f *evalSettings) checkOutputs(config study.Config) error {
	if f.out != "" {
		if err := checkOutside("out", f.out, config.Dataset); err != nil {
			return err
		}
	}
	if f.predictions == "" {
		return nil
	}
	inputs := append([]string{f.checkpoint.path, f.checkpoint.model, f.twins}, f.together...)
	if err := checkOutFile("predictions", f.predictions, inputs...); err != nil {
		return err
	}
	return checkOutOfClasses("predictions", f.predictions, config.Dataset)
}

// run evaluates, writes what the flags ask for, and prints the figures.
func (f *evalSettings) run(c *cobra.Command, config study.Config) error {
	views, err := trainer.Views(f.tta)
	if err != nil {
		return err
	}
	var twins []audit.Twins
	if f.twins != "" {
		if twins, err = audit.ReadTwins(f.twins); err != nil {
			return fmt.Errorf("%w: --without: %v", dataset.ErrBadData, err)
		}
	}
	e, d, err := evaluate(c, f.device, config, evaluation{f.checkpoint, f.together, views, f.out, trainer.CAM(f.cam)})
	if err != nil {
		return err
	}
	if f.predictions != "" {
		if err := e.WritePredictions(f.predictions); err != nil {
			return err
		}
	}
	var rest *remainder
	if f.twins != "" {
		if rest, err = withoutSeen(e, twins, f.twins); err != nil {
			return err
		}
	}
	return f.print(c, d, e, rest)
}

// print prints the figures, and those of the remainder unless it is nil.
func (f *evalSettings) print(c *cobra.Command, d *device, e *trainer.Evaluation, rest *remainder) error {
	if f.asJSON {
		return printJSON(c.OutOrStdout(), struct {
			*metrics.Metrics
			Rest *remainder `json:"without_seen_in_training,omitempty"`
		}{e.Metrics, rest})
	}
	fmt.Fprintln(c.OutOrStdout(), d.announce())
	if err := printMetrics(c.OutOrStdout(), e); err != nil {
		return err
	}
	if rest != nil {
		fmt.Fprintf(c.OutOrStdout(), "without the test images that have a twin among the training images (%s): accuracy %.2f %%  macro F1 %.4f\n",
			humanize.Comma(int64(e.Images.N-rest.Images)), 100*rest.Accuracy, rest.MacroF1)
	}
	if f.out == "" {
		return nil
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "metrics, predictions and pictures are in %s\n", f.out)
	return err
}

// addDeviceFlags adds the flags that choose a backend.
func addDeviceFlags(g flagGroup, f *deviceFlags) {
	bind(g, &f.selector, "device", kindOf("device"), deviceUsage)
	addBackendFlags(g, f)
}

// addBackendFlags adds the flags of addDeviceFlags other than --device.
func addBackendFlags(g flagGroup, f *deviceFlags) {
	bind(g, &f.cpu, "cpu", setting.Bool(), "use the CPU")
	bind(g, &f.threads, "threads", kindOf("threads"), threadsUsage)
	bind(g, &f.validate, "validate", setting.Bool(), validateUsage)
}

// evaluation says what to evaluate and where to write it.
type evaluation struct {
	checkpoint checkpointFlags
	together   []string // checkpoints of further models
	views      []trainer.View
	out        string // "" for no files
	cam        trainer.CAM
}

func evaluate(c *cobra.Command, f deviceFlags, config study.Config, v evaluation) (*trainer.Evaluation, *device, error) {
	d, err := openDevice(f)
	if err != nil {
		return nil, nil, err
	}
	e, err := v.on(c, d, config)
	return e, d, closeDevice(d, err)
}

func (v evaluation) on(c *cobra.Command, d *device, config study.Config) (*trainer.Evaluation, error) {
	m, data, err := modelAndData(c, d, config, v.checkpoint)
	if err != nil {
		return nil, err
	}
	if err := sameKind(m, data); err != nil {
		return nil, err
	}
	for _, path := range append([]string{v.checkpoint.path}, v.together...) {
		if err := sameDataset(c, path, config, data); err != nil {
			return nil, err
		}
	}
	for i, class := range m.Network.Classes {
		if class != data.Classes[i] && !config.Quiet {
			printNote(c.OutOrStdout(), "the dataset's classes have other names: what it calls %q, the model and the figures below call %q", data.Classes[i], class)
			break
		}
	}
	models := []*trainer.Model{m}
	for _, path := range v.together {
		other := v.checkpoint
		other.path = path
		m, err := other.load(c, d.Backend, data.Info)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	if v.out != "" {
		if err := makeEvaluationDir(v.out); err != nil {
			return nil, err
		}
	}
	e, err := trainer.EvaluateEnsemble(c.Context(), models, data.Test, v.views)
	if err != nil || v.out == "" {
		return e, err
	}
	return e, e.Write(v.out, v.cam)
}

// remainder holds the figures of the test images that have no twin in training.
type remainder struct {
	Images   int     `json:"images"`
	Accuracy float64 `json:"accuracy"`
	MacroF1  float64 `json:"macro_f1"`
}

// withoutSeen computes the figures of an evaluation without the test images that have a
// twin among the training images, by the list that was read from path.
func withoutSeen(e *trainer.Evaluation, twins []audit.Twins, path string) (*remainder, error) {
	if err := audit.CheckTest(twins, e.Images); err != nil {
		return nil, fmt.Errorf("%w: --without %s: %v", dataset.ErrBadData, path, err)
	}
	m, err := e.Without(audit.SeenInTraining(twins))
	if err != nil {
		return nil, fmt.Errorf("%w: --without %s leaves no test image: %v", dataset.ErrBadData, path, err)
	}
	return &remainder{m.Images, m.Accuracy, m.Macro.F1}, nil
}

// modelAndData reads the model and the dataset to evaluate it on. Pictures are scaled to
// the size that the model takes, unless the model is to be built for the dataset.
func modelAndData(c *cobra.Command, d *device, config study.Config, checkpoint checkpointFlags) (m *trainer.Model, data *dataset.Dataset, err error) {
	if checkpoint.model != "" {
		if data, err = loadDataset(c, c.OutOrStdout(), config); err != nil {
			return nil, nil, err
		}
		m, err = checkpoint.load(c, d.Backend, data.Info)
		return m, data, err
	}
	if m, err = checkpoint.load(c, d.Backend, dataset.Info{}); err != nil {
		return nil, nil, err
	}
	if config.Dataset != dataset.FashionMNIST.Name {
		config.ImageSize = squareSide(m) // as in training
	}
	data, err = loadDataset(c, c.OutOrStdout(), config)
	return m, data, err
}

// sameKind refuses a dataset whose images or number of classes are not those of the model.
func sameKind(m *trainer.Model, data *dataset.Dataset) error {
	describe := func(in dataset.Shape, classes []string) string {
		return fmt.Sprintf("images of %v and %d classes", in, len(classes))
	}
	in := m.Network.Input
	takes, has := describe(dataset.Shape{H: in.H, W: in.W, C: in.C}, m.Network.Classes), describe(data.Shape, data.Classes)
	if takes != has {
		return fmt.Errorf("%w: the model %s takes %s, but the dataset %s has %s: use --dataset to name the dataset that it was trained on",
			dataset.ErrBadData, m.Network.Name, takes, data.Name, has)
	}
	return nil
}

// sameDataset refuses a dataset that has changed since the run at path was trained on it, or,
// if the user has named the dataset, says so.
func sameDataset(c *cobra.Command, path string, config study.Config, data *dataset.Dataset) error {
	err := changedSince(path, config, data)
	if !errors.Is(err, dataset.ErrBadData) { // none, or that of a damaged run
		return err
	}
	if !c.Flags().Changed("dataset") {
		return fmt.Errorf("%w, or use --dataset to name what to evaluate on", err)
	}
	printChanged(c.ErrOrStderr(), err, "the model may have been trained on some of the images it is evaluated on")
	return nil
}

// printChanged prints a note about an error of changedSince and what may follow from it.
func printChanged(w io.Writer, err error, so string) {
	printNote(w, "%s; otherwise %s", strings.TrimPrefix(oneLine(err), dataset.ErrBadData.Error()+": "), so)
}

// changedSince returns an error if the run at path was trained on a dataset that has
// changed since then. Adding a picture to class folders changes which pictures are test
// images, so a test image may be one that the run was trained on. It returns nil if path is
// not a run's folder.
func changedSince(path string, config study.Config, data *dataset.Dataset) error {
	if !isRun(path) {
		return nil
	}
	run, err := study.ReadArgs(path)
	if err != nil {
		return err
	}
	if config, err = config.Absolute(); err != nil || config.Dataset != run.Dataset {
		return nil
	}
	return trainer.CheckDataset(path, data)
}

// isRun reports whether a path is a run's folder, which says what it was trained on.
func isRun(path string) bool {
	_, err := os.Stat(filepath.Join(path, trainer.ArgsFile))
	return err == nil
}

// makeEvaluationDir makes the folder that an evaluation is written to. It refuses
// a run's folder: the metrics of its training would be lost.
func makeEvaluationDir(dir string) error {
	if isRun(dir) {
		return &commandLineError{fmt.Sprintf("--out %s is a run's folder, whose metrics would be overwritten: name another folder", dir)}
	}
	return study.MakeOut(dir)
}

func printMetrics(w io.Writer, e *trainer.Evaluation) error {
	m := e.Metrics
	fmt.Fprintf(w, "%s, %s parameters, %.3g MFLOP per image, %s test images in %.2f s (%s images/s)\n\n", e.Model().Network.Name,
		humanize.Comma(int64(m.Parameters)), float64(m.FLOPsPerImage)/1e6, humanize.Comma(int64(e.Images.N)), e.Seconds, humanize.Comma(int64(m.ImagesPerSecond)))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "CLASS\tPRECISION\tRECALL\tF1\tAUC\tIMAGES\t")
	for _, c := range m.PerClass {
		area := "–"
		if c.AUC != nil {
			area = fmt.Sprintf("%.4f", *c.AUC)
		}
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%.4f\t%s\t%s\t\n", printable(c.Name), c.Precision, c.Recall, c.F1, area, humanize.Comma(int64(c.Support)))
	}
	fmt.Fprintf(t, "macro average\t%.4f\t%.4f\t%.4f\t\t\t\n", m.Macro.Precision, m.Macro.Recall, m.Macro.F1)
	fmt.Fprintf(t, "weighted average\t%.4f\t%.4f\t%.4f\t\t\t\n", m.Weighted.Precision, m.Weighted.Recall, m.Weighted.F1)
	if err := t.Flush(); err != nil {
		return err
	}
	chosen := "best epoch selected on: " + m.Protocol
	if m.Protocol == "none" {
		chosen = "weights of the last epoch"
	}
	_, err := fmt.Fprintf(w, "\naccuracy %.2f %%  macro F1 %.4f  loss %.4f  (%s)\ntop-2 accuracy %.2f %%  expected calibration error %.4f\n",
		100*m.Accuracy, m.Macro.F1, m.Loss, chosen, 100*m.Top2Accuracy, m.ExpectedCalibrationError)
	return err
}

// squareSide returns the height and width of a model's images, or 0 if they differ.
func squareSide(m *trainer.Model) int {
	if in := m.Network.Input; in.H == in.W {
		return in.H
	}
	return 0
}
