package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// OpSection names the section that holds nothing but op i of a training or evaluation
// section, in a net that is built with [Config].ByOp.
func OpSection(section string, i int) string { return fmt.Sprintf("%s/%d", section, i) }

// writeByOp writes a section for each op of the sections so far.
func (n *Net) writeByOp() {
	for _, s := range slices.Clone(n.Plan.Sections) {
		for i, op := range s.Ops {
			n.Plan.Section(OpSection(s.Name, i)).Add(op)
		}
	}
}

// NameOf names element i of a tensor of the plan: "conv1.weight", "the gradient of
// conv1.weight", or the buffer of an activation, which bears the name of its layer.
func (n *Net) NameOf(t kernels.Tensor, i int) string {
	at := t.Offset + i
	parameter := func(list []Param) string {
		for _, p := range list {
			if from := p.Tensor.Offset; from <= at && at < from+p.Tensor.Len() {
				return p.Name
			}
		}
		return "padding"
	}
	is := func(flat kernels.Tensor) bool { return !flat.Absent() && flat.Buffer == t.Buffer }
	switch { // all flat tensors of the parameters have the same offsets
	case is(n.Values):
		return parameter(n.Params)
	case is(n.Gradients):
		return "the gradient of " + parameter(n.Params)
	case is(n.Moment1), is(n.Moment2):
		return "the optimiser's moment of " + parameter(n.Params)
	case is(n.Running):
		return parameter(n.Stats)
	case is(n.EvalValues):
		return "the average of " + parameter(n.Params)
	case is(n.EvalRunning):
		return "the average of " + parameter(n.Stats)
	}
	return strings.TrimPrefix(n.Plan.Buffers[t.Buffer].Name, "/")
}
