package parity

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

const seed = 155 // of testdata/fixtures.py

// run is a compiled network and its images.
type run struct {
	t       *testing.T
	net     *model.Net
	program kernels.Program
}

// start compiles a network and writes its initial weights and what an epoch or
// an evaluation reads. Images are used in order.
func start(t *testing.T, b kernels.Backend, c model.Config, images, labels []byte) *run {
	t.Helper()
	return startWith(t, b, c, images, labels, func(*kernels.Plan) {})
}

// startWith is start with a plan that change has changed.
func startWith(t *testing.T, b kernels.Backend, c model.Config, images, labels []byte, change func(*kernels.Plan)) *run {
	t.Helper()
	net := build(t, c)
	change(net.Plan)
	program, err := b.Compile(net.Plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := program.Close(); err != nil {
			t.Errorf("close the program: %v", err)
		}
	})
	if err := initialise(net, program, images, labels); err != nil {
		t.Fatal(err)
	}
	return &run{t, net, program}
}

// zoo returns a built-in network for Fashion-MNIST's images.
func zoo(t *testing.T, name string) model.Network {
	t.Helper()
	n, ok := model.Zoo(name, model.Shape{H: 28, W: 28, C: 1}, make([]string, 10))
	if !ok {
		t.Fatalf("no network %s", name)
	}
	return n
}

