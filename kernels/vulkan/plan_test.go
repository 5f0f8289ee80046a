//go:build cgo

package vulkan

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// smallest is a device with the least limits that Vulkan 1.1 admits.
var smallest = gpu.Info{Type: "integrated", Limits: gpu.Limits{
	MaxWorkgroupSize: [3]int{128, 128, 64}, MaxWorkgroupInvocations: 128,
	MaxWorkgroupCount: [3]int{65535, 65535, 65535}, SharedMemoryBytes: 16384}}

// targets are devices of different kinds.
func targets() map[string]target {
	desktop, software := smallest, smallest
	desktop.Type = "discrete"
	desktop.Limits.MaxWorkgroupSize = [3]int{1024, 1024, 64}
	desktop.Limits.MaxWorkgroupInvocations = 1024
	desktop.Limits.SharedMemoryBytes = 49152
	software.Type = "cpu"
	software.Limits.MaxWorkgroupInvocations = 1024
	software.Limits.SharedMemoryBytes = 32768
	return map[string]target{"smallest": newTarget(smallest), "desktop": newTarget(desktop), "software": newTarget(software)}
}

// Whatever the shape, the tiles cover the result, the splits cover K without
// an empty one, and the variant fits the device.
func TestPlanProduct(t *testing.T) {
	sizes := []int{1, 2, 9, 10, 16, 17, 31, 64, 65, 127, 256, 577, 6272, 50176}
	for name, target := range targets() {
		for _, m := range sizes {
			for _, n := range sizes {
				for _, k := range sizes {
					if err := checkProduct(&target, target.planProduct(product{m: m, n: n, k: k}), m, n, k); err != nil {
						t.Fatalf("%s: (%d, %d, %d): %v", name, m, n, k, err)
					}
				}
			}
		}
	}
}

func checkProduct(t *target, p product, m, n, k int) error {
	switch {
	case p.m != m || p.n != n || p.k != k:
		return fmt.Errorf("planned for another shape: %+v", p)
	case p.bm%p.tm != 0 || p.bn%p.tn != 0 || p.tm%4 != 0 || p.tn%4 != 0 || p.bk%4 != 0:
		return fmt.Errorf("the tile does not divide: %+v", p)
	case p.threads() > t.limits.MaxWorkgroupInvocations || p.sharedBytes(p.bk) > t.limits.SharedMemoryBytes:
		return fmt.Errorf("%d threads and %d bytes are beyond the device: %+v", p.threads(), p.sharedBytes(p.bk), p)
	case p.groups() != ceilDiv(m, p.bm)*ceilDiv(n, p.bn):
		return fmt.Errorf("%d groups do not cover the result: %+v", p.groups(), p)
	case p.splits > 1 && p.splitK%p.bk != 0, p.splits*p.splitK < k, (p.splits-1)*p.splitK >= k:
		return fmt.Errorf("the splits do not cover K: %+v", p)
	case p.splits > t.limits.MaxWorkgroupCount[2]:
		return fmt.Errorf("%d splits are beyond the device: %+v", p.splits, p)
	}
	return nil
}

// Every chunk of a column reduction has rows, and together they have all.
func TestPlanColumns(t *testing.T) {
	for name, target := range targets() {
		for _, rows := range []int{1, 2, 63, 64, 65, 3136, 50176, 1 << 20} {
			for _, cols := range []int{1, 3, 10, 32, 33, 128, 1000} {
				c := target.planColumns(rows, cols)
				if c.chunks*c.chunkRows < rows || (c.chunks-1)*c.chunkRows >= rows || target.threads%c.width != 0 {
					t.Errorf("%s: (%d, %d): %+v", name, rows, cols, c)
				}
			}
		}
	}
}

// network returns a built-in network for Fashion-MNIST's images.
func network(name string) model.Network {
	n, ok := model.Zoo(name, model.Shape{H: 28, W: 28, C: 1}, make([]string, 10))
	if !ok {
		panic("no network " + name)
	}
	return n
}

