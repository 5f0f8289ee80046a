package trainer

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Model is a trained network, ready to classify images on a backend, which must stay
// open. Its methods may be called concurrently.
type Model struct {
	Network       model.Network
	Normalization model.Normalization
	// Framing says how the training images were cut out of pictures.
	Framing picture.Framing
	Origin  Origin

	backend kernels.Backend
	net     *model.Net // gives the places of the weights
	weights snapshot

	lock       sync.Mutex
	classifier *session // of PredictBatch; nil until it is needed
	tracer     *session // of Activations; likewise
}

// Load reads a model from a checkpoint: a run's folder, for its best weights, or a
// .safetensors or PyTorch .pth file. What the file's metadata does not say about the
// network, the names and shapes of its tensors do, if the network is built in. The
// error is [checkpoint.ErrBadCheckpoint]. Without a backend, nil, the model can be
// looked at, but not classify.
func Load(path string, backend kernels.Backend) (*Model, error) {
	return load(path, backend, (*Model).describe)
}

// LoadAs reads a model as [Load] does, but takes the given network instead of looking
// for one. The weights must fit it.
func LoadAs(path string, backend kernels.Backend, n model.Network) (*Model, error) {
	return load(path, backend, func(m *Model, f *checkpoint.File) (err error) {
		m.Network, m.Origin, m.Framing = n, originOf(f.Metadata), framingOf(f.Metadata, n)
		m.Normalization, err = normalizationOf(f.Metadata, n)
		return err
	})
}

func load(path string, backend kernels.Backend, describe func(*Model, *checkpoint.File) error) (*Model, error) {
	path, err := WeightsFile(path)
	if err != nil {
		return nil, err
	}
	f, err := checkpoint.Load(path)
	if err != nil {
		return nil, err
	}
	m := &Model{backend: backend}
	if err = describe(m, f); err == nil {
		if m.net, err = model.Build(model.Config{Network: m.Network}); err == nil {
			m.weights, err = parseSnapshot(m.net, f)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return m, nil
}

// Save writes the weights to a safetensors file, with the names and layout of a
// PyTorch state_dict, and everything that [Load] needs to know in its metadata. The
// file is written whole or not at all. A name that says another format (.pth, .pt or
// .onnx), and no name, are [ErrUsage].
func (m *Model) Save(path string) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pth", ".pt", ".onnx":
		return usage("cannot save weights as %s: the file is safetensors, so let its name end in .safetensors", setting.Shown(path))
	}
	if path == "" {
		return usage("cannot save weights in a file without a name")
	}
	about, err := m.Metadata()
	if err != nil {
		return err
	}
	about["format"] = "pt" // the convention of safetensors for PyTorch's names and layout
	return checkpoint.Save(path, m.Tensors(), about)
}

// Tensors returns the weights with the names and layout of a PyTorch state_dict.
func (m *Model) Tensors() []checkpoint.Tensor { return m.weights.tensors(m.net) }

// Close frees the memory that the model takes on the device. The model can be used
// again afterwards.
func (m *Model) Close() error {
	m.lock.Lock()
	defer m.lock.Unlock()
	var errs []error
	for _, s := range []*session{m.classifier, m.tracer} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	m.classifier, m.tracer = nil, nil
	return errors.Join(errs...)
}

// info describes the images and classes of the model.
func (m *Model) info() dataset.Info {
	return dataset.Info{Name: m.Network.Name, Classes: m.Network.Classes, Shape: imageShape(m.Network)}
}

// open compiles the network, as the rest of the configuration says, with its weights
// and the images on the device, or room for Config.Images.
func (m *Model) open(c model.Config, images ...dataset.Split) (*session, error) {
	if m.backend == nil {
		return nil, usage("the model was loaded without a backend, so it cannot compute")
	}
	c.Network, c.Normalization = m.Network, m.Normalization
	s, err := open(m.backend, c, images...)
	if err != nil {
		return nil, err
	}
	if err := m.weights.write(s.net, s.prog); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}
