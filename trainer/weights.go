package trainer

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// snapshot is a network's weights on the host, in the device's layout.
type snapshot struct {
	values, running []float32 // of net.Values and net.Running
	steps           int       // optimiser steps that led to them
}

// readSnapshot copies the weights from the device.
func readSnapshot(net *model.Net, prog kernels.Program, steps int) (snapshot, error) {
	s := snapshot{make([]float32, net.Values.Len()), make([]float32, net.Running.Len()), steps}
	if err := prog.Read(net.Values, kernels.AsBytes(s.values)); err != nil {
		return snapshot{}, err
	}
	if net.Running.Len() == 0 {
		return s, nil
	}
	return s, prog.Read(net.Running, kernels.AsBytes(s.running))
}

// write copies the weights to the device.
func (s snapshot) write(net *model.Net, prog kernels.Program) error {
	if err := prog.Write(net.Values, kernels.AsBytes(s.values)); err != nil {
		return err
	}
	if net.Running.Len() == 0 {
		return nil
	}
	return prog.Write(net.Running, kernels.AsBytes(s.running))
}

// part returns the elements of a parameter or running statistic.
func (s snapshot) part(net *model.Net, p model.Param) []float32 {
	arena := s.values
	if p.Tensor.Buffer == net.Running.Buffer {
		arena = s.running
	}
	return arena[p.Tensor.Offset:][:p.Tensor.Len()]
}

const (
	runningMean    = ".running_mean"
	batchesTracked = ".num_batches_tracked"
)

// save writes the weights as PyTorch's state_dict would name and lay them out.
func (s snapshot) save(path string, net *model.Net, metadata map[string]string) error {
	var tensors []checkpoint.Tensor
	for _, p := range allParams(net) {
		tensors = append(tensors, checkpoint.Tensor{Name: p.Name, Shape: p.Layout.Shape,
			Data: checkpoint.ToTorch(s.part(net, p), p.Layout)})
		if layer, ok := strings.CutSuffix(p.Name, runningMean); ok {
			tensors = append(tensors, checkpoint.Scalar(layer+batchesTracked, int64(s.steps)))
		}
	}
	return checkpoint.Save(path, tensors, metadata)
}

// parseSnapshot takes the weights from a file's tensors, all of which must be
// the network's.
func parseSnapshot(net *model.Net, f *checkpoint.File) (snapshot, error) {
	if err := checkpoint.Match(specs(net), f.Tensors); err != nil {
		return snapshot{}, err
	}
	s := snapshot{values: make([]float32, net.Values.Len()), running: make([]float32, net.Running.Len())}
	for _, p := range allParams(net) {
		t, _ := f.Tensor(p.Name)
		copy(s.part(net, p), checkpoint.FromTorch(t.Data, p.Layout))
		if layer, ok := strings.CutSuffix(p.Name, runningMean); ok {
			tracked, _ := f.Tensor(layer + batchesTracked)
			s.steps = int(tracked.Ints[0])
		}
	}
	return s, nil
}

// allParams lists trainable parameters and running statistics.
func allParams(net *model.Net) []model.Param {
	return append(append([]model.Param{}, net.Params...), net.Stats...)
}

// specs lists the tensors of the network's state_dict.
func specs(net *model.Net) []checkpoint.Spec {
	var list []checkpoint.Spec
	for _, p := range allParams(net) {
		list = append(list, checkpoint.Spec{Name: p.Name, Shape: p.Layout.Shape})
		if layer, ok := strings.CutSuffix(p.Name, runningMean); ok {
			list = append(list, checkpoint.Spec{Name: layer + batchesTracked, Shape: []int{}, Integer: true})
		}
	}
	return list
}

// loadSnapshot reads weights for a given network. The error, which is
// [checkpoint.ErrBadCheckpoint], names the file.
func loadSnapshot(path string, net *model.Net) (snapshot, error) {
	path, err := WeightsFile(path)
	if err != nil {
		return snapshot{}, err
	}
	f, err := checkpoint.Load(path)
	if err != nil {
		return snapshot{}, err
	}
	s, err := parseSnapshot(net, f)
	if err != nil {
		return snapshot{}, fmt.Errorf("checkpoint %s as %s: %w", path, net.Config.Model, err)
	}
	return s, nil
}

// WeightsFile returns the file that a checkpoint argument means:
// the file itself, or the best weights of a run's folder.
func WeightsFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return path, nil // a missing file is reported where it is read
	}
	best := filepath.Join(path, bestWeights)
	if _, err := os.Stat(best); err != nil {
		return "", fmt.Errorf("%w: the folder %s has no %s; name a run's folder, a .safetensors or a .pth file",
			checkpoint.ErrBadCheckpoint, path, bestWeights)
	}
	return best, nil
}

// identify returns the model whose tensors a file holds: the names and shapes
// decide, whatever its metadata says. The error of a file that fits none is
// that of the model with which it has most names in common.
func identify(f *checkpoint.File) (string, error) {
	var closest error
	most := -1
	for _, name := range model.Names() {
		net, err := model.Build(model.Config{Model: name})
		if err != nil {
			return "", err
		}
		want := specs(net)
		err = checkpoint.Match(want, f.Tensors)
		if err == nil {
			return name, nil
		}
		common := 0
		for _, w := range want {
			if _, ok := f.Tensor(w.Name); ok {
				common++
			}
		}
		if common > most {
			closest, most = fmt.Errorf("as %s: %w", name, err), common
		}
	}
	return "", fmt.Errorf("it is none of %s; %w", strings.Join(model.Names(), ", "), closest)
}

// metadata describes weights for whoever finds the file alone.
func metadata(c Config, epoch int, version string) map[string]string {
	return map[string]string{"model": c.Model, "seed": strconv.FormatUint(c.Seed, 10),
		"epoch": strconv.Itoa(epoch), "select_on": c.SelectOn, "version": version, "format": "pt"}
}