// Without joins, each op of every model's step has the dispatches that it has
// alone. With them, some of each kind that can join do.
func TestUnfusedOpsHaveDispatchesOfTheirOwn(t *testing.T) {
	desktop := targets()["desktop"]
	unfused := desktop
	unfused.unfused = true
	joined := map[string]bool{}
	for _, name := range model.Names() {
		net, err := model.Build(model.Config{Network: network(name), Optimizer: model.DefaultAdam(),
			Images: 64, TrainBatches: []int{64}, TrainImages: 64})
		if err != nil {
			t.Fatal(err)
		}
		plan := newLayout(net.Plan)
		section := net.Plan.Find(model.TrainSection(64))
		together, apart := launches(t, desktop, plan, section), launches(t, unfused, plan, section)
		for i, op := range section.Ops {
			alone := launches(t, desktop, plan, &kernels.Section{Ops: []kernels.Op{op}})[0]
			if fmt.Sprint(apart[i]) != fmt.Sprint(alone) {
				t.Errorf("%s, op %d (%s): dispatches %v, alone %v", name, i, op.Kind(), apart[i], alone)
			}
			if len(together[i]) < len(alone) {
				joined[op.Kind()] = true
			}
		}
	}
	for _, kind := range []string{"BatchNormReLUPoolBackward", "ReLUDropoutForward", "ReLUDropoutBackward", "SoftmaxCrossEntropy", "AdvanceState"} {
		if !joined[kind] {
			t.Errorf("no %s joins the dispatch before it: %v", kind, joined)
		}
	}
}

// Each of several replicas has the dispatches that one network has, between the same
// barriers as the others', and bindings as large, however many replicas there are.
func TestReplicasAreAsOneNetwork(t *testing.T) {
	levels := func(name string, n int) (list [][]dispatch, widest int64) {
		nets, err := model.BuildReplicas(model.Config{Network: network(name), Optimizer: model.DefaultAdam(),
			Images: 64, TrainBatches: []int{64}, TrainImages: 64}, n)
		if err != nil {
			t.Fatal(err)
		}
		l := lowering{target: targets()["desktop"], layout: newLayout(nets[0].Plan)}
		if err := l.section(nets[0].Plan.Find(model.TrainSection(64))); err != nil {
			t.Fatal(err)
		}
		for _, d := range l.out {
			if d.isFill() {
				continue
			}
			bound, _, err := bind(&d)
			if err != nil {
				t.Fatalf("%s, %d replicas: %v", name, n, err)
			}
			for _, a := range bound {
				widest = max(widest, a.size)
			}
		}
		return schedule(l.out), widest
	}
	for name, replicas := range map[string]int{"logistic": 300, "alternative": 120, "fashioncnn": 30, "resnet20": 10} { // gigabytes of each
		one, narrow := levels(name, 1)
		all, widest := levels(name, replicas)
		if len(all) != len(one) || widest > narrow+narrow/10 {
			t.Errorf("%s: %d replicas have %d levels and a binding of %d bytes, want %d and some %d", name, replicas, len(all), widest, len(one), narrow)
			continue
		}
		for i, level := range all {
			for j, d := range level {
				alone := one[i][j%len(one[i])]
				if len(level) != replicas*len(one[i]) || fmt.Sprint(d.key(), d.push, d.groups, d.splits) != fmt.Sprint(alone.key(), alone.push, alone.groups, alone.splits) {
					t.Fatalf("%s, level %d of %d dispatches: dispatch %d is %+v, want those of one network's %d", name, i, len(level), j, d, len(one[i]))
				}
			}
		}
	}
}

// launches returns what the dispatches of each op of a section launch.
func launches(t *testing.T, on target, plan layout, s *kernels.Section) map[int][]string {
	t.Helper()
	l := lowering{target: on, layout: plan}
	if err := l.section(s); err != nil {
		t.Fatal(err)
	}
	ofOp := map[int][]string{}
	for _, d := range l.out {
		ofOp[d.op] = append(ofOp[d.op], fmt.Sprint(d.key(), d.push, d.groups, d.splits))
	}
	return ofOp
}

// More workgroups than one axis holds are folded over two.
func TestGrid(t *testing.T) {
	target := newTarget(smallest)
	for _, groups := range []int{1, 65535, 65536, 1000003, 65535 * 65535} {
		x, y := target.grid(groups)
		if x < 1 || x > 65535 || y < 1 || y > 65535 || x*y < groups || x*y-groups >= x+y {
			t.Errorf("%d groups: %d × %d", groups, x, y)
		}
	}
}

// at is a dispatch that reads and writes 256-byte blocks of one arena.
func at(op int, read, write []int64) dispatch {
	d := dispatch{op: op}
	for _, b := range read {
		d.args = append(d.args, arg{span{0, 256 * b, 256}, kernels.Read})
	}
	for _, b := range write {
		d.args = append(d.args, arg{span{0, 256 * b, 256}, kernels.Write})
	}
	return d
}

