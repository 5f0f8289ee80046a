// Package modeltest makes random networks, the strongest test of what runs
// them: any depth, widths, kernels, strides, pools and residual blocks that the
// grammar allows.
package modeltest

import (
	"fmt"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Random returns the network of that seed. It is valid, and small enough for
// a reference of naive loops.
func Random(seed uint64) model.Network {
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	n := model.Network{
		Name:    fmt.Sprintf("random%d", seed),
		Input:   model.Shape{H: g.between(4, 13), W: g.between(4, 13), C: []int{1, 3}[g.IntN(2)]},
		Classes: make([]string, g.between(2, 12)),
	}
	for i := range n.Classes {
		n.Classes[i] = fmt.Sprintf("class %d", i)
	}
	var layers []model.Layer
	for range g.between(0, 6) {
		layers = g.grow(n, layers, g.imageLayer(2))
	}
	if g.IntN(3) == 0 {
		layers = append(layers, model.AvgPool{})
	}
	layers = append(layers, model.Flatten{})
	for range g.between(0, 3) {
		layers = g.grow(n, layers, g.vectorLayer())
	}
	n.Layers = append(layers, model.Linear{Out: model.AsClasses})
	return n
}

type generator struct{ *rand.Rand }

// between returns a number from low to high.
func (g generator) between(low, high int) int { return low + g.IntN(high-low+1) }

func (g generator) oneIn(n int) bool { return g.IntN(n) == 0 }

// grow appends more to layers, if the network stays valid.
func (g generator) grow(n model.Network, layers, more []model.Layer) []model.Layer {
	longer := append(append([]model.Layer{}, layers...), more...)
	n.Layers = append(append([]model.Layer{}, longer...), model.Flatten{}, model.Linear{Out: model.AsClasses})
	if n.Check() != nil {
		return layers
	}
	return longer
}

// imageLayer returns what may come before flatten: mostly a convolution with
// what usually follows it.
func (g generator) imageLayer(depth int) []model.Layer {
	switch kind := g.IntN(10); {
	case kind < 5:
		return g.convolution(g.between(1, 12))
	case kind < 8 && depth > 0:
		return g.residual(depth)
	case kind == 8:
		return []model.Layer{model.BatchNorm{}, g.activation()}
	}
	return []model.Layer{g.pool()}
}

func (g generator) activation() model.Layer {
	return model.Activation{Function: []model.Function{model.ReLU, model.ReLU, model.GELU, model.SiLU}[g.IntN(4)]}
}

func (g generator) pool() model.Layer {
	size, stride := g.between(1, 3), g.IntN(4)
	if g.oneIn(3) {
		return model.AvgPool{Kernel: size, Stride: stride}
	}
	return model.MaxPool{Kernel: size, Stride: stride}
}

// convolution is a convolution with or without batch-norm, activation, pool
// and dropout.
func (g generator) convolution(out int) []model.Layer {
	kernel := []int{1, 2, 3, 3, 5}[g.IntN(5)]
	layers := []model.Layer{model.Conv{Out: out, Kernel: kernel, Stride: g.IntN(4), Padding: g.IntN(kernel/2 + 1), NoBias: g.oneIn(2)}}
	if !g.oneIn(4) {
		layers = append(layers, model.BatchNorm{})
	}
	if !g.oneIn(4) {
		layers = append(layers, g.activation())
	}
	if g.oneIn(4) {
		layers = append(layers, model.MaxPool{Kernel: 2})
	}
	if g.oneIn(5) {
		layers = append(layers, g.dropout())
	}
	return layers
}

func (g generator) dropout() model.Layer {
	return model.Dropout{P: []float64{0, .1, .5}[g.IntN(3)]}
}

// residual is a block that keeps the shape, or one that changes it by a
// convolution in each branch, and perhaps a ReLU.
func (g generator) residual(depth int) []model.Layer {
	var r model.Residual
	if g.oneIn(2) {
		r.Body = g.keepingShape(depth - 1)
		if g.oneIn(3) {
			r.Shortcut = g.keepingShape(0)
		}
	} else {
		out, stride := g.between(1, 12), g.between(1, 2)
		r.Body = append([]model.Layer{model.Conv{Out: out, Kernel: 3, Stride: stride, Padding: 1}}, g.keepingShape(depth-1)...)
		r.Shortcut = []model.Layer{model.Conv{Out: out, Kernel: 1, Stride: stride, NoBias: true}}
		if g.oneIn(2) {
			r.Shortcut = append(r.Shortcut, model.BatchNorm{})
		}
	}
	layers := []model.Layer{r}
	if g.oneIn(2) {
		layers = append(layers, model.Activation{Function: model.ReLU})
	}
	return layers
}

// keepingShape is the body of a residual block: layers that change no shape,
// among them such that do nothing at all.
func (g generator) keepingShape(depth int) []model.Layer {
	choices := [][]model.Layer{{model.BatchNorm{}, g.activation()}, {g.activation()}, {g.dropout()}, {model.MaxPool{Kernel: 1}}}
	if depth > 0 {
		choices = append(choices, g.residual(depth))
	}
	layers := choices[g.IntN(len(choices))]
	if g.oneIn(3) {
		layers = append(layers, choices[g.IntN(len(choices))]...)
	}
	return layers
}

// vectorLayer returns what may come after flatten.
func (g generator) vectorLayer() []model.Layer {
	switch g.IntN(5) {
	case 0:
		return []model.Layer{model.BatchNorm{}, g.activation()}
	case 1:
		return []model.Layer{model.Residual{Body: []model.Layer{model.BatchNorm{}, g.activation(), g.dropout()}}}
	}
	return []model.Layer{model.Linear{Out: g.between(1, 20), NoBias: g.oneIn(3)}, g.activation(), g.dropout()}
}
