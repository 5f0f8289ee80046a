package trainer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// snapshot is a network's weights on the host, in the device's layout.
type snapshot struct {
	values, running []float32 // of net.EvalValues and net.EvalRunning
	steps           int       // number of optimiser steps taken
}

// readSnapshot copies the weights from the device.
func readSnapshot(net *model.Net, prog kernels.Program, steps int) (snapshot, error) {
	s := snapshot{make([]float32, net.Values.Len()), make([]float32, net.Running.Len()), steps}
	if err := prog.Read(net.EvalValues, kernels.AsBytes(s.values)); err != nil {
		return snapshot{}, err
	}
	if net.Running.Len() == 0 {
		return s, nil
	}
	return s, prog.Read(net.EvalRunning, kernels.AsBytes(s.running))
}

// write copies the weights to the device, also as their own moving average.
func (s snapshot) write(net *model.Net, prog kernels.Program) error {
	if err := net.WriteWeights(prog, net.Values, s.values); err != nil {
		return err
	}
	if net.Running.Len() == 0 {
		return nil
	}
	return net.WriteWeights(prog, net.Running, s.running)
}

// sha256 identifies the weights.
func (s snapshot) sha256() string {
	sum := sha256.New()
	sum.Write(kernels.AsBytes(s.values))
	sum.Write(kernels.AsBytes(s.running))
	return hex.EncodeToString(sum.Sum(nil))
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
	runningVar     = ".running_var"
	batchesTracked = ".num_batches_tracked"
)

// tensors returns the weights with the names and layout of a PyTorch state_dict.
func (s snapshot) tensors(net *model.Net) []checkpoint.Tensor {
	var tensors []checkpoint.Tensor
	for _, p := range allParams(net) {
		tensors = append(tensors, checkpoint.Tensor{Name: p.Name, Shape: p.Layout.Shape,
			Data: checkpoint.ToTorch(s.part(net, p), p.Layout)})
		if layer, ok := strings.CutSuffix(p.Name, runningMean); ok {
			tensors = append(tensors, checkpoint.Scalar(layer+batchesTracked, int64(s.steps)))
		}
	}
	return tensors
}

// parseSnapshot takes the weights from a file's tensors, which must fit the
// network. The error is [checkpoint.ErrBadCheckpoint].
func parseSnapshot(net *model.Net, f *checkpoint.File) (snapshot, error) {
	want := specs(net)
	tensors, err := f.Fit(want)
	if err != nil {
		return snapshot{}, err
	}
	byName := map[string]checkpoint.Tensor{}
	s := snapshot{values: make([]float32, net.Values.Len()), running: make([]float32, net.Running.Len())}
	for i, t := range tensors {
		byName[t.Name] = t
		if want[i].Count {
			s.steps = int(t.Ints[0])
		}
	}
	for _, p := range allParams(net) {
		data := byName[p.Name].Data
		if i := slices.IndexFunc(data, func(x float32) bool { return x < 0 }); i >= 0 && strings.HasSuffix(p.Name, runningVar) {
			return snapshot{}, badCheckpoint("element %d of %s is %v, and a variance is at least 0", i, p.Name, data[i])
		}
		copy(s.part(net, p), checkpoint.FromTorch(data, p.Layout))
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
			list = append(list, checkpoint.Spec{Name: layer + batchesTracked, Shape: []int{}, Count: true})
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
	if err == nil {
		return s, nil
	}
	hint := ""
	if fitting, e := identify(f); e == nil && fitting.Name != net.Config.Network.Name {
		hint = "; they match the model " + fitting.Name
	}
	return snapshot{}, fmt.Errorf("checkpoint %s as %s: %w%s", path, net.Config.Network.Name, err, hint)
}

// WeightsFile returns the file that a checkpoint argument refers to: the file
// itself, or the best weights in a run's folder. A folder without them is
// [checkpoint.ErrBadCheckpoint]; a missing file is not an error here.
func WeightsFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return path, nil // a missing file is reported where it is read
	}
	best := filepath.Join(path, BestWeights)
	if _, err := os.Stat(best); err == nil {
		return best, nil
	}
	if files := append(checkpointsIn(path), checkpointsIn(filepath.Dir(best))...); len(files) > 0 {
		return "", badCheckpoint("the folder %s has no %s; name a file in it, such as %s",
			path, BestWeights, files[0])
	}
	return "", badCheckpoint("the folder %s has no %s; name a run's folder, a .safetensors or a .pth file", path, BestWeights)
}

// checkpointsIn returns the files in a folder that have a checkpoint's extension.
func checkpointsIn(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".safetensors", ".pth", ".pt", ".ckpt":
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}
