package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Network is a network as a value: what goes in, what comes out, and the
// layers in between. The built-in ones ([Zoo]) and those of users (ParseYAML)
// are written in the same terms.
type Network struct {
	Name    string
	Input   Shape    // of one image
	Classes []string // names, in the order of the labels
	Layers  []Layer

	source *source // where the layers were read from, for errors; may be nil
}

// Shape is the shape of one sample's activation. After [Flatten] it is a
// vector of H·W·C elements; H, W and C still say where they came from.
type Shape struct {
	H, W, C int
	Flat    bool
}

// Len returns the number of elements.
func (s Shape) Len() int { return s.H * s.W * s.C }

// String formats the shape: "28×28×1", or "6272 values" of a vector.
func (s Shape) String() string {
	switch {
	case s.Flat && s.Len() == 1:
		return "1 value"
	case s.Flat:
		return fmt.Sprintf("%d values", s.Len())
	}
	return fmt.Sprintf("%d×%d×%d", s.H, s.W, s.C)
}

// Layer is one of the layer types of this package: [Conv], [BatchNorm],
// [Activation], [MaxPool], [AvgPool], [Residual], [Flatten], [Dropout] and
// [Linear].
type Layer interface {
	// kind is the layer's key in YAML.
	kind() string
	// output returns the shape that comes out, given the one that goes in. The
	// error says what does not fit and what would.
	output(in Shape, classes int) (Shape, error)
}

// Conv is a 2-d convolution, cross-correlation as in PyTorch's Conv2d, with a
// square kernel, stride and zero padding. Parameters: NAME.weight, NAME.bias.
type Conv struct {
	Name    string // "" for conv and its number
	Out     int    // channels
	Kernel  int
	Stride  int // 0 for 1
	Padding int
	NoBias  bool
}

// BatchNorm is batch normalisation of each channel with PyTorch's ε 1e-5 and
// momentum .1. It normalises by the batch's statistics in training and by the
// running ones in evaluation. Parameters: NAME.weight, NAME.bias; buffers:
// NAME.running_mean, NAME.running_var.
type BatchNorm struct {
	Name string // "" for bn and its number
}

// Activation is an element-wise function.
type Activation struct {
	Function Function
}

// Function names an element-wise function.
type Function string

// The functions that an [Activation] can have.
const (
	ReLU Function = "relu"
	GELU Function = "gelu" // the exact form
	SiLU Function = "silu"
)

// MaxPool takes the maximum of square windows, without padding. Rows and
// columns that do not fill a window are left out.
type MaxPool struct {
	Kernel int
	Stride int // 0 for Kernel
}

// AvgPool takes the mean of square windows, as [MaxPool] the maximum. Without
// a kernel it is global: the mean of each channel.
type AvgPool struct {
	Kernel int // 0 for the whole image
	Stride int // 0 for Kernel
}

// Residual is Body(x) + Shortcut(x); without a shortcut, Body(x) + x. Layers
// inside are named NAME.LAYER.
type Residual struct {
	Name     string // "" for residual and its number
	Body     []Layer
	Shortcut []Layer
}

// Flatten makes a vector of an image, in PyTorch's order (C, H, W).
type Flatten struct{}

// Dropout zeroes units with probability P in training, and scales the others
// by 1/(1−P).
type Dropout struct{ P float64 }

// Linear is a fully connected layer over a vector. Parameters: NAME.weight,
// NAME.bias.
type Linear struct {
	Name   string // "" for fc and its number
	Out    int    // units, or AsClasses
	NoBias bool
}

// AsClasses as [Linear].Out stands for the number of the network's classes.
const AsClasses = -1

func (Conv) kind() string         { return "conv" }
func (BatchNorm) kind() string    { return "batchnorm" }
func (a Activation) kind() string { return string(a.Function) }
func (MaxPool) kind() string      { return "maxpool" }
func (AvgPool) kind() string      { return "avgpool" }
func (Residual) kind() string     { return "residual" }
func (Flatten) kind() string      { return "flatten" }
func (Dropout) kind() string      { return "dropout" }
func (Linear) kind() string       { return "linear" }

