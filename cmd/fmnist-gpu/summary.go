package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

func newSummaryCommand() *cobra.Command {
	var asJSON bool
	config := study.DefaultConfig()
	c := &cobra.Command{
		Use:   "summary NETWORK",
		Short: "List the layers of a network",
		Long: `List the layers of a network, each with its output shape, its number of trainable
parameters, and its floating-point operations per classified image.

NETWORK is a built-in model, a preset, the YAML file of a network, a run's folder,
or a .safetensors or .pth file. A network that is not trained yet is built for the
images and classes of Fashion-MNIST, or of another --dataset.`,
		Example: `  fmnist-gpu summary fashioncnn
  fmnist-gpu summary main_no_aug
  fmnist-gpu summary mynet.yaml --dataset pictures
  fmnist-gpu summary runs/fashioncnn --json`,
		Args:              oneArgument("one network: a model, a preset, a YAML file or a checkpoint"),
		ValidArgsFunction: completeNetworks,
		RunE: func(c *cobra.Command, args []string) error {
			d := dataset.FashionMNIST
			config.Quiet = asJSON
			if given := assignments(c.Flags()); len(given) > 0 {
				var err error
				if d, err = datasetOf(c, args[0], &config, given); err != nil {
					return err
				}
			}
			n, err := findNetwork(c, args[0], d)
			if err != nil {
				return err
			}
			layers, err := n.Summary()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"model": n.Name, "input": []int{n.Input.H, n.Input.W, n.Input.C}, "classes": len(n.Classes), "layers": layers})
			}
			return printSummary(c.OutOrStdout(), n, layers)
		},
	}
	g := flagGroup{c.Flags(), groupData}
	g.setting("dataset", datasetUsage)
	g.setting("image-size", imageSizeUsage)
	g.setting("skip-bad", skipBadUsage)
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON")
	return c
}

// completeNetworks completes models, presets and file names.
func completeNetworks(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return append(model.Names(), kindOf("preset").Values...), cobra.ShellCompDirectiveDefault
}

// datasetOf returns the images and classes of the dataset that flags give, for which
// the named network is to be built.
func datasetOf(c *cobra.Command, network string, config *study.Config, flags []setting.Assignment) (dataset.Info, error) {
	if !isNetwork(network) {
		return dataset.Info{}, &commandLineError{fmt.Sprintf("%s is a checkpoint, whose images and classes are known: leave --%s out", network, flags[0].Name)}
	}
	if err := config.Apply(flags...); err != nil {
		return dataset.Info{}, err
	}
	data, err := loadDataset(c, c.OutOrStdout(), *config)
	if err != nil {
		return dataset.Info{}, err
	}
	return data.Info, nil
}

// isNetwork reports whether a name is that of a preset, a built-in network or a YAML
// file; otherwise it is that of a checkpoint.
func isNetwork(name string) bool {
	return slices.Contains(study.PresetNames(), name) || slices.Contains(model.Names(), name) || study.IsYAML(name)
}

// findNetwork returns the network that an argument names: that of a checkpoint, or else
// the network for the images and classes of a dataset.
func findNetwork(cmd *cobra.Command, name string, d dataset.Info) (model.Network, error) {
	preset := study.DefaultConfig()
	switch {
	case !isNetwork(name):
		m, err := trainer.Load(name, nil)
		if err != nil {
			return model.Network{}, err
		}
		return m.Network, nil
	case study.IsYAML(name):
		text, err := readInput(cmd, name)
		if err != nil {
			return model.Network{}, err
		}
		return trainer.ParseNetwork(name, text, d)
	case slices.Contains(model.Names(), name):
		return trainer.BuiltIn(name, d)
	}
	if err := preset.ApplyPreset(name); err != nil {
		return model.Network{}, err
	}
	return preset.BuildNetwork(d)
}

func printSummary(w io.Writer, n model.Network, layers []model.LayerSummary) error {
	fmt.Fprintf(w, "%s, for images of %v and %d classes\n\n", n.Name, n.Input, len(n.Classes))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LAYER\tKIND\tOUTPUT\tPARAMETERS\tMFLOP")
	parameters, flops := 0, 0
	for _, l := range layers {
		parameters, flops = parameters+l.Parameters, flops+l.FLOPs
		shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(l.Output), " ", "×"), "[]")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.Kind, shape, countOrNothing(l.Parameters, humanize.Comma(int64(l.Parameters))),
			countOrNothing(l.FLOPs, fmt.Sprintf("%.3f", float64(l.FLOPs)/1e6)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s parameters, %.4g MFLOP per image\n", humanize.Comma(int64(parameters)), float64(flops)/1e6)
	return err
}

// countOrNothing returns the text of a count, or "" if the count is 0.
func countOrNothing(n int, text string) string {
	if n == 0 {
		return ""
	}
	return text
}