func build(t *testing.T, c model.Config) *model.Net {
	t.Helper()
	net, err := model.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// initialise writes everything that a program of the net reads.
func initialise(net *model.Net, p kernels.Program, images, labels []byte) error {
	if err := net.WriteInit(p, seed); err != nil {
		return err
	}
	if err := p.Write(net.Images, images); err != nil {
		return err
	}
	if err := p.Write(net.Labels, labels); err != nil {
		return err
	}
	state := kernels.NewState(seed, 0, net.Config.Optimizer.Beta1, net.Config.Optimizer.Beta2).Words()
	for _, l := range []model.Loop{net.Train, net.Eval} {
		if l.State.Absent() {
			continue
		}
		order := make([]uint32, l.Order.Len())
		for i := range order {
			order[i] = uint32(i)
		}
		if err := p.Write(l.Order, kernels.AsBytes(order)); err != nil {
			return err
		}
		if err := p.Write(l.State, kernels.AsBytes(state)); err != nil {
			return err
		}
	}
	if net.LearningRates.Absent() {
		return nil
	}
	rates := make([]float32, net.LearningRates.Len())
	for i := range rates {
		rates[i] = 1e-3
	}
	return p.Write(net.LearningRates, kernels.AsBytes(rates))
}

func (r *run) steps(section string, times int) {
	r.t.Helper()
	if err := r.program.Run(section, times); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) read(t kernels.Tensor) []float32 {
	r.t.Helper()
	v := make([]float32, t.Len())
	if err := r.program.Read(t, kernels.AsBytes(v)); err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *run) write(t kernels.Tensor, v []float32) {
	r.t.Helper()
	if err := r.program.Write(t, kernels.AsBytes(v)); err != nil {
		r.t.Fatal(err)
	}
}

// A network with PyTorch's weights gives PyTorch's logits, for the first test
// images.
func TestLogitsAgainstPyTorch(t *testing.T) {
	file, test := loadFixtures(t, "models.safetensors"), datasettest.Subset(t).Test
	withOracle(t, func(t *testing.T, b kernels.Backend) {
		for _, name := range model.Names() {
			t.Run(name, func(t *testing.T) {
				_, onGPU := b.(*vulkan.Backend)
				if slow := onGPU && testing.Short() || b.Name() == oracle.New().Name(); slow && name == "resnet20" {
					t.Skip("skipped by -short on Vulkan, where it takes long to compile, and on the oracle, which needs minutes")
				}
				want := file.get(t, name+".logits64")
				n := want.Shape[0]
				r := start(t, b, model.Config{Network: zoo(t, name), Images: n, EvalBatches: []int{n}, EvalImages: n},
					test.Images[:n*784], test.Labels[:n])
				for _, p := range append(append([]model.Param{}, r.net.Params...), r.net.Stats...) {
					// Batch-norm tensors come from the fixtures; the others are random.
					if stored, ok := file.Tensor(name + "." + p.Name); ok {
						r.write(p.Tensor, stored.Data)
					}
				}
				r.steps(model.EvalSection(n), 1)
				compareLogits(t, r, file.get(t, name+".logits").Data, want.Data)
			})
		}
	})
}

// compareLogits allows a difference from float64 of 1e-5 of the largest logit,
// five times that of PyTorch's float32, and twice as much from float32.
func compareLogits(t *testing.T, r *run, torch32, torch64 []float32) {
	t.Helper()
	got := r.read(logits(r.net))
	scale := largest(torch64)
	worst32, worst64 := 0.0, 0.0
	for i := range torch64 {
		worst64 = worse(worst64, math.Abs(float64(got[i])-float64(torch64[i]))/scale)
		worst32 = worse(worst32, math.Abs(float64(got[i])-float64(torch32[i]))/scale)
	}
	t.Logf("off by %.2g of the largest logit from PyTorch's float64, %.2g from its float32", worst64, worst32)
	if !(worst64 <= 1e-5) || !(worst32 <= 2e-5) {
		t.Errorf("logits are off by %.3g (float64) and %.3g (float32) of the largest, want 1e-5 and 2e-5", worst64, worst32)
	}
}

// worse returns the larger number, or NaN if there is one.
func worse(a, b float64) float64 {
	if math.IsNaN(a) || math.IsNaN(b) {
		return math.NaN()
	}
	return max(a, b)
}

// logits returns the network's output: the input of its loss.
func logits(net *model.Net) kernels.Tensor {
	for _, op := range net.Plan.Sections[0].Ops {
		if loss, ok := op.(kernels.SoftmaxCrossEntropy); ok {
			return loss.Logits
		}
	}
	panic("the network has no loss")
}

// trajectory holds PyTorch's losses of training steps that start from the weights of a seed.
type trajectory struct {
	Seed          uint64
	Float64       []float64
	ChannelsFirst []float64 `json:"channels_first"` // float32
	ChannelsLast  []float64 `json:"channels_last"`  // float32
}

// Twenty steps of training follow PyTorch's float64 as closely as its own float32 does:
// over three seeds, the median of the largest relative distance, in ten steps and in
// twenty, is at most 1.5 times that of the worse of its two memory layouts. A bound for
// each seed would be no better: where a ReLU's input is within rounding error of 0,
// rounding decides where the gradient goes, and Adam's first steps divide every gradient
// by its own size. With -short, these are five steps from one seed.
func TestTrajectoryAgainstPyTorch(t *testing.T) {
	var torch struct {
		Model string
		Batch int
		Seeds []trajectory
	}
	loadJSON(t, "trajectory.json", &torch)
	lengths := []int{10, 20} // steps
	if testing.Short() {
		torch.Seeds, lengths = torch.Seeds[:1], []int{5}
	}
	train := datasettest.Subset(t).Train
	steps := slices.Max(lengths)
	images := steps * torch.Batch
	config := model.Config{Network: zoo(t, torch.Model).WithDropout(0), Optimizer: model.DefaultAdam(), Images: images,
		TrainBatches: []int{torch.Batch}, TrainImages: images}
	forEachBackend(t, func(t *testing.T, b kernels.Backend) {
		if _, onGPU := b.(*vulkan.Backend); onGPU && testing.Short() {
			t.Skip("skipped by -short: a software driver takes 40 s to compile a training step of this batch size")
		}
		losses := make([][]float32, len(torch.Seeds))
		for i, s := range torch.Seeds {
			r := start(t, b, config, train.Images[:images*784], train.Labels[:images])
			if err := r.net.WriteInit(r.program, s.Seed); err != nil {
				t.Fatal(err)
			}
			r.steps(model.TrainSection(torch.Batch), steps)
			losses[i] = r.read(r.net.Train.Loss)
		}
		for _, n := range lengths {
			var first, last, got []float64
			for i, s := range torch.Seeds {
				first = append(first, farthest(s.ChannelsFirst[:n], s.Float64))
				last = append(last, farthest(s.ChannelsLast[:n], s.Float64))
				got = append(got, farthest(losses[i][:n], s.Float64))
			}
			limit := 1.5 * max(bench.Median(first), bench.Median(last))
			t.Logf("%d steps: at most %.2g away from PyTorch's float64, by seed; its float32 %.2g and, channels last, %.2g", n, got, first, last)
			if !(bench.Median(got) <= limit) || slices.ContainsFunc(got, math.IsNaN) {
				t.Errorf("%d steps: losses are %.3g away from PyTorch's float64, want at most %.3g in the median:\n%v", n, got, limit, losses)
			}
		}
	})
}

// farthest returns the largest relative distance of losses from those of want.
func farthest[T float32 | float64](losses []T, want []float64) (worst float64) {
	for i, loss := range losses {
		worst = worse(worst, math.Abs(float64(loss)-want[i])/want[i])
	}
	return worst
}

// precisions returns the networks in every precision that b has; the names of
// mixed ones say so.
func precisions(t *testing.T, b kernels.Backend, list []network) []network {
	t.Helper()
	err := kernels.CheckPrecision(b, kernels.Mixed)
	if lacking := (*kernels.PrecisionError)(nil); errors.As(err, &lacking) {
		t.Logf("only in float32: %v", err)
		return list
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(t.Name(), "/cpu-generic") && testing.Short() {
		t.Log("only in float32, by -short: portable code takes seconds to round")
		return list
	}
	if strings.HasSuffix(t.Name(), "/vulkan") && *vulkanSample != 1 {
		t.Log("only in float32, unless -vulkan-sample 1: a software driver would compile twice as many shaders")
		return list
	}
	for _, c := range list {
		c.name += "-mixed"
		c.Precision = kernels.Mixed
		list = append(list, c)
	}
	return list
}

// network is a small training.
type network struct {
	name string
	model.Config
}

// networks returns trainings of the models, with everything that a step can
// contain, but not of resnet20 and fastcnn: the oracle needs minutes for them, and
// TestRandomNetworks covers their ops. -short, meant for the race detector, leaves out
// the largest, all of whose ops are also in alternative.
func networks(t *testing.T) []network {
	t.Helper()
	var list []network
	for _, name := range model.Names() {
		if name == "resnet20" || name == "fastcnn" || testing.Short() && name == "fashioncnn" {
			continue
		}
		optimizer := model.DefaultAdam()
		if name == "alternative" {
			optimizer = model.DefaultMuon() // with AdamW
		}
		list = append(list, network{name, model.Config{Network: zoo(t, name), Optimizer: optimizer}})
	}
	sgd := model.DefaultSGD()
	sgd.WeightDecay = 1e-3
	list = append(list, network{"alternative-sgd",
		model.Config{Network: zoo(t, "alternative").WithDropout(.5), Smoothing: 0.1, Optimizer: sgd, EMA: .9,
			Augment: model.Augmentation{Rotate: 10, Flip: kernels.FlipAlternating, Crop: 2, Erase: .25}}})
	for i := range list {
		c := &list[i].Config
		c.TrainBatches, c.TrainImages, c.Images = []int{batch, tail}, fullSteps*batch+tail, fullSteps*batch+tail
		c.EvalBatches, c.EvalImages = []int{batch}, fullSteps*batch
	}
	return list
}

const batch, tail, fullSteps = 16, 5, 4 // images

// synthetic returns n images that a network can tell apart: each class is
// brighter in different rows.
func synthetic(n int) (images, labels []byte) {
	r := rand.New(rand.NewPCG(3, 0))
	images, labels = make([]byte, n*784), make([]byte, n)
	for i := range n {
		labels[i] = byte(r.IntN(10))
		for p := range 784 {
			v := r.IntN(100)
			if p/28/2 == int(labels[i]) {
				v += 150
			}
			images[i*784+p] = byte(v)
		}
	}
	return images, labels
}

// Each op of a training step and of an evaluation agrees with the oracle when it
// starts from the oracle's tensors; an error names the op. -short tests only the
// smallest training step.
func TestIsolated(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b kernels.Backend) {
		for _, c := range precisions(t, b, networks(t)) {
			t.Run(c.name, func(t *testing.T) {
				net := build(t, c.Config)
				images, labels := synthetic(c.Images)
				sections := []string{model.TrainSection(tail), model.TrainSection(batch), model.EvalSection(batch)}
				if testing.Short() {
					sections = sections[:1]
				}
				for _, section := range sections {
					report := kerneltest.Replay(t, net.Plan, section, b, oracle.New(), func(p kernels.Program) error {
						return initialise(net, p, images, labels)
					})
					t.Logf("%s on %v", section, report)
				}
			})
		}
	})
}