// Bounds of a network, far above what fits this program's images, so that a
// mistake is an error and not a machine out of memory.
const (
	maxLayers     = 1000
	maxDepth      = 8       // of residual blocks inside each other
	maxSide       = 1 << 12 // of an image, as augmentation has it
	maxChannels   = 1 << 16
	maxParameters = 1 << 30 // 4 GiB of float32
	maxElements   = 1 << 28 // of one sample's activation

	// maxOperations is the most operations for one image: ResNet-50 takes 4 % of it for
	// 224×224 pixels, and 86 % for 1024×1024, the largest pictures of a dataset. Without a
	// bound, large windows make a file of some hundred bytes compute for hours.
	maxOperations = 1e11
)

// Check returns an error that names the first invalid layer, its input and what
// would fit.
func (n Network) Check() error {
	if len(n.Classes) < 1 {
		return fmt.Errorf("network %s has no classes", n.Name)
	}
	s := n.Input
	if s.Flat || min(s.H, s.W, s.C) < 1 || max(s.H, s.W) > maxSide || s.C > maxChannels {
		return fmt.Errorf("network %s has an input of %v: want a height and width of 1 to %d and 1 to %d channels", n.Name, s, maxSide, maxChannels)
	}
	named, err := n.named()
	if err != nil {
		return err
	}
	var total size
	out, err := n.shapes(named, s, &total)
	if err != nil {
		return err
	}
	if !out.Flat || out.Len() != len(n.Classes) {
		return n.fault(named[len(named)-1], Shape{}, fmt.Errorf("the network ends with %v, but there are %d classes: end it with linear: {out: classes}", out, len(n.Classes)))
	}
	if total.parameters == 0 {
		return n.fault(named[len(named)-1], Shape{}, errors.New("the network has no weights to train: end it with linear: {out: classes}"))
	}
	return nil
}

// WithDropout returns the network with another probability in every dropout.
func (n Network) WithDropout(p float64) Network {
	n.Layers = withDropout(n.Layers, p)
	return n
}

// HasDropout reports whether a layer of the network is a dropout.
func (n Network) HasDropout() bool { return hasDropout(n.Layers) }

func hasDropout(layers []Layer) bool {
	return slices.ContainsFunc(layers, func(l Layer) bool {
		switch l := l.(type) {
		case Dropout:
			return true
		case Residual:
			return hasDropout(l.Body) || hasDropout(l.Shortcut)
		}
		return false
	})
}

func withDropout(layers []Layer, p float64) []Layer {
	layers = slices.Clone(layers)
	for i, l := range layers {
		switch l := l.(type) {
		case Dropout:
			layers[i] = Dropout{p}
		case Residual:
			l.Body, l.Shortcut = withDropout(l.Body, p), withDropout(l.Shortcut, p)
			layers[i] = l
		}
	}
	return layers
}

// namedLayer is a layer with the name of its tensors and its place.
type namedLayer struct {
	Layer
	name     string // "block1.conv2"; of every layer, with parameters or without
	place    string // "2.body.0", of source
	body     []namedLayer
	shortcut []namedLayer
}

// prefixes of the names that layers get by default.
var prefixes = map[string]string{"batchnorm": "bn", "linear": "fc"}

// named gives every layer a name and refuses duplicates.
func (n Network) named() ([]namedLayer, error) {
	if len(n.Layers) == 0 {
		return nil, fmt.Errorf("network %s has no layers", n.Name)
	}
	c := namer{network: n, used: map[string]string{}}
	return c.scope(n.Layers, "", "", map[string]int{}, 0)
}

type namer struct {
	network Network
	used    map[string]string // name -> place
	layers  int
}

func (c *namer) scope(layers []Layer, prefix, place string, numbers map[string]int, depth int) ([]namedLayer, error) {
	var named []namedLayer
	for i, l := range layers {
		at := namedLayer{Layer: l, place: fmt.Sprintf("%s%d", place, i)}
		if c.layers++; c.layers > maxLayers || depth > maxDepth {
			return nil, c.network.fault(at, Shape{}, fmt.Errorf("a network has at most %d layers, %d residual blocks deep", maxLayers, maxDepth))
		}
		if err := checkLayer(l); err != nil {
			return nil, fmt.Errorf("layer %d of network %s %w", i+1, c.network.Name, err)
		}
		short := l.kind()
		if p := prefixes[short]; p != "" {
			short = p
		}
		numbers[short]++
		at.name = prefix + fmt.Sprintf("%s%d", short, numbers[short])
		if given := givenName(l); given != "" {
			at.name = prefix + given
			if !validName(given) {
				return nil, c.network.fault(at, Shape{}, fmt.Errorf("the name %q: want letters, digits, \"_\" and \"-\"", given))
			}
		}
		if before, twice := c.used[at.name]; twice {
			return nil, c.network.fault(at, Shape{}, fmt.Errorf("a layer%s has that name already: give one of them another", c.network.source.on(before)))
		}
		c.used[at.name] = at.place
		if r, ok := l.(Residual); ok {
			inside := map[string]int{}
			var err error
			if at.body, err = c.scope(r.Body, at.name+".", at.place+".body.", inside, depth+1); err != nil {
				return nil, err
			}
			if at.shortcut, err = c.scope(r.Shortcut, at.name+".", at.place+".shortcut.", inside, depth+1); err != nil {
				return nil, err
			}
		}
		named = append(named, at)
	}
	return named, nil
}

