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
	c := &cobra.Command{
		Use:   "summary NETWORK",
		Short: "List the layers of a network",
		Long: `List the layers of a network, each with its output shape, its number of trainable
parameters, and its floating-point operations per classified image.

NETWORK is a built-in model, a preset, the YAML file of a network, a run's folder,
or a .safetensors or .pth file.`,
		Example: `  fmnist-gpu summary fashioncnn
  fmnist-gpu summary main_no_aug
  fmnist-gpu summary mynet.yaml
  fmnist-gpu summary runs/fashioncnn --json`,
		Args:              oneArgument("one network: a model, a preset, a YAML file or a checkpoint"),
		ValidArgsFunction: completeNetworks,
		RunE: func(c *cobra.Command, args []string) error {
			n, err := findNetwork(c, args[0])
			if err != nil {
				return err
			}
			layers, err := n.Summary()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"model": n.Name, "layers": layers})
			}
			return printSummary(c.OutOrStdout(), n, layers)
		},
	}
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

// findNetwork returns the network that an argument names.
func findNetwork(cmd *cobra.Command, name string) (model.Network, error) {
	config := study.DefaultConfig()
	_, isPreset := study.FindPreset(name)
	switch {
	case isPreset:
		if err := config.ApplyPreset(name); err != nil {
			return model.Network{}, err
		}
	case slices.Contains(model.Names(), name) || study.IsYAML(name):
		config.Model = name
		if err := config.ReadNetwork(inputReader(cmd)); err != nil {
			return model.Network{}, err
		}
	default:
		m, err := trainer.Load(name, nil)
		if err != nil {
			return model.Network{}, err
		}
		return m.Network, nil
	}
	return config.BuildNetwork(dataset.FashionMNIST)
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
