package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

func newDevicesCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "devices",
		Short: "List Vulkan devices, and what the CPU backend will use",
		Long: `List the Vulkan devices with the index, name or UUID that --device takes, and
what the CPU backend will use. A machine without Vulkan lists the CPU alone.`,
		Example: `  fmnist-gpu devices
  fmnist-gpu devices --json`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := vulkan.List()
			if err != nil && !errors.Is(err, gpu.ErrNoVulkan) && !errors.Is(err, gpu.ErrNoDevice) {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"devices": append([]gpu.Info{}, found...), "cpu": cpuref.Info()})
			}
			if err != nil {
				fmt.Fprintf(c.OutOrStdout(), "no Vulkan device: %v\n\n", err)
			}
			return printDevices(c.OutOrStdout(), found)
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON")
	return c
}

func printDevices(w io.Writer, found []gpu.Info) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(found) > 0 {
		fmt.Fprintln(t, "INDEX\tNAME\tTYPE\tDRIVER\tMEMORY\tSUBGROUP\tFP16\tBF16\tCOOP. MATRIX\tUUID")
	}
	for _, d := range found {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", d.Index, d.Name, d.Type, d.Driver,
			humanize.IBytes(uint64(d.MemoryBytes)), d.SubgroupSize, yesNo(d.Float16), yesNo(d.BFloat16), yesNo(d.CooperativeMatrix), d.UUID)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	cpu := cpuref.Info()
	_, err := fmt.Fprintf(w, "\nCPU  %s: %d threads, %s (this machine has %s; BF16 %s, AMX %s)\n",
		cpu.Model, cpu.Threads, cpu.Tier, strings.Join(cpu.Tiers, ", "), yesNo(cpu.BF16), yesNo(cpu.AMX))
	return err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
