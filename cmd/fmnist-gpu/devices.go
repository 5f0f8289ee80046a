package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
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
		Short: "List the Vulkan devices, and what the CPU backend uses",
		Long: `List the Vulkan devices with the index, name and UUID that --device accepts, and
what the CPU backend uses. Each device is tested; one that does not work is listed
with the reason. Without Vulkan, only the CPU is listed.`,
		Example: `  fmnist-gpu devices
  fmnist-gpu devices --json`,
		Args: noArguments(nil),
		RunE: func(c *cobra.Command, _ []string) error {
			found, problems := vulkan.List()
			texts := []string{}
			for _, p := range problems {
				texts = append(texts, oneLine(p))
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"devices": append([]gpu.Info{}, found...), "problems": texts, "cpu": cpuInfo()})
			}
			_, err := io.WriteString(c.OutOrStdout(), formatDevices(found, texts, cpuInfo()))
			return err
		},
	}
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON")
	return c
}

// The columns of a terminal, and where a device's text begins.
const (
	terminalWidth = 80
	deviceIndent  = 5
)

// formatDevices gives each device a block of lines.
func formatDevices(found []gpu.Info, problems []string, cpu cpuref.Description) string {
	var b strings.Builder
	block := func(label string, lines ...string) {
		for i, line := range lines {
			if i > 0 {
				label = ""
			}
			fmt.Fprintf(&b, "%-*s%s\n", deviceIndent, label, wrap(line, deviceIndent, terminalWidth))
		}
		fmt.Fprintln(&b)
	}
	for _, d := range found {
		lines := []string{d.Name, fmt.Sprintf("%s, %s, Vulkan %s", d.Type, humanize.IBytes(uint64(d.MemoryBytes)), d.APIVersion), "driver " + d.Driver}
		if d.UUID != "" { // drivers of Vulkan 1.0 report no more
			lines[1] += fmt.Sprintf(", subgroups of %d, %s", d.SubgroupSize, arithmetic(d))
			lines = append(lines, "UUID "+d.UUID)
		}
		if !d.Usable {
			lines = append(lines, "cannot be used: "+d.Why)
		}
		block(fmt.Sprint(d.Index), lines...)
	}
	for _, p := range problems {
		block("note", p)
	}
	block("CPU", cpu.Model, fmt.Sprintf("%s with %s", english.Plural(cpu.Threads, "thread", ""), cpu.Tier),
		fmt.Sprintf("has %s; BF16 %s, AMX %s", strings.Join(cpu.Tiers, ", "), yesNo(cpu.BF16), yesNo(cpu.AMX)))
	return strings.TrimSuffix(b.String(), "\n")
}

// arithmetic lists the number formats and matrix units that a device supports.
func arithmetic(d gpu.Info) string {
	has := []string{"FP32"}
	for _, f := range []struct {
		name string
		has  bool
	}{{"FP16", d.Float16}, {"BF16", d.BFloat16}, {"cooperative matrix", d.CooperativeMatrix}} {
		if f.has {
			has = append(has, f.name)
		}
	}
	return strings.Join(has, " + ")
}

// wrap breaks a text between words into lines that start at column indent and end
// before column width. A longer word gets its own line.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
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
