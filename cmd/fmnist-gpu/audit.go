package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/audit"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// auditSettings are the flags of the command audit, besides the trainings'.
type auditSettings struct {
	out      string
	distance float64
	folds    int
	asJSON   bool
}

func newDataAuditCommand(dataDir *string) *cobra.Command {
	config := study.DefaultConfig()
	a := auditSettings{out: "audit", distance: .1, folds: 5}
	c := &cobra.Command{
		Use:   "audit",
		Short: "Find twins among the images, and labels that are probably wrong",
		Long: `Look for two faults of a dataset, and write lists and pictures of them to a folder.

Twins are images that are nearly the same; a test image with a twin among the
training images says little about new images. The distance of two images is their
root mean square difference after each was shifted and scaled to mean 0 and standard
deviation 1. "eval --without twins.csv" gives a model's accuracy without the test
images that have a twin among the training images.

Labels are judged by networks that have not seen their images: one per fold, trained
on the other folds (confident learning; Northcutt, Jiang and Chuang, 2021). Look at
suspects.png before you believe them. --folds 0 leaves out these networks, which take
nearly all the time.`,
		Example: `  fmnist-gpu data audit
  fmnist-gpu data audit --dataset pictures --out pictures-audit
  fmnist-gpu data audit --folds 0 --distance 0.12
  fmnist-gpu eval --checkpoint runs/fashioncnn --without audit/twins.csv`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := applyFlags(c, &config); err != nil {
				return err
			}
			if a.folds == 1 {
				return &commandLineError{"--folds is 1, which would leave no images to train on: want 0 for no networks, or 2 or more"}
			}
			if err := checkOutside("out", a.out, config.Dataset); err != nil {
				return err
			}
			config.DataDir, config.NoEval, config.Quiet = *dataDir, true, a.asJSON
			return withDevice(c, config, func(d *device, data *dataset.Dataset) error {
				return a.run(c, d, config, data)
			})
		},
	}
	g := flagGroup{c.Flags(), groupData}
	g.setting("dataset", datasetUsage)
	g.setting("image-size", imageSizeUsage)
	g.setting("skip-bad", skipBadUsage)
	bind(g, &a.distance, "distance", setting.Number("a number from 0 to below 1", func(x float64) bool { return 0 <= x && x < 1 }), "largest distance of twins")
	bind(g, &a.folds, "folds", setting.Whole(0, 100), "networks that judge the labels, each trained on the other folds; 0 means none")
	addJudgeFlags(c.Flags())
	output := flagGroup{c.Flags(), groupOutput}
	bind(output, &a.out, "out", kindOf("out"), "folder for lists and pictures")
	bind(output, &a.asJSON, "json", setting.Bool(), "print the summary as JSON, as in audit.json")
	return c
}

// addJudgeFlags adds the flags of the trainings that judge labels.
func addJudgeFlags(f *pflag.FlagSet) {
	g := flagGroup{f, groupModel}
	g.setting("model", "network that judges the labels: "+kindOf("model").Want)
	g = flagGroup{f, groupOptimisation}
	g.setting("epochs", "passes over the training images, for each fold")
	g.setting("batch-size", batchSizeUsage)
	g.setting("lr", "learning rate")
	g.setting("seed", "seed of the folds and of the trainings")
	g = flagGroup{f, groupDevice}
	g.setting("device", deviceUsage)
	g.setting("cpu", cpuUsage)
	g.setting("threads", threadsUsage)
	g.setting("precision", precisionUsage)
	g.setting("validate", validateUsage)
}

// auditSummary is the content of audit.json.
type auditSummary struct {
	Dataset  string        `json:"dataset"`
	Distance float64       `json:"distance"` // largest of twins
	Twins    []twinCount   `json:"twins"`
	Seen     int           `json:"test_images_with_twin_in_training"`
	Labels   []labelsCount `json:"labels,omitempty"`
}

// twinCount counts the pairs of twins between two splits.
type twinCount struct {
	A              string `json:"split_a"`
	B              string `json:"split_b"`
	Pairs          int    `json:"pairs"`
	SameBytes      int    `json:"same_bytes"`
	DifferentLabel int    `json:"different_label"`
}

// labelsCount counts the suspects of a split.
type labelsCount struct {
	Split    string  `json:"split"`
	Images   int     `json:"images"`
	Accuracy float64 `json:"accuracy"` // of the networks that did not see the images
	Suspects int     `json:"suspects"`
}

func (a *auditSettings) run(c *cobra.Command, d *device, config study.Config, data *dataset.Dataset) error {
	network, err := config.BuildNetwork(data.Info)
	if err != nil {
		return err
	}
	if err := study.MakeOut(a.out); err != nil {
		return err
	}
	if err := a.removeOld("audit.json", "suspects.csv", "suspects.png"); err != nil { // they may be of another dataset
		return err
	}
	summary := auditSummary{Dataset: data.Name, Distance: a.distance, Twins: []twinCount{}}
	if err := a.findTwins(c, d, data, &summary); err != nil {
		return err
	}
	if a.folds > 0 {
		if err := a.judgeLabels(c, d, config, network, data, &summary); err != nil {
			return err
		}
	}
	if err := summary.write(filepath.Join(a.out, "audit.json")); err != nil {
		return err
	}
	if a.asJSON {
		return printJSON(c.OutOrStdout(), summary)
	}
	return summary.print(c.OutOrStdout(), a.out)
}

