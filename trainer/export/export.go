// Package export writes a trained network as an ONNX file, which ONNX Runtime and
// other programs run without this one.
//
// The file uses opset 17 and IR version 8, which ONNX Runtime reads from version 1.12
// on. Its input is "input", a batch of any number of images, as [Input] says. Its
// outputs are "logits" and "probabilities", both (batch, classes) float32. Its metadata
// has the keys of [trainer.Model.Metadata].
//
// [trainer.Model.Save] writes the other format, safetensors.
package export

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Options say how to write a network.
type Options struct {
	Input Input // "" for Float32
	// Fold puts every batch-norm that follows a convolution or a fully connected layer
	// into that layer's weights.
	Fold bool
	// Version of the program that writes the file; may be empty.
	Version string
}

// Input is the type of a network's input.
type Input string

// The types of inputs.
const (
	// Float32 is (batch, channels, height, width), normalised as the metadata says:
	// (x/255 − mean)/std of a byte x.
	Float32 Input = "float32"
	// Uint8 is (batch, height, width, channels), bytes as picture libraries hold them.
	// The network normalises them.
	Uint8 Input = "uint8"
)

// WriteONNX writes a model to an ONNX file, which is replaced whole or not at all. The
// folder must exist. A model that is too large for the format, or a wrong option, is
// [trainer.ErrUsage]. Equal arguments give equal bytes.
func WriteONNX(path string, m *trainer.Model, o Options) error {
	switch o.Input {
	case "":
		o.Input = Float32
	case Float32, Uint8:
	default:
		return setting.Errorf("input is %q: want %s or %s", o.Input, Float32, Uint8)
	}
	if err := checkSize(m.Network); err != nil {
		return err
	}
	p, err := modelProto(m, o)
	if err != nil {
		return err
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return fmt.Errorf("export %s: %w", m.Network.Name, err)
	}
	return atomicfile.Write(path, b)
}

// maxBytes is the size of the weights for which the file stays below the largest
// message that protobuf allows, 2 GiB.
const maxBytes = math.MaxInt32 - 1<<20

// checkSize refuses weights that do not fit in an ONNX file.
func checkSize(n model.Network) error {
	layers, err := n.Summary()
	if err != nil {
		return err
	}
	size := int64(0)
	for _, l := range layers {
		size += 4 * int64(l.Parameters)
		if l.Kind == "batchnorm" {
			size += 4 * int64(l.Parameters) // as many running statistics
		}
	}
	if size > maxBytes {
		return setting.Errorf("the network %s has %.1f GiB of weights, and an ONNX file holds at most 2: save it as safetensors", n.Name, float64(size)/(1<<30))
	}
	return nil
}