// checkLayer refuses what is not a value of a layer type: pointers to such have the
// methods of a [Layer], too.
func checkLayer(l Layer) error {
	switch l.(type) {
	case Conv, BatchNorm, Activation, MaxPool, AvgPool, Residual, Flatten, Dropout, Linear:
		return nil
	case nil:
		return fmt.Errorf("is nil")
	}
	return fmt.Errorf("is a %T: want a value of a layer type, not a pointer", l)
}

func givenName(l Layer) string {
	switch l := l.(type) {
	case Conv:
		return l.Name
	case BatchNorm:
		return l.Name
	case Linear:
		return l.Name
	case Residual:
		return l.Name
	}
	return ""
}

// size is that of layers: their parameters, and their operations for one image.
type size struct {
	parameters int
	operations int64
}

// shapes follows a sample's shape through the layers, and adds their sizes to those of all
// so far.
func (n Network) shapes(layers []namedLayer, in Shape, all *size) (Shape, error) {
	for _, l := range layers {
		out, err := l.output(in, len(n.Classes))
		if err == nil && l.body != nil {
			out, err = n.residualShape(l, in, all)
			if err != nil {
				return out, err
			}
		}
		if err == nil {
			err = all.add(l.Layer, in, out)
		}
		if err != nil {
			return out, n.fault(l, in, err)
		}
		in = out
	}
	return in, nil
}

// add adds the size of a layer to that of all so far. It refuses one that makes the network
// too large.
func (all *size) add(l Layer, in, out Shape) error {
	parameters, _ := cost(l, in, out)
	all.parameters += parameters
	switch {
	case parameters > maxParameters:
		return fmt.Errorf("it would have %d parameters: want at most %d", parameters, maxParameters)
	case all.parameters > maxParameters:
		return fmt.Errorf("with it, the network would have %d parameters: want at most %d", all.parameters, maxParameters)
	case out.Len() > maxElements:
		return fmt.Errorf("its output, %v, is too large: want at most %d values", out, maxElements)
	}
	n := operations(l, in, out) // which cannot overflow, within these bounds
	all.operations += n
	switch {
	case n > maxOperations:
		return fmt.Errorf("it would take %.2g operations for each image: want at most %.0g", float64(n), maxOperations)
	case all.operations > maxOperations:
		return fmt.Errorf("with it, the network would take %.2g operations for each image: want at most %.0g", float64(all.operations), maxOperations)
	}
	return nil
}

// residualShape follows both branches, which must end alike.
func (n Network) residualShape(l namedLayer, in Shape, all *size) (Shape, error) {
	body, err := n.shapes(l.body, in, all)
	if err != nil {
		return body, err
	}
	shortcut, err := n.shapes(l.shortcut, in, all)
	if err != nil {
		return body, err
	}
	if body != shortcut {
		remedy := "let its body keep the shape, or add a shortcut with a 1×1 convolution"
		if len(l.shortcut) > 0 {
			remedy = "give both the same stride and channels"
		}
		return body, n.fault(l, in, fmt.Errorf("its body gives %v, its shortcut %v: %s", body, shortcut, remedy))
	}
	return body, nil
}

// LayerError is the error of an invalid layer.
type LayerError struct {
	File   string // with Line, where the layer was written down; "" if nowhere
	Line   int
	Layer  string // its name
	Kind   string // its key in YAML
	Input  Shape  // the output of the layer before; zero if it does not matter
	Reason string // what is wrong, and what would fit
}

// Error names file, line, layer and its input.
func (e *LayerError) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s: line %d: ", e.File, e.Line)
	}
	var about []string
	if !strings.HasPrefix(e.Layer, e.Kind) {
		about = append(about, e.Kind)
	}
	if e.Input != (Shape{}) {
		about = append(about, "input "+e.Input.String())
	}
	fmt.Fprintf(&b, "layer %s", e.Layer)
	if about != nil {
		fmt.Fprintf(&b, " (%s)", strings.Join(about, ", "))
	}
	return b.String() + ": " + e.Reason
}

