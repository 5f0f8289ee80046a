package main

import (
	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// checkpointFlags name the weights of a trained model and, if the file does not say it,
// their network.
type checkpointFlags struct {
	path  string
	model string
}

// add adds the flags; usage says what the weights are for.
func (f *checkpointFlags) add(g flagGroup, usage string) {
	bind(g, &f.path, "checkpoint", setting.Path("PATH", "a run's folder, or a .safetensors or .pth file"), usage+": a run's folder, or a .safetensors or PyTorch .pth file")
	bind(g, &f.model, "model", kindOf("model"), "network, if the file does not name it and it is not built in: "+kindOf("model").Want)
}

// check refuses a command line that names no weights.
func (f checkpointFlags) check() error {
	if f.path == "" {
		return &commandLineError{"--checkpoint is missing: name a run's folder, or a .safetensors or .pth file"}
	}
	return nil
}

// load reads the model. A network named with --model is built for the images and
// classes d.
func (f checkpointFlags) load(c *cobra.Command, b kernels.Backend, d dataset.Info) (*trainer.Model, error) {
	if f.model == "" {
		return trainer.Load(f.path, b)
	}
	if !isNetwork(f.model) {
		return nil, &commandLineError{setting.Errorf("--model is %s: want %s", setting.Shown(f.model), kindOf("model").Want).Error()}
	}
	n, err := findNetwork(c, f.model, d)
	if err != nil {
		return nil, err
	}
	return trainer.LoadAs(f.path, b, n)
}
