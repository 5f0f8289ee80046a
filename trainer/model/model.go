// Package model describes networks, and writes their plans: which buffers they
// need, and the ops of a training step and of an evaluation step, forward and
// backward, one after the other.
//
// A [Network] is a value, a list of layers ([Zoo], [ParseYAML], or a literal in
// Go). [Build] joins neighbouring layers to blocks (join.go), and each block
// knows its parameters and how to write its forward and backward ops
// (blocks.go).
package model

import (
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Config describes what to build. Sizes are fixed when a plan is compiled.
type Config struct {
	Network   Network
	Optimizer Optimizer
	EMA       float64           // decay of the moving average of the weights; 0: none
	Smoothing float32           // label smoothing of the training loss
	Augment   Augmentation      // of the training images
	Precision kernels.Precision // of convolutions and fully connected layers
	// Normalization of the images; without any, DefaultNormalization.
	Normalization Normalization

	Images       int   // images in device memory, training and test together
	TrainBatches []int // batch sizes to write training sections for; none: evaluation only
	TrainImages  int   // images per epoch
	SampleLosses bool  // keep the loss of each training image in Train.SampleLosses
	EvalBatches  []int // batch sizes to write evaluation sections for
	EvalImages   int   // most images per evaluation
	Explain      int   // batch size of ExplainSection; 0: no such section
	Trace        int   // batch size of TraceSection; 0: no such section
	ByOp         bool  // also write the sections of OpSection
}

// Optimizer holds the hyperparameters of Adam, AdamW, SGD or Muon. Those of Adam are also
// those of the parameters that Muon leaves to AdamW.
type Optimizer struct {
	Name         string  // "adam", "adamw", "sgd" or "muon"
	Beta1, Beta2 float64 // of Adam
	Eps          float32 // of Adam
	Momentum     float32 // of SGD and Muon
	Nesterov     bool    // of SGD
	// WeightDecay of Adam applies to every parameter, as in PyTorch. That of the others
	// leaves out the vectors, which are biases and the parameters of batch-norm, as
	// is customary with them: timm's optimisers do the same.
	WeightDecay float64
}

// DefaultAdam returns PyTorch's defaults: β .9 and .999, ε 1e-8.
func DefaultAdam() Optimizer { return Optimizer{Name: "adam", Beta1: .9, Beta2: .999, Eps: 1e-8} }

// DefaultAdamW returns PyTorch's defaults, those of Adam and a weight decay of .01.
func DefaultAdamW() Optimizer {
	o := DefaultAdam()
	o.Name, o.WeightDecay = "adamw", .01
	return o
}

// DefaultSGD returns SGD with Nesterov momentum .9.
func DefaultSGD() Optimizer { return Optimizer{Name: "sgd", Momentum: .9, Nesterov: true} }

// adaptive reports whether the optimiser scales each parameter's steps.
func (o Optimizer) adaptive() bool { return o.Name != "sgd" }

// byGroup reports whether one op updates parameters of different weight decay.
func (o Optimizer) byGroup() bool {
	return (o.Name == "adamw" || o.Name == "sgd") && o.WeightDecay > 0
}

// Net is a network's plan and the tensors that the training loop reads and
// writes. Tensors for training are absent in a net built without TrainBatches.
type Net struct {
	Config Config
	Plan   *kernels.Plan

	Params []Param // trainable, in PyTorch's named_parameters() order
	Stats  []Param // running means and variances of the batch-norms

	// The trainable parameters, their gradients and the optimiser's state, flat.
	Values    kernels.Tensor // of every Param
	Gradients kernels.Tensor
	Moment1   kernels.Tensor // Adam's M, the momentum buffer of SGD and Muon
	Moment2   kernels.Tensor // Adam's V
	Running   kernels.Tensor // of every Stat
	// What evaluations use in place of Values and Running: with Config.EMA their moving
	// averages, else they themselves.
	EvalValues, EvalRunning kernels.Tensor

	Images kernels.Tensor // (Images, H, W, C) uint8
	Labels kernels.Tensor // (Images) uint8
	Table  kernels.Tensor // (C, 256), the normalised value of each byte

	Train Loop // one epoch of training
	Eval  Loop // one evaluation
	// LearningRates has one rate per step of an epoch.
	LearningRates kernels.Tensor // (steps)
	// Probs receives the softmax of each evaluated image, in Eval.Order.
	Probs kernels.Tensor // (EvalImages, classes)
	// Explained holds the tensors of ExplainSection.
	Explained Explained
	// Traced lists what TraceSection keeps, in the order of the layers.
	Traced []Traced

	blocks              sequence
	plain               bool // see build
	dropouts            uint32
	activations         map[string]int // name of a scratch tensor -> its buffer
	gradients           *kernels.Arena
	values              *kernels.Arena
	rotations, erasures kernels.Tensor // see Augmentation; absent if not needed
	decayShares         kernels.Tensor // of each kernels.DecayGroup of Values; absent if not needed
	running             *kernels.Arena
}

// Loop holds the tensors that a pass over images reads and logs to: the order of
// the images, its state, and each step's mean loss and number of correct
// predictions.
type Loop struct {
	Order   kernels.Tensor // (images) uint32, indices into Images
	State   kernels.Tensor // kernels.State
	Loss    kernels.Tensor // (steps)
	Correct kernels.Tensor // (steps) uint32
	// SampleLosses holds the loss of each image when it was last seen, in the order of
	// Order: (images). Only training has it, with Config.SampleLosses.
	SampleLosses kernels.Tensor
}

// Param is one named tensor of a network.
type Param struct {
	Name   string         // as in PyTorch, such as "conv1.weight"
	Tensor kernels.Tensor // view of Values or Running, in the device's layout
	Grad   kernels.Tensor // view of Gradients; absent for a running statistic
	Layout Layout         // maps the device's layout to PyTorch's
	Bound  float64        // PyTorch initialises uniformly in ±Bound; 0: constant
	Value  float32        // the constant if Bound is 0
}

// Layout maps a tensor between the device's order, (Out, H, W, C), and PyTorch's,
// (Out, C, H, W). H and W are the kernel of a convolution weight, or the flattened
// image of the first fully connected layer. Tensors with the same order in both
// have H = W = 1.
type Layout struct {
	Out, H, W, C int
	Shape        []int // in PyTorch
}

// Torch returns the position in PyTorch's order of the device's element i.
func (l Layout) Torch(i int) int {
	c := i % l.C
	hw := i / l.C % (l.H * l.W)
	return (i/(l.C*l.H*l.W)*l.C+c)*l.H*l.W + hw
}

// plain returns the layout of a tensor that has the same order in both.
func plain(shape ...int) Layout {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return Layout{Out: n, H: 1, W: 1, C: 1, Shape: shape}
}

// TrainSection names the training section for a batch size.
func TrainSection(batch int) string { return fmt.Sprintf("train/%d", batch) }

// EvalSection names the evaluation section for a batch size.
func EvalSection(batch int) string { return fmt.Sprintf("eval/%d", batch) }

// Batches splits n images into full batches of the given size and a last, smaller
// one (0 if n is a multiple of the size).
func Batches(n, batch int) (full, last int) { return n / batch, n % batch }

// Steps returns the number of batches in n images, including a smaller last one.
func Steps(n, batch int) int { return (n + batch - 1) / batch }

// Build writes the plan. The error names what is wrong with the network or the
// configuration.
func Build(c Config) (*Net, error) { return build(c, false) }

// BuildReplicas writes one plan for several networks that train and evaluate
// together: a section has the ops of all, one network's after the other's. They
// share the dataset and its tables, and have every other tensor to themselves, so
// that a device can overlap them and each computes what it would compute alone.
func BuildReplicas(c Config, replicas int) ([]*Net, error) {
	first, err := Build(c)
	if err != nil {
		return nil, err
	}
	nets := []*Net{first}
	for len(nets) < replicas {
		first.Plan.NextReplica()
		n, err := newNet(c, first.Plan, false)
		if err != nil {
			return nil, err
		}
		n.Images, n.Labels, n.Table = first.Images, first.Labels, first.Table
		n.rotations, n.erasures, n.decayShares = first.rotations, first.erasures, first.decayShares
		if err := n.write(); err != nil {
			return nil, err
		}
		nets = append(nets, n)
	}
	return nets, nil
}

// build is Build; plain leaves every layer a block of its own, and no op works
// in place, which must change no result.
func build(c Config, plain bool) (*Net, error) {
	n, err := newNet(c, &kernels.Plan{}, plain)
	if err != nil {
		return nil, err
	}
	n.allocateDataset()
	return n, n.write()
}

// newNet returns a network of which nothing is in the plan yet.
func newNet(c Config, p *kernels.Plan, plain bool) (*Net, error) {
	if err := c.Network.Check(); err != nil {
		return nil, err
	}
	layers, err := c.Network.named()
	if err != nil {
		return nil, err
	}
	if c.Normalization.Mean == nil {
		c.Normalization = DefaultNormalization(c.Network.Input.C)
	}
	n := &Net{Config: c, Plan: p, plain: plain, activations: map[string]int{}}
	if n.blocks = join(layers); plain {
		n.blocks = separate(layers)
	}
	return n, nil
}

// write adds all but the dataset to the plan.
func (n *Net) write() error {
	c := n.Config
	n.allocateLoops()
	n.allocateParameters()
	for _, b := range c.TrainBatches {
		n.writeTrain(b)
	}
	for _, b := range c.EvalBatches {
		n.writeEval(b)
	}
	if c.ByOp {
		n.writeByOp()
	}
	if c.Explain > 0 {
		if err := n.writeExplain(c.Explain); err != nil {
			return err
		}
	}
	if c.Trace > 0 {
		if err := n.writeTrace(c.Trace); err != nil {
			return err
		}
	}
	if err := n.Plan.Check(); err != nil {
		return fmt.Errorf("network %s: %w", c.Network.Name, err)
	}
	return nil
}

// ParameterCount returns the number of trainable parameters.
func (n *Net) ParameterCount() int {
	total := 0
	for _, p := range n.Params {
		total += p.Tensor.Len()
	}
	return total
}

// Normalization maps the byte b of a channel c to (b/255 − Mean[c])/Std[c].
type Normalization struct {
	Mean []float64 `json:"mean"`
	Std  []float64 `json:"std"`
}

// DefaultNormalization maps the bytes of every channel to −1 to 1.
func DefaultNormalization(channels int) Normalization {
	n := Normalization{}
	for range channels {
		n.Mean, n.Std = append(n.Mean, .5), append(n.Std, .5)
	}
	return n
}

// Table returns the normalised values of all bytes, (C, 256), for [kernels.Gather].
// Each step is rounded to float32, as in torchvision.
func (n Normalization) Table() []float32 {
	table := make([]float32, 0, 256*len(n.Mean))
	for c := range n.Mean {
		for b := range 256 {
			table = append(table, (float32(b)/255-float32(n.Mean[c]))/float32(n.Std[c]))
		}
	}
	return table
}

// allocateDataset adds what sections only read, and replicas share.
func (n *Net) allocateDataset() {
	p, c := n.Plan, n.Config
	in := c.Network.Input
	n.Images = p.Tensor("images", kernels.Uint8, c.Images, in.H, in.W, in.C)
	n.Labels = p.Tensor("labels", kernels.Uint8, c.Images)
	n.Table = p.Tensor("normalization", kernels.Float32, in.C, 256)
	if len(c.TrainBatches) > 0 {
		n.allocateAugmentation()
	}
}

func (n *Net) allocateLoops() {
	p, c := n.Plan, n.Config
	if len(c.TrainBatches) > 0 {
		steps := Steps(c.TrainImages, slices.Max(c.TrainBatches))
		n.Train = n.allocateLoop("train", c.TrainImages, steps)
		if c.SampleLosses {
			n.Train.SampleLosses = p.Tensor("train.sample_losses", kernels.Float32, c.TrainImages)
		}
		n.LearningRates = p.Tensor("learning_rates", kernels.Float32, steps)
	}
	if len(c.EvalBatches) > 0 {
		n.Eval = n.allocateLoop("eval", c.EvalImages, Steps(c.EvalImages, slices.Max(c.EvalBatches)))
		n.Probs = p.Tensor("eval.probs", kernels.Float32, c.EvalImages, len(c.Network.Classes))
	}
}

func (n *Net) allocateLoop(name string, images, steps int) Loop {
	return Loop{
		Order:   n.Plan.Tensor(name+".order", kernels.Uint32, images),
		State:   n.Plan.Tensor(name+".state", kernels.Uint32, kernels.StateWords),
		Loss:    n.Plan.Tensor(name+".loss", kernels.Float32, steps),
		Correct: n.Plan.Tensor(name+".correct", kernels.Uint32, steps),
	}
}

// allocateParameters lets every block declare its parameters, then takes the
// tensors of the whole arenas, such as Values, at their final length.
func (n *Net) allocateParameters() {
	training := len(n.Config.TrainBatches) > 0
	n.values = n.Plan.Arena("parameters", kernels.Float32)
	n.running = n.Plan.Arena("running", kernels.Float32)
	if training {
		n.gradients = n.Plan.Arena("gradients", kernels.Float32)
	}
	n.blocks.declare(n, n.Config.Network.Input)
	n.Values, n.Running = n.values.All(), n.running.All()
	n.EvalValues, n.EvalRunning = n.Values, n.Running
	if !training {
		return
	}
	n.Gradients = n.gradients.All()
	o := n.Config.Optimizer
	if o.adaptive() || o.Momentum > 0 {
		n.Moment1 = n.Plan.Tensor("moment1", kernels.Float32, n.Values.Len())
	}
	if o.adaptive() {
		n.Moment2 = n.Plan.Tensor("moment2", kernels.Float32, n.Values.Len())
	}
	if n.Config.EMA > 0 {
		n.EvalValues = n.Plan.Tensor("average", kernels.Float32, n.Values.Len())
		n.EvalRunning = n.Plan.Tensor("running_average", kernels.Float32, n.Running.Len())
	}
	if o.byGroup() && n.decayShares.Absent() { // replicas share it
		n.decayShares = n.Plan.Tensor("decay_shares", kernels.Float32, n.Values.Len()/kernels.DecayGroup)
	}
}

// parameter declares a trainable tensor: its shape on the device, its layout, and
// the bound of its initial values (0 for the constant value).
func (n *Net) parameter(name string, shape []int, l Layout, bound float64, value float32) Param {
	p := Param{Name: name, Tensor: n.values.Tensor(shape...), Layout: l, Bound: bound, Value: value}
	if n.gradients != nil {
		p.Grad = n.gradients.Tensor(shape...)
	}
	n.Params = append(n.Params, p)
	return p
}

// statistic declares a running statistic with c elements.
func (n *Net) statistic(name string, c int, l Layout, value float32) kernels.Tensor {
	t := n.running.Tensor(c)
	n.Stats = append(n.Stats, Param{Name: name, Tensor: t, Layout: l, Value: value})
	return t
}

// dropout returns the number of another dropout, which keeps its masks apart
// from the others'.
func (n *Net) dropout() uint32 {
	n.dropouts++
	return n.dropouts - 1
}

// activation returns the named scratch tensor with the given shape. Sections share
// its buffer, which is as large as the largest needs.
func (n *Net) activation(name string, t kernels.DType, shape ...int) kernels.Tensor {
	i, ok := n.activations[name]
	if !ok {
		v := n.Plan.Tensor(name, t, shape...)
		n.activations[name] = v.Buffer
		return v
	}
	v := kernels.Tensor{Buffer: i, Type: t, Shape: append([]int{}, shape...)}
	n.Plan.Buffers[i].Len = max(n.Plan.Buffers[i].Len, v.Len())
	return v
}

// Input returns the tensor of the images (batch, H, W, C) that a section for
// that batch size gathers, augments and normalises.
func (n *Net) Input(batch int) kernels.Tensor {
	in := n.Config.Network.Input
	return n.activation("/images", kernels.Float32, batch, in.H, in.W, in.C) // a name that no layer can have
}

// section is a section being written: where its ops go, and its batch size.
type section struct {
	*Net
	*kernels.Section
	batch     int
	training  bool // by the batch's statistics, with dropout
	gradients bool // backward ops follow
	state     kernels.Tensor
}

// weight returns the tensor of a parameter or running statistic that the section uses.
func (s *section) weight(t kernels.Tensor) kernels.Tensor {
	if s.training {
		return t
	}
	return s.averageOf(t)
}

func (s *section) scratch(name string, shape ...int) kernels.Tensor {
	return s.activation(name, kernels.Float32, shape...)
}

// gather writes the op that gathers the batch, and returns its images and labels.
func (s *section) gather(loop Loop) (x, labels kernels.Tensor) {
	x = s.Input(s.batch)
	labels = s.activation("/labels", kernels.Uint32, s.batch)
	gather := kernels.Gather{Images: s.Images, Labels: s.Labels, Order: loop.Order, State: loop.State, Table: s.Table, X: x, Y: labels}
	if s.training {
		gather.Augment, gather.Rotations, gather.Erasures = s.Config.Augment.op(), s.rotations, s.erasures
	}
	s.Add(gather)
	return x, labels
}

// forward writes the gathering of the batch and the forward ops of every block,
// and returns logits (batch, classes) and labels (batch).
func (s *section) forward(loop Loop) (logits, labels kernels.Tensor) {
	x, labels := s.gather(loop)
	return s.blocks.forward(s, value{x, true}).Tensor, labels
}

// writeTrain writes one training step on a batch.
func (n *Net) writeTrain(batch int) {
	s := &section{Net: n, Section: n.Plan.Section(TrainSection(batch)), batch: batch, training: true, gradients: true, state: n.Train.State}
	logits, labels := s.forward(n.Train)
	d := s.scratch("/logits_grad", logits.Shape...)
	s.Add(kernels.SoftmaxCrossEntropy{Logits: logits, Labels: labels, State: n.Train.State,
		Loss: n.Train.Loss, Correct: n.Train.Correct, DLogits: d, SampleLosses: n.Train.SampleLosses, Smoothing: n.Config.Smoothing})
	s.blocks.backward(s, value{d, false}, false)
	s.writeOptimizer()
	s.Add(kernels.AdvanceState{State: n.Train.State, Batch: batch, Beta1: n.Config.Optimizer.Beta1, Beta2: n.Config.Optimizer.Beta2})
	s.Add(n.averaging()...)
}

// writeOptimizer writes the optimiser's step.
func (s *section) writeOptimizer() {
	o := s.Config.Optimizer
	switch o.Name {
	case "muon":
		s.writeMuon()
	case "sgd":
		s.Add(kernels.SGD{Param: s.Values, Grad: s.Gradients, M: s.Moment1, State: s.state, LearningRates: s.LearningRates,
			DecayShares: s.decayShares, Momentum: o.Momentum, WeightDecay: float32(o.WeightDecay), Nesterov: o.Nesterov})
	default:
		s.Add(s.adam(s.Values, o.WeightDecay))
	}
}

// adam returns a step of Adam or AdamW on Values or on a part of it.
func (n *Net) adam(param kernels.Tensor, decay float64) kernels.Adam {
	o := n.Config.Optimizer
	return kernels.Adam{Param: param, Grad: inArena(n.Gradients, param), M: inArena(n.Moment1, param), V: inArena(n.Moment2, param),
		State: n.Train.State, LearningRates: n.LearningRates, DecayShares: n.decayShares,
		Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, WeightDecay: float32(decay), Decoupled: o.Name != "adam"}
}

// averaging returns the ops that update the moving averages. The running statistics of
// batch-norm have theirs, as in timm's ModelEmaV2: those of the latest weights would
// not fit the averaged weights.
func (n *Net) averaging() (ops []kernels.Op) {
	if n.Config.EMA == 0 {
		return nil
	}
	for _, pair := range [][2]kernels.Tensor{{n.Values, n.EvalValues}, {n.Running, n.EvalRunning}} {
		if pair[0].Len() > 0 {
			ops = append(ops, kernels.EMA{Param: pair[0], Average: pair[1], State: n.Train.State, Decay: n.Config.EMA})
		}
	}
	return ops
}

// copies returns the tensors that hold a view of Values or Running: itself and, with
// Config.EMA, its moving average.
func (n *Net) copies(t kernels.Tensor) []kernels.Tensor {
	average := n.averageOf(t)
	if average.Buffer == t.Buffer {
		return []kernels.Tensor{t}
	}
	return []kernels.Tensor{t, average}
}

// averageOf returns what evaluations use in place of a view of Values or Running.
func (n *Net) averageOf(t kernels.Tensor) kernels.Tensor {
	switch { // a layer without a bias has an absent tensor
	case t.Absent():
	case t.Buffer == n.Values.Buffer:
		t.Buffer = n.EvalValues.Buffer
	case t.Buffer == n.Running.Buffer:
		t.Buffer = n.EvalRunning.Buffer
	}
	return t
}

// decayTable returns the share of the weight decay of each group of parameters: 1 in
// tensors of more than one axis, else 0.
func (n *Net) decayTable() []float32 {
	table := make([]float32, n.decayShares.Len())
	for _, p := range n.Params {
		if p.matrix() {
			first, groups := p.Tensor.Offset/kernels.DecayGroup, Steps(p.Tensor.Len(), kernels.DecayGroup)
			fill(table[first:][:groups], 1)
		}
	}
	return table
}

// writeEval writes the classification of a batch and its loss.
func (n *Net) writeEval(batch int) {
	s := &section{Net: n, Section: n.Plan.Section(EvalSection(batch)), batch: batch, state: n.Eval.State}
	logits, labels := s.forward(n.Eval)
	s.Add(kernels.SoftmaxCrossEntropy{Logits: logits, Labels: labels, State: n.Eval.State,
		Loss: n.Eval.Loss, Correct: n.Eval.Correct, Probs: n.Probs})
	s.Add(kernels.AdvanceState{State: n.Eval.State, Batch: batch})
}