// An epoch of training, including its smaller last batch, and an evaluation stay
// close to the oracle's without being reset to its tensors.
func TestFreeRunning(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: the oracle trains whole networks")
	}
	want := map[string]*run{}
	for _, c := range networks(t) {
		want[c.name] = epoch(t, oracle.New(), c.Config)
	}
	forEachBackend(t, func(t *testing.T, b kernels.Backend) {
		for _, c := range networks(t) {
			t.Run(c.name, func(t *testing.T) { compareEpochs(t, epoch(t, b, c.Config), want[c.name]) })
		}
	})
}

// epoch trains on every image once and evaluates.
func epoch(t *testing.T, b kernels.Backend, c model.Config) *run {
	t.Helper()
	images, labels := synthetic(c.Images)
	r := start(t, b, c, images, labels)
	r.steps(model.TrainSection(batch), fullSteps)
	r.steps(model.TrainSection(tail), 1)
	r.steps(model.EvalSection(batch), fullSteps)
	return r
}

// compareEpochs allows a relative difference of 1e-3 in losses, and in weights 2 %
// of the distance they have moved, without the biases before batch-norm, which have no
// effect. (Adam divides each gradient by its own size, so the rounding of one that is
// nearly 0 becomes a full step; a gradient of those biases is nothing but rounding. And
// rounding decides whether ReLU passes what is nearly 0: one unit of one image makes
// 1.9 % with portable code, where other tiers are off by 0.02 %.)
func compareEpochs(t *testing.T, got, want *run) {
	t.Helper()
	for name, loop := range map[string][2]kernels.Tensor{
		"training": {got.net.Train.Loss, want.net.Train.Loss}, "evaluation": {got.net.Eval.Loss, want.net.Eval.Loss},
	} {
		g, w := got.read(loop[0]), want.read(loop[1])
		worst := 0.0
		for i := range w {
			worst = worse(worst, math.Abs(float64(g[i])-float64(w[i]))/math.Abs(float64(w[i])))
		}
		t.Logf("%s losses are off by %.2g", name, worst)
		if !(worst <= 1e-3) {
			t.Errorf("%s losses are off by %.3g, want 1e-3:\n%v\n%v", name, worst, g, w)
		}
	}
	off, way := 0.0, 0.0
	for i, p := range want.net.Params {
		if strings.HasPrefix(p.Name, "conv") && strings.HasSuffix(p.Name, ".bias") {
			continue
		}
		g, w, w0 := got.read(got.net.Params[i].Tensor), want.read(p.Tensor), want.net.Init(i, seed)
		for k := range w {
			off += (float64(g[k]) - float64(w[k])) * (float64(g[k]) - float64(w[k]))
			way += (float64(w0[k]) - float64(w[k])) * (float64(w0[k]) - float64(w[k]))
		}
	}
	ratio := math.Sqrt(off / way)
	t.Logf("weights are off by %.2g of the distance they moved", ratio)
	if !(ratio <= 0.02) {
		t.Errorf("weights are off by %.3g of the distance they moved, want 0.02", ratio)
	}
}

