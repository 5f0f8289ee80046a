package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

func newEvalCommand() *cobra.Command {
	var checkpoint, dataDir, predictions, out string
	var asJSON bool
	var f deviceFlags
	c := &cobra.Command{
		Use:   "eval --checkpoint PATH",
		Short: "All metrics of a checkpoint on the test set",
		Long: `Classify the 10,000 test images with the weights of a checkpoint, a run's folder,
a .safetensors or a PyTorch .pth file (of a state_dict; no code in it is run), and
print all metrics. The tensors' names and shapes tell the model. --out writes them to a
folder, with every image's probabilities and the pictures: confusion matrix, ROC, F1 by
class, samples, the worst mistakes, the first layer's filters and Grad-CAM.`,
		Example: `  fmnist-gpu eval --checkpoint runs/fashioncnn
  fmnist-gpu eval --checkpoint model.pth --out evaluation
  fmnist-gpu eval --checkpoint runs/fashioncnn/weights/last.safetensors --cpu --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if checkpoint == "" {
				return &commandLineError{"--checkpoint is missing: name a run's folder, a .safetensors or a .pth file"}
			}
			e, d, err := evaluate(c, f, checkpoint, dataDir, out)
			if err != nil {
				return err
			}
			if predictions != "" {
				if err := trainer.WritePredictions(predictions, e); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), e.Metrics)
			}
			fmt.Fprintln(c.OutOrStdout(), d.announce())
			if err := printMetrics(c.OutOrStdout(), e); err != nil || out == "" {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "metrics, predictions and pictures are in %s\n", out)
			return err
		},
	}
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "run's folder, .safetensors or PyTorch .pth `file`")
	c.Flags().StringVar(&dataDir, "data-dir", "", "`folder` of the dataset's files")
	c.Flags().StringVar(&out, "out", "", "write metrics, predictions and pictures to this `folder`")
	c.Flags().StringVar(&predictions, "predictions", "", "write each image's probabilities to this CSV `file`")
	c.Flags().BoolVar(&asJSON, "json", false, "print metrics.json")
	addDeviceFlags(c, &f)
	return c
}

// addDeviceFlags adds the flags that choose a backend.
func addDeviceFlags(c *cobra.Command, f *deviceFlags) {
	c.Flags().StringVar(&f.selector, "device", "", "Vulkan device: `index`, name or UUID, as the command devices lists them")
	c.Flags().BoolVar(&f.cpu, "cpu", false, "use the CPU")
	c.Flags().IntVar(&f.threads, "threads", 0, "of the CPU backend; 0 for all cores")
	c.Flags().BoolVar(&f.validate, "validate", false, "run under the Vulkan validation layer; whatever it says is an error")
}

func evaluate(c *cobra.Command, f deviceFlags, checkpoint, dataDir, out string) (*trainer.Evaluation, *device, error) {
	d, err := openDevice(f)
	if err != nil {
		return nil, nil, err
	}
	e, err := evaluateOn(c, d, checkpoint, dataDir, out)
	return e, d, closeDevice(d, err)
}

func evaluateOn(c *cobra.Command, d *device, checkpoint, dataDir, out string) (*trainer.Evaluation, error) {
	data, err := loadData(dataDir)
	if err != nil {
		return nil, err
	}
	if out != "" {
		if err := makeEvaluationDir(out); err != nil {
			return nil, err
		}
	}
	return trainer.Evaluate(c.Context(), d.Backend, checkpoint, data.Test, out)
}

// makeEvaluationDir makes the folder that an evaluation is written to. A run's
// own folder is refused: the metrics of its training would be lost.
func makeEvaluationDir(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, trainer.ArgsFile)); err == nil {
		return &commandLineError{fmt.Sprintf("--out %s is a run's folder, which has its own metrics: name another", dir)}
	}
	return os.MkdirAll(dir, 0o777)
}

func printMetrics(w io.Writer, e *trainer.Evaluation) error {
	m := e.Metrics
	fmt.Fprintf(w, "%s, %s parameters, %.3g MFLOP per image, %s test images in %.2f s (%s images/s)\n\n", e.Model,
		humanize.Comma(int64(m.Parameters)), float64(m.FLOPsPerImage)/1e6, humanize.Comma(int64(len(e.Labels))), e.Seconds, humanize.Comma(int64(m.ImagesPerSecond)))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "CLASS\tPRECISION\tRECALL\tF1\tAUC\tIMAGES\t")
	for _, c := range m.PerClass {
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%s\t\n", c.Name, c.Precision, c.Recall, c.F1, c.AUC, humanize.Comma(int64(c.Support)))
	}
	fmt.Fprintf(t, "macro average\t%.4f\t%.4f\t%.4f\t\t\t\n", m.Macro.Precision, m.Macro.Recall, m.Macro.F1)
	fmt.Fprintf(t, "weighted average\t%.4f\t%.4f\t%.4f\t\t\t\n", m.Weighted.Precision, m.Weighted.Recall, m.Weighted.F1)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\naccuracy %.2f %%  macro F1 %.4f  loss %.4f  (best epoch selected on: %s)\ntop-2 accuracy %.2f %%  expected calibration error %.4f\n",
		100*m.Accuracy, m.Macro.F1, m.Loss, m.Protocol, 100*m.Top2Accuracy, m.ExpectedCalibrationError)
	return err
}
