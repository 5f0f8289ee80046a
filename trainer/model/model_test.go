package model

import (
	"math"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

func config(name string) Config {
	network, ok := Zoo(name, Shape{H: 28, W: 28, C: 1}, make([]string, 10))
	if !ok {
		panic("no network " + name)
	}
	return Config{Network: network, Optimizer: DefaultAdam(), Images: 300,
		TrainBatches: []int{64, 32}, TrainImages: 224, EvalBatches: []int{50}, EvalImages: 100}
}

func mustBuild(t *testing.T, c Config) *Net {
	t.Helper()
	n, err := Build(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The parameter counts that PyTorch reports for the original networks.
func TestParameterCounts(t *testing.T) {
	for name, want := range map[string]int{"fashioncnn": 1_701_578, "alternative": 215_466, "logistic": 7_850, "resnet20": 272_186} {
		if got := mustBuild(t, config(name)).ParameterCount(); got != want {
			t.Errorf("%s has %d parameters, want %d", name, got, want)
		}
	}
}

func TestParameterNamesAndShapes(t *testing.T) {
	n := mustBuild(t, config("alternative"))
	want := []string{"conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "conv2.weight", "conv2.bias",
		"bn2.weight", "bn2.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
	for i, p := range n.Params {
		if p.Name != want[i] {
			t.Errorf("parameter %d is %s, want %s", i, p.Name, want[i])
		}
	}
	if got := n.Params[8].Layout.Shape; got[0] != 128 || got[1] != 1568 {
		t.Errorf("fc1.weight is %v in PyTorch's order, want [128 1568]", got)
	}
}

// Layout.Torch agrees with its definition, (O, KH, KW, I) -> (O, I, KH, KW), for
// every element.
func TestLayout(t *testing.T) {
	l := Layout{Out: 3, H: 2, W: 5, C: 7}
	i := 0
	for o := range l.Out {
		for h := range l.H {
			for w := range l.W {
				for c := range l.C {
					if got, want := l.Torch(i), ((o*l.C+c)*l.H+h)*l.W+w; got != want {
						t.Fatalf("element (%d,%d,%d,%d) maps to %d, want %d", o, h, w, c, got, want)
					}
					i++
				}
			}
		}
	}
}

func TestInitIsUniformInBound(t *testing.T) {
	n := mustBuild(t, config("fashioncnn"))
	for i, p := range n.Params {
		v := n.Init(i, 42)
		if p.Bound == 0 {
			for _, x := range v {
				if x != p.Value {
					t.Fatalf("%s holds %v, want %v", p.Name, x, p.Value)
				}
			}
			continue
		}
		var sum, squares float64
		for _, x := range v {
			if !(math.Abs(float64(x)) <= p.Bound) {
				t.Fatalf("%s holds %v, outside ±%v", p.Name, x, p.Bound)
			}
			sum += float64(x)
			squares += float64(x) * float64(x)
		}
		// Five standard errors of the mean and of the mean square of a uniform variable.
		count := float64(len(v))
		if mean := sum / count; !(math.Abs(mean) <= 5*p.Bound/math.Sqrt(3*count)) {
			t.Errorf("%s has mean %v", p.Name, mean)
		}
		wantSquare := p.Bound * p.Bound / 3
		if got := squares / count; !(math.Abs(got-wantSquare) <= 5*p.Bound*p.Bound*math.Sqrt(4./45/count)) {
			t.Errorf("%s has mean square %v, want %v", p.Name, got, wantSquare)
		}
	}
}

// Exactly one op of a training section writes the gradient of each parameter.
func TestTrainSectionWritesEveryGradient(t *testing.T) {
	for _, name := range Names() {
		n := mustBuild(t, config(name))
		for _, batch := range n.Config.TrainBatches {
			written := map[int]int{}
			for _, op := range n.Plan.Find(TrainSection(batch)).Ops {
				for _, o := range op.Operands() {
					if o.Tensor.Buffer == n.Gradients.Buffer && o.Access&kernels.Write != 0 {
						written[o.Tensor.Offset]++
					}
				}
			}
			for _, p := range n.Params {
				if written[p.Grad.Offset] != 1 {
					t.Errorf("%s, batch %d: the gradient of %s is written %d times", name, batch, p.Name, written[p.Grad.Offset])
				}
			}
		}
	}
}

// Weight decay by group reaches every weight and no other element.
func TestDecayTable(t *testing.T) {
	c := config("alternative")
	if c.Optimizer.WeightDecay = .1; !mustBuild(t, c).decayShares.Absent() {
		t.Error("Adam's weight decay differs between parameters")
	}
	c.Optimizer = DefaultAdamW()
	n := mustBuild(t, c)
	table := n.decayTable()
	if want := (n.Values.Len() + kernels.DecayGroup - 1) / kernels.DecayGroup; len(table) != want {
		t.Fatalf("the table has %d groups, want %d", len(table), want)
	}
	for _, p := range n.Params {
		want := float32(0)
		if strings.HasSuffix(p.Name, ".weight") && !strings.HasPrefix(p.Name, "bn") {
			want = 1
		}
		for i := range p.Tensor.Len() {
			if got := table[(p.Tensor.Offset+i)/kernels.DecayGroup]; got != want {
				t.Fatalf("element %d of %s has %v of the weight decay, want %v", i, p.Name, got, want)
			}
		}
	}
}

func TestNormalizationEndpoints(t *testing.T) {
	table := DefaultNormalization(1).Table()
	if table[0] != -1 || table[255] != 1 {
		t.Errorf("0 and 255 normalise to %v and %v, want -1 and 1", table[0], table[255])
	}
}

// Rectangles to erase are found for images of any shape, and leave a part of each.
func TestErasures(t *testing.T) {
	for _, size := range [][2]int{{28, 28}, {1, 1}, {1, 20}, {1, 400}, {512, 2}, {8, 1400}} {
		table := erasures(size[0], size[1])
		if len(table) != kernels.AugmentErasures {
			t.Fatalf("%v: %d rectangles, want %d", size, len(table), kernels.AugmentErasures)
		}
		for _, r := range table {
			if h, w := int(r>>16), int(r&0xffff); h < 1 || w < 1 || h > max(1, size[0]-1) || w > max(1, size[1]-1) {
				t.Fatalf("%v: a rectangle of %d×%d", size, h, w)
			}
		}
	}
}