// findTwins writes the list and the picture of twins, and counts them.
func (a *auditSettings) findTwins(c *cobra.Command, d *device, data *dataset.Dataset, to *auditSummary) error {
	bar := &auditMeter{c: c, name: "twins"}
	list, err := audit.FindTwins(c.Context(), d, data, a.distance, bar.set)
	bar.end()
	if err != nil {
		return err
	}
	to.Twins, to.Seen = countTwins(data, list), len(audit.SeenInTraining(list))
	if err := audit.WriteTwins(filepath.Join(a.out, "twins.csv"), data, list); err != nil {
		return err
	}
	return a.draw("twins.png", len(list), func() ([]byte, error) { return audit.TwinsPicture(data, list) })
}

// judgeLabels trains the networks that judge the labels, writes the list and the picture
// of suspects, and counts them.
func (a *auditSettings) judgeLabels(c *cobra.Command, d *device, config study.Config, n model.Network, data *dataset.Dataset, to *auditSummary) error {
	// Each fold's network is tested on its fold, and stopped only by --epochs.
	config.SelectOn = "test"
	bar := &auditMeter{c: c, name: "trainings"}
	judged, err := audit.Judge(c.Context(), data, a.folds, config.Seed, func(fold int, part *dataset.Dataset) (*trainer.Model, error) {
		progress := &foldProgress{meter: bar, fold: fold, folds: a.folds}
		result, err := trainer.Train(c.Context(), config.Recipe, n, part, d.Backend, trainer.Options{Progress: progress})
		if err != nil {
			return nil, err
		}
		return result.Model, nil
	})
	bar.end()
	if err != nil {
		return err
	}
	suspects := audit.Suspects(judged, len(data.Classes))
	for _, j := range judged {
		count := labelsCount{Split: j.Split, Images: len(j.Labels), Accuracy: j.Accuracy()}
		for _, s := range suspects {
			if s.Split == j.Split {
				count.Suspects++
			}
		}
		to.Labels = append(to.Labels, count)
	}
	if err := audit.WriteSuspects(filepath.Join(a.out, "suspects.csv"), data, suspects); err != nil {
		return err
	}
	return a.draw("suspects.png", len(suspects), func() ([]byte, error) { return audit.SuspectsPicture(data, suspects) })
}

// draw writes a picture of n things to the folder. Without any, it removes an older one.
func (a *auditSettings) draw(name string, n int, draw func() ([]byte, error)) error {
	if n == 0 {
		return a.removeOld(name)
	}
	picture, err := draw()
	if err != nil {
		return err
	}
	return trainer.WriteFile(filepath.Join(a.out, name), picture)
}

// removeOld removes files of an earlier audit from the folder.
func (a *auditSettings) removeOld(names ...string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(a.out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// countTwins counts twins by the splits of their images.
func countTwins(data *dataset.Dataset, list []audit.Twins) []twinCount {
	var counts []twinCount
	for _, w := range list {
		i := slices.IndexFunc(counts, func(c twinCount) bool { return c.A == w.A.Split && c.B == w.B.Split })
		if i < 0 {
			i = len(counts)
			counts = append(counts, twinCount{A: w.A.Split, B: w.B.Split})
		}
		counts[i].Pairs++
		if w.Same {
			counts[i].SameBytes++
		}
		if w.A.Of(data).Labels[w.A.Index] != w.B.Of(data).Labels[w.B.Index] {
			counts[i].DifferentLabel++
		}
	}
	return counts
}

// write writes the summary as JSON.
func (s auditSummary) write(path string) error {
	var b bytes.Buffer
	if err := printJSON(&b, s); err != nil {
		return err
	}
	return trainer.WriteFile(path, b.Bytes())
}

// print prints the summary for a person at a terminal.
func (s auditSummary) print(w io.Writer, dir string) error {
	fmt.Fprintf(w, "twins, at a distance of at most %g:\n", s.Distance)
	for _, t := range s.Twins {
		between := "within " + t.A
		if t.A != t.B {
			between = "between " + t.A + " and " + t.B
		}
		fmt.Fprintf(w, "  %s: %s pairs, of which %s are the same bytes and %s have different labels\n", between,
			humanize.Comma(int64(t.Pairs)), humanize.Comma(int64(t.SameBytes)), humanize.Comma(int64(t.DifferentLabel)))
	}
	if len(s.Twins) == 0 {
		fmt.Fprintln(w, "  none")
	}
	fmt.Fprintf(w, "test images with a twin among the training images: %s\n", humanize.Comma(int64(s.Seen)))
	for _, l := range s.Labels {
		fmt.Fprintf(w, "labels of %s: %s of %s are probably wrong; networks that did not see the images agree with %.2f %%\n", l.Split,
			humanize.Comma(int64(l.Suspects)), humanize.Comma(int64(l.Images)), 100*l.Accuracy)
	}
	_, err := fmt.Fprintf(w, "lists and pictures are in %s\n", dir)
	return err
}

// auditMeter is a bar that appears with its first report, if standard error is a
// terminal.
type auditMeter struct {
	c    *cobra.Command
	name string
	bar  *meter
}

func (m *auditMeter) set(done, total int) {
	if m.bar == nil {
		m.bar = newMeter(m.c.ErrOrStderr(), m.name, int64(total), decor.Percentage())
	}
	m.bar.set(int64(done), int64(total))
}

func (m *auditMeter) end() { m.bar.end() }

// foldProgress reports the steps of a fold's training.
type foldProgress struct {
	meter       *auditMeter
	fold, folds int
	epochs      int
}

// Start implements [trainer.Progress].
func (p *foldProgress) Start(s trainer.Summary) { p.epochs = s.Recipe.Epochs }

// Step implements [trainer.Progress].
func (p *foldProgress) Step(r trainer.StepReport) {
	const parts = 1000 // of an epoch
	done := (p.fold*p.epochs+r.Epoch-1)*parts + r.ImagesDone*parts/r.Images
	p.meter.set(done, p.folds*p.epochs*parts)
}

// Epoch implements [trainer.Progress].
func (p *foldProgress) Epoch(trainer.EpochReport) {}
