//go:build cgo

package vulkan_test

import (
	"bytes"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

const (
	testBatch  = 64
	testImages = 640
)

// network returns a built-in network for Fashion-MNIST's images.
func network(name string) model.Network {
	n, ok := model.Zoo(name, model.Shape{H: 28, W: 28, C: 1}, make([]string, 10))
	if !ok {
		panic("no network " + name)
	}
	return n
}

// train compiles a model's training step over random images.
func train(tb testing.TB, b *vulkan.Backend, name string) (*model.Net, kernels.Program) {
	tb.Helper()
	net, err := model.Build(model.Config{Network: network(name), Optimizer: model.DefaultAdam(),
		Images: testImages, TrainBatches: []int{testBatch}, TrainImages: testImages})
	if err != nil {
		tb.Fatal(err)
	}
	p, err := b.Compile(net.Plan)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	begin(tb, net, p)
	return net, p
}

// begin writes the start of a training.
func begin(tb testing.TB, net *model.Net, p kernels.Program) {
	tb.Helper()
	images, labels, order := make([]byte, net.Images.Len()), make([]byte, testImages), make([]uint32, testImages)
	for i := range images {
		images[i] = byte(kernels.Philox4x32([4]uint32{uint32(i)}, [2]uint32{})[0])
	}
	for i := range labels {
		labels[i], order[i] = byte(i%10), uint32(testImages-1-i)
	}
	rates := make([]float32, net.LearningRates.Len())
	for i := range rates {
		rates[i] = 1e-3
	}
	if err := net.WriteInit(p, 42); err != nil {
		tb.Fatal(err)
	}
	for _, moment := range []kernels.Tensor{net.Moment1, net.Moment2} {
		write(tb, p, moment, make([]byte, moment.Bytes()))
	}
	write(tb, p, net.Images, images)
	write(tb, p, net.Labels, labels)
	write(tb, p, net.Train.Order, kernels.AsBytes(order))
	write(tb, p, net.LearningRates, kernels.AsBytes(rates))
	write(tb, p, net.Train.State, kernels.AsBytes(kernels.NewState(42, 0, .9, .999).Words()))
}

func write(tb testing.TB, p kernels.Program, t kernels.Tensor, src []byte) {
	tb.Helper()
	if err := p.Write(t, src); err != nil {
		tb.Fatal(err)
	}
}

// Training steps of three models run without a word from the validation layer,
// which also watches for missing barriers, and give the same bits when begun again. A
// plan for a GPU has more splits, and so more passes, than one for a software
// driver.
func TestTrainingIsReproducible(t *testing.T) {
	const steps = 3
	b := open(t, vulkan.Options{Validate: true})
	run := func(label, name string) {
		t.Run(label+name, func(t *testing.T) {
			net, p := train(t, b, name) // compiling takes nearly all the time
			first := trainSteps(t, net, p, steps)
			begin(t, net, p)
			again := trainSteps(t, net, p, steps)
			if !bytes.Equal(first, again) {
				t.Error("the parameters differ between two runs from the same start")
			}
		})
	}
	// A software driver takes a minute to compile a training step of resnet20 or of
	// fastcnn. TestRandomNetworks in package parity covers their ops.
	run("", "logistic")
	run("", "alternative")
	if testing.Short() { // each of the others takes as long
		return
	}
	run("", "fashioncnn")
	b.PlanAsGPU()
	run("as on a GPU: ", "fashioncnn")
	b.TwoPasses()
	run("as on a GPU, in two passes: ", "alternative")
}

// Joining an op with the dispatch before it does not change a bit. The inputs
// are small integers, because a product adds up the sums of a batch-norm's
// gradient in a different order, which would change the last bits of other
// numbers. TestFreeRunning of package parity compares whole steps with all
// joins to the oracle, within a tolerance, and TestRandomNetworks more of some.
func TestJoinedOpsAreTheSame(t *testing.T) {
	joined, apart := open(t, vulkan.Options{Validate: true}), open(t, vulkan.Options{Validate: true})
	for _, b := range []*vulkan.Backend{joined, apart} {
		b.PlanAsGPU()
	}
	apart.Unfused()
	plan := joins()
	got, want := runOnIntegers(t, joined, plan), runOnIntegers(t, apart, plan)
	for i, buffer := range plan.Buffers {
		// What an op leaves in its scratch is undefined: a joined one needs none.
		if buffer.Name != "scratch" && !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s differs", buffer.Name)
		}
	}
	// Four element-wise ops, two sums of a batch-norm's gradient, a loss, an advance
	// and a trained batch-norm join.
	if saved := dispatches(t, apart, plan) - dispatches(t, joined, plan); saved != 9 {
		t.Errorf("joins save %d dispatches, want 9", saved)
	}
}