func (n Network) fault(l namedLayer, in Shape, reason error) error {
	e := &LayerError{Layer: l.name, Input: in, Reason: reason.Error()}
	if l.Layer != nil {
		e.Kind = l.kind()
	}
	if e.Layer == "" {
		e.Layer = e.Kind
	}
	e.File, e.Line = n.source.at(l.place)
	return e
}

func (l Conv) output(in Shape, _ int) (Shape, error) {
	stride := max(l.Stride, 1)
	switch {
	case in.Flat:
		return in, errFlat
	case l.Out < 1 || l.Out > maxChannels:
		return in, fmt.Errorf("out is %d: want 1 to %d channels", l.Out, maxChannels)
	case l.Kernel < 1 || l.Stride < 0 || l.Padding < 0 || l.Padding > maxSide || l.Stride > maxSide:
		return in, fmt.Errorf("kernel %d, stride %d, padding %d: want a kernel of at least 1, a stride of 1 to %d and a padding of 0 to %d", l.Kernel, stride, l.Padding, maxSide, maxSide)
	case in.H+2*l.Padding < l.Kernel || in.W+2*l.Padding < l.Kernel:
		return in, fmt.Errorf("a kernel of %d does not fit with padding %d: use at most %d, or more padding", l.Kernel, l.Padding, min(in.H, in.W)+2*l.Padding)
	}
	return Shape{H: convOutput(in.H, l), W: convOutput(in.W, l), C: l.Out}, nil
}

var errFlat = fmt.Errorf("it needs an image: put it before flatten")

func (BatchNorm) output(in Shape, _ int) (Shape, error) { return in, nil }

func (l Activation) output(in Shape, _ int) (Shape, error) {
	if l.Function != ReLU && l.Function != GELU && l.Function != SiLU {
		return in, fmt.Errorf("the function %q is unknown: want relu, gelu or silu", l.Function)
	}
	return in, nil
}

func (l MaxPool) output(in Shape, _ int) (Shape, error) { return poolOutput(in, l.Kernel, l.Stride) }

func (l AvgPool) output(in Shape, _ int) (Shape, error) {
	if l.Kernel == 0 && l.Stride == 0 && !in.Flat {
		return Shape{H: 1, W: 1, C: in.C}, nil
	}
	return poolOutput(in, l.Kernel, l.Stride)
}

func poolOutput(in Shape, kernel, stride int) (Shape, error) {
	if stride == 0 {
		stride = kernel
	}
	switch {
	case in.Flat:
		return in, errFlat
	case kernel < 1 || stride < 1 || stride > maxSide:
		return in, fmt.Errorf("kernel %d, stride %d: want both at least 1, and a stride of at most %d", kernel, stride, maxSide)
	case kernel > min(in.H, in.W):
		return in, fmt.Errorf("a window of %d×%d does not fit: use at most %d", kernel, kernel, min(in.H, in.W))
	}
	return Shape{H: (in.H-kernel)/stride + 1, W: (in.W-kernel)/stride + 1, C: in.C}, nil
}

func (l Residual) output(in Shape, _ int) (Shape, error) {
	if len(l.Body) == 0 {
		return in, fmt.Errorf("its body is empty: give it at least one layer")
	}
	return in, nil // the branches say more
}

func (Flatten) output(in Shape, _ int) (Shape, error) {
	in.Flat = true
	return in, nil
}

func (l Dropout) output(in Shape, _ int) (Shape, error) {
	if !(l.P >= 0 && float32(l.P) < 1) {
		return in, fmt.Errorf("the probability is %v: want 0 to below 1", l.P)
	}
	return in, nil
}

func (l Linear) output(in Shape, classes int) (Shape, error) {
	out := l.units(classes)
	switch {
	case !in.Flat:
		return in, fmt.Errorf("it needs a vector: put flatten before it")
	case out < 1 || out > maxChannels:
		return in, fmt.Errorf("out is %d: want 1 to %d units, or the word classes", l.Out, maxChannels)
	}
	return Shape{H: 1, W: 1, C: out, Flat: true}, nil
}

func (l Linear) units(classes int) int {
	if l.Out == AsClasses {
		return classes
	}
	return l.Out
}