// Training that is stopped, stored and loaded into a new program continues with
// the same bits.
func TestReload(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b kernels.Backend) {
		for _, c := range precisions(t, b, networks(t)) {
			t.Run(c.name, func(t *testing.T) {
				if _, onGPU := b.(*vulkan.Backend); onGPU && testing.Short() && c.name != "logistic" {
					t.Skip("skipped by -short: a software driver takes 40 s to compile it")
				}
				images, labels := synthetic(c.Images)
				first := start(t, b, c.Config, images, labels)
				first.steps(model.TrainSection(batch), 2)
				second := start(t, b, c.Config, images, labels)
				for _, tensor := range stored(first.net) {
					if err := second.program.Write(tensor, first.bytes(tensor)); err != nil {
						t.Fatal(err)
					}
				}
				for _, r := range []*run{first, second} {
					r.steps(model.TrainSection(batch), 2)
					r.steps(model.TrainSection(tail), 1)
				}
				for _, tensor := range stored(first.net) {
					if !bytes.Equal(first.bytes(tensor), second.bytes(tensor)) {
						t.Errorf("%s differs after a reload", first.net.Plan.Buffers[tensor.Buffer].Name)
					}
				}
			})
		}
	})
}

// stored lists what a checkpoint keeps.
func stored(net *model.Net) []kernels.Tensor {
	all := []kernels.Tensor{net.Values, net.Running, net.EvalValues, net.EvalRunning, net.Moment1, net.Moment2,
		net.Train.State, net.Train.Loss, net.Train.Correct}
	var list []kernels.Tensor
	for _, t := range all {
		if t.Len() > 0 { // SGD has no second moment, logistic no running statistics
			list = append(list, t)
		}
	}
	return list
}

func (r *run) bytes(t kernels.Tensor) []byte {
	r.t.Helper()
	b := make([]byte, t.Bytes())
	if err := r.program.Read(t, b); err != nil {
		r.t.Fatal(err)
	}
	return b
}