// dispatches returns how many dispatches the plan's only section takes.
func dispatches(t *testing.T, b *vulkan.Backend, plan *kernels.Plan) int {
	t.Helper()
	p, err := b.Compile(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n, _ := vulkan.Dispatches(p, plan.Sections[0].Name)
	return n
}

// joins returns products, most of which the next op joins, and steps of Adam,
// which the advance of their state joins.
func joins() *kernels.Plan {
	p := products()
	const m, k = 64, 40
	f := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Float32, shape...) }
	u := func(name string, shape ...int) kernels.Tensor { return p.Tensor(name, kernels.Uint32, shape...) }
	product := func(name string, then func(c kernels.Tensor) kernels.Op) {
		c := f(name, m, 64)
		p.Sections[0].Add(kernels.GEMM{A: f(name+".a", m, k), B: f(name+".b", k, 64), C: c}, then(c))
	}
	state := u("state", kernels.StateWords)
	product("relu", func(c kernels.Tensor) kernels.Op { return kernels.ReLUForward{X: c, Y: c} })
	product("dropout", func(c kernels.Tensor) kernels.Op {
		return kernels.ReLUDropoutForward{X: c, State: state, Y: c, P: .5, Layer: 1}
	})
	product("relu backward", func(c kernels.Tensor) kernels.Op {
		return kernels.ReLUBackward{Y: f("relu backward.y", m, 64), DY: c, DX: c}
	})
	product("dropout backward", func(c kernels.Tensor) kernels.Op {
		return kernels.ReLUDropoutBackward{Y: f("dropout backward.y", m, 64), DY: c, DX: c, P: .5}
	})
	logits, param := f("logits", m, 10), f("param", 1000)
	p.Sections[0].Add(
		kernels.GEMM{A: f("logits.a", m, k), B: f("logits.b", 10, k), C: logits, TransB: true},
		kernels.SoftmaxCrossEntropy{Logits: logits, Labels: u("labels", m), State: state, Loss: f("loss", 9), Correct: u("correct", 9), DLogits: f("dlogits", m, 10), SampleLosses: f("sample_losses", m)},
		kernels.Adam{Param: param, Grad: f("grad", 1000), M: f("m", 1000), V: f("v", 1000), State: state, LearningRates: f("rates", 9), Beta1: .9, Beta2: .999, Eps: 1e-8},
		kernels.AdvanceState{State: state, Batch: m, Beta1: .9, Beta2: .999})
	return p
}

// A step's dispatches, and barriers between them, are what a GPU spends much
// of a small network's time on. These counts may fall, and rise only for a reason.
func TestDispatchesOfAStep(t *testing.T) {
	b := open(t, vulkan.Options{})
	b.PlanAsGPU()
	for name, want := range map[string][2]int{"fashioncnn": {22, 18}, "alternative": {17, 14}, "logistic": {4, 4}} {
		_, p := train(t, b, name)
		dispatches, levels := vulkan.Dispatches(p, model.TrainSection(testBatch))
		if dispatches != want[0] || levels != want[1] {
			t.Errorf("%s: %d dispatches in %d levels, want %d in %d", name, dispatches, levels, want[0], want[1])
		}
	}
}

// trainSteps returns the parameters after the first steps, the last one profiled.
func trainSteps(t *testing.T, net *model.Net, p kernels.Program, steps int) []byte {
	t.Helper()
	section := model.TrainSection(testBatch)
	if err := p.Run(section, steps-1); err != nil {
		t.Fatal(err)
	}
	times, err := p.Profile(section)
	if err != nil {
		t.Fatal(err)
	}
	if ops := net.Plan.Find(section).Ops; len(times) != len(ops) {
		t.Errorf("%d times for %d ops", len(times), len(ops))
	}
	for _, o := range times {
		if o.Nanoseconds < 0 || (o.Dispatches < 1) != o.Joined {
			t.Errorf("%s took %d ns in %d dispatches", o.Op.Kind(), o.Nanoseconds, o.Dispatches)
		}
	}
	state := make([]uint32, kernels.StateWords)
	if err := p.Read(net.Train.State, kernels.AsBytes(state)); err != nil || kernels.ParseState(state).Step != uint32(steps) {
		t.Errorf("the state after %d steps is %+v (%v)", steps, kernels.ParseState(state), err)
	}
	losses := make([]float32, steps)
	if err := p.Read(net.Train.Loss.First(steps), kernels.AsBytes(losses)); err != nil {
		t.Fatal(err)
	}
	for _, loss := range losses {
		if !(loss > 0 && loss < 10) {
			t.Errorf("losses %v", losses)
		}
	}
	values := make([]byte, net.Values.Bytes())
	if err := p.Read(net.Values, values); err != nil {
		t.Fatal(err)
	}
	return values
}

// BenchmarkTrain measures training steps of the models at batch 64.
func BenchmarkTrain(b *testing.B) {
	backend := open(b, vulkan.Options{})
	for _, name := range model.Names() {
		b.Run(name, func(b *testing.B) {
			_, p := train(b, backend, name)
			section := model.TrainSection(testBatch)
			if err := p.Run(section, 1); err != nil { // warm up
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := p.Run(section, b.N); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*testBatch)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
