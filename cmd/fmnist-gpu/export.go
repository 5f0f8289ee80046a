package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/export"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// The formats of the command export.
const (
	formatONNX        = "onnx"
	formatSafetensors = "safetensors"
)

// exportFlags are the values of the command's flags.
type exportFlags struct {
	checkpoint checkpointFlags
	out        string
	format     string // "" for that of the file name
	input      string
	fold       bool
}

func newExportCommand() *cobra.Command {
	f := exportFlags{input: string(export.Float32)}
	c := &cobra.Command{
		Use:   "export --checkpoint PATH --out FILE",
		Short: "Write a model for other programs: ONNX, safetensors",
		Long: `Write the model of a checkpoint to one file that other programs read. An existing
file is replaced; a device, a pipe or /dev/stdout is written to.

onnx is for ONNX Runtime 1.12 and newer, and whatever else takes opset 17. "input" is
a batch of any size; "logits" and "probabilities" are (batch, classes). By default,
"input" is (batch, channels, height, width), float32, normalised as the file's
metadata says: (x/255 - mean)/std of a byte x. With --input uint8 it is (batch,
height, width, channels), bytes as picture libraries hold them, and the file
normalises them.

safetensors holds the weights with PyTorch's names and layout.

Both formats have the same metadata: the network as YAML, the classes, the images'
size, channels and normalisation, and where the weights come from.`,
		Example: `  fmnist-gpu export --checkpoint runs/fashioncnn --out fashioncnn.onnx
  fmnist-gpu export --checkpoint runs/fashioncnn --out app.onnx --input uint8
  fmnist-gpu export --checkpoint model.pth --out model.onnx --fold
  fmnist-gpu export --checkpoint model.pth --out model.safetensors`,
		Args: noArguments(func(_ *cobra.Command, argument string) string {
			return "name the checkpoint with --checkpoint, and the file to write with --out"
		}),
		RunE: func(c *cobra.Command, _ []string) error { return runExport(c, f) },
	}
	f.checkpoint.add(flagGroup{c.Flags(), groupModel}, "weights to export")
	g := flagGroup{c.Flags(), groupOutput}
	bind(g, &f.out, "out", setting.Path("FILE", "a file"), "file to write")
	bind(g, &f.format, "format", setting.Choice(formatONNX, formatSafetensors), "onnx or safetensors (default: as the name of the file ends)")
	g.title = "ONNX"
	bind(g, &f.input, "input", setting.Choice(string(export.Float32), string(export.Uint8)), "float32 (normalised images, channels first) or uint8 (raw images, channels last)")
	bind(g, &f.fold, "fold", setting.Bool(), "fold batch-norms into the convolutions and fully connected layers before them")
	return c
}

func runExport(c *cobra.Command, f exportFlags) error {
	if err := f.checkpoint.check(); err != nil {
		return err
	}
	if f.out == "" {
		return &commandLineError{"--out is missing: name the file to write, such as model.onnx"}
	}
	if f.out == "-" {
		return &commandLineError{`--out is "-": name a file, or /dev/stdout`}
	}
	format, err := f.exportFormat()
	if err != nil {
		return err
	}
	if format != formatONNX {
		for _, name := range []string{"fold", "input"} {
			if c.Flags().Changed(name) {
				return &commandLineError{fmt.Sprintf("--%s applies only to the format onnx: leave it out, or add --format onnx", name)}
			}
		}
	}
	if err := checkOutFile("out", f.out, f.checkpoint.path, f.checkpoint.model); err != nil {
		return err
	}
	m, err := f.checkpoint.load(c, nil, dataset.FashionMNIST)
	if err != nil {
		return err
	}
	if format == formatONNX {
		err = export.WriteONNX(f.out, m, export.Options{Input: export.Input(f.input), Fold: f.fold, Version: version()})
	} else {
		err = m.Save(f.out)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(f.out)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %s, for images of %v and %d classes", f.out, m.Network.Name, m.Network.Input, len(m.Network.Classes))
	if !isReplaced(info) { // it may be standard output, which then holds the model
		_, err = fmt.Fprintln(c.ErrOrStderr(), text)
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s, %s\n", text, humanize.IBytes(uint64(info.Size())))
	return err
}

// exportFormat returns the format that the flags name.
func (f exportFlags) exportFormat() (string, error) {
	if f.format != "" {
		return f.format, nil
	}
	switch strings.ToLower(filepath.Ext(f.out)) {
	case ".onnx":
		return formatONNX, nil
	case ".safetensors":
		return formatSafetensors, nil
	}
	return "", &commandLineError{fmt.Sprintf("--out %s ends with neither .onnx nor .safetensors: name the format with --format onnx or --format safetensors", f.out)}
}