func TestScheduleKeepsHazardsInOrder(t *testing.T) {
	type b = []int64
	for _, c := range []struct {
		name string
		list []dispatch
		want string // ops of each level
	}{
		{"none", nil, "[]"},
		{"independent", []dispatch{at(0, b{0}, b{1}), at(1, b{0}, b{2})}, "[[0 1]]"},
		{"read after write", []dispatch{at(0, nil, b{1}), at(1, b{1}, b{2})}, "[[0] [1]]"},
		{"write after read", []dispatch{at(0, b{1}, b{2}), at(1, nil, b{1})}, "[[0] [1]]"},
		{"write after write", []dispatch{at(0, nil, b{1}), at(1, nil, b{1})}, "[[0] [1]]"},
		{"two chains", []dispatch{at(0, nil, b{1}), at(1, b{1}, b{2}), at(2, nil, b{3}), at(3, b{3}, b{4})}, "[[0 2] [1 3]]"},
		{"diamond", []dispatch{at(0, nil, b{1}), at(1, b{1}, b{2}), at(2, b{1}, b{3}), at(3, b{2, 3}, b{4})}, "[[0] [1 2] [3]]"},
		{"reuse", []dispatch{at(0, nil, b{1}), at(1, b{1}, b{2}), at(2, nil, b{1}), at(3, b{1}, b{3})}, "[[0] [1] [2] [3]]"},
	} {
		levels := [][]int{}
		for _, level := range schedule(c.list) {
			var ops []int
			for _, d := range level {
				ops = append(ops, d.op)
			}
			levels = append(levels, ops)
		}
		if got := fmt.Sprint(levels); got != c.want {
			t.Errorf("%s: levels %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSpanOverlaps(t *testing.T) {
	s := span{0, 256, 100}
	for o, want := range map[span]bool{
		{0, 256, 100}: true, {0, 0, 256}: false, {0, 0, 257}: true, {0, 355, 1}: true, {0, 356, 10}: false, {1, 256, 100}: false,
	} {
		if s.overlaps(o) != want || o.overlaps(s) != want {
			t.Errorf("%v and %v: want overlap %v", s, o, want)
		}
	}
}

// Buffers do not overlap, start aligned, and share arenas of bounded size, the small
// ones the first.
func TestLayout(t *testing.T) {
	var p kernels.Plan
	for i, n := range []int{1, 63, 64, 65, 1 << 28, 1 << 28, 7} { // two of a GiB
		p.Tensor(fmt.Sprint(i), kernels.Float32, n)
	}
	p.Tensor("bytes", kernels.Uint8, 3)
	l := newLayout(&p)
	for i, s := range l.spans {
		if s.offset%kernels.Alignment != 0 || s.size < int64(p.Buffers[i].Len*p.Buffers[i].Type.Size()) || s.offset+s.size > l.arenas[s.arena] {
			t.Errorf("buffer %d: %+v in arenas %v", i, s, l.arenas)
		}
		for j := range i {
			if s.overlaps(l.spans[j]) {
				t.Errorf("buffers %d and %d share memory", j, i)
			}
		}
	}
	if len(l.arenas) != 3 || l.arenas[0] != 7*kernels.Alignment {
		t.Errorf("arenas of %v bytes, want one before the two large ones", l.arenas)
	}
}

// A device that package gpu accepts has the bindings of every shader.
func TestUsableDevicesHaveEnoughBindings(t *testing.T) {
	if gpu.MinStorageBuffers < shaders.MaxBindings {
		t.Errorf("devices with %d storage buffers are usable, but shaders take %d", gpu.MinStorageBuffers, shaders.MaxBindings)
	}
}

// Buffers that share a binding are bound as one span, and each is found at its offset
// in elements. An unused one is not part of it, and an unused binding holds what the
// dispatch writes.
func TestBind(t *testing.T) {
	m, err := shaders.Get("conv_forward")
	if err != nil {
		t.Fatal(err)
	}
	args := make([]arg, len(m.Buffers)) // X, Weight, Y, then Bias, Mean, Variance, then scratch
	for i := range 3 {
		args[i] = arg{span{0, int64(4096 * i), 100}, kernels.Read}
	}
	args[2].access = kernels.Write
	args[3] = arg{span{0, 1024, 128}, kernels.Read}
	args[5] = arg{span{0, 512, 64}, kernels.Write}
	bound, offsets, err := bind(&dispatch{shader: "conv_forward", args: args})
	if err != nil {
		t.Fatal(err)
	}
	if want := (arg{span{0, 512, 640}, kernels.ReadWrite}); bound[3] != want || bound[4] != args[2] {
		t.Errorf("bindings 3 and 4 hold %+v, want %+v and %+v", bound[3:], want, args[2])
	}
	if want := []byte{128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; !bytes.Equal(offsets[:12], want) {
		t.Errorf("offsets %v, want %v", offsets[:12], want)
	}
	args[3].arena = 1
	if _, _, err := bind(&dispatch{shader: "conv_forward", args: args}); err == nil {
		t.Error("buffers of two arenas share a binding")
	}
}

// Buffers that share a binding lie in one arena even if gigabytes of activations are
// smaller than the buffers of all parameters.
func TestBindingsAreNarrowInLargeNetworks(t *testing.T) {
	n, err := model.ParseYAML("large.yaml", []byte("layers: ["+strings.Repeat("conv: {out: 64, kernel: 3, padding: 1}, batchnorm, relu, ", 24)+
		"maxpool: 4, conv: {out: 1024, kernel: 3, padding: 1}, batchnorm, relu, conv: {out: 1024, kernel: 3, padding: 1}, batchnorm, relu, flatten, linear: {out: classes}]"))
	if err != nil {
		t.Fatal(err)
	}
	n.Input, n.Classes = model.Shape{H: 28, W: 28, C: 1}, make([]string, 10)
	const batch = 128
	net, err := model.Build(model.Config{Network: n, Optimizer: model.DefaultAdam(), Images: batch, TrainBatches: []int{batch}, TrainImages: batch})
	if err != nil {
		t.Fatal(err)
	}
	l := lowering{target: targets()["desktop"], layout: newLayout(net.Plan)}
	if err := l.section(net.Plan.Find(model.TrainSection(batch))); err != nil {
		t.Fatal(err)
	}
	parameters := int64(0)
	for i, d := range l.out {
		if d.isFill() {
			continue
		}
		bound, _, err := bind(&d)
		if err != nil {
			t.Fatalf("dispatch %d, %s: %v", i, d.shader, err)
		}
		if d.shader == "adam" {
			parameters = d.args[0].size
		}
		m, err := shaders.Get(d.shader)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range m.Buffers {
			if a := bound[b.Binding]; b.Shared && a.arena != l.scratch() && a.size > 1<<28 {
				t.Errorf("dispatch %d, %s: binding %d has %d bytes", i, d.shader, b.Binding, a.size)
			}
		}
	}
	if total := net.Plan.Bytes(); total < arenaBytes*3/2 || parameters < 28*28*64*batch*4 {
		t.Errorf("a plan of %d bytes and parameters of %d: too small to test anything", total, parameters)
	}
}

// In inference a convolution without a pool normalises its own result: FashionCNN's
// third, and all of ResNet-20.
func TestInferenceDispatches(t *testing.T) {
	const batch = 100
	for name, saved := range map[string]int{"fashioncnn": 1, "resnet20": 21} {
		network, _ := model.Zoo(name, model.Shape{H: 28, W: 28, C: 1}, []string{"a", "b", "c"})
		net, err := model.Build(model.Config{Network: network, Images: batch, EvalImages: batch, EvalBatches: []int{batch}})
		if err != nil {
			t.Fatal(err)
		}
		s := net.Plan.Find(model.EvalSection(batch))
		dispatches := func(pool int) int { // with the pools of all convolutions set to one, if that is above 1
			n := 0
			for _, op := range s.Ops {
				l := lowering{target: targets()["desktop"], layout: newLayout(net.Plan)}
				conv, ok := op.(kernels.ConvBatchNormInference)
				if ok && pool > 1 {
					conv.Pool = pool
					op = conv
				}
				if err := l.lower(op, nil); err != nil {
					t.Fatal(err)
				}
				n += len(l.out)
			}
			return n
		}
		if with, without := dispatches(1), dispatches(2); without-with != saved {
			t.Errorf("%s: %d dispatches, %d if none normalised its own result, want %d fewer", name, with, without, saved)
		} else {
			t.Logf("%s: %d dispatches, %d without", name, with, without)
		}
	}
}
