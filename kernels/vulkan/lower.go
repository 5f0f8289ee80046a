//go:build cgo

package vulkan

import (
	"cmp"
	"fmt"
	"runtime"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// dispatch is one launch of a shader variant, or a fill.
type dispatch struct {
	op     int      // index in the section, for errors and profiles
	shader string   // module of package shaders; "" is a fill
	spec   []uint32 // specialisation constants, the number of threads first
	push   []byte   // push constants
	args   []arg    // buffers in the order of their bindings
	groups int      // workgroups, folded over x and y
	splits int      // workgroups in z
	word   uint32   // value of a fill

	product *product // of a matrix product, else nil
}

// arg is a span of memory and its role in a dispatch. The zero arg is a buffer that
// the dispatch does not access.
type arg struct {
	span
	access kernels.Access
}

func (a arg) unused() bool { return a.access == 0 }

func (d *dispatch) isFill() bool { return d.shader == "" }

// key identifies the pipeline that the dispatch needs.
func (d *dispatch) key() string { return fmt.Sprint(d.shader, d.spec) }

// target describes the device to the lowering.
type target struct {
	limits   gpu.Limits
	cpu      bool // a software driver, which prefers few, long workgroups
	threads  int  // default workgroup size, a power of two
	subgroup int  // threads that run in lockstep
	cores    int  // units that run workgroups independently
	wanted   int  // workgroups of that size that keep the device busy
	core     core
	tiles    []tile
	units    *units // for products in mixed precision; nil without usable ones
	onUnits  bool   // whether tiles are those of units

	// lastGroup: the last workgroup to arrive may finish the work of all
	// (shaders/include/last_group.glsl). That needs fences between workgroups,
	// which Metal has only had since version 3.2.
	lastGroup bool
	tuned     tuning
	unfused   bool // each op has dispatches of its own; for tests

	// longest is the time that a submission may take by the cost model, or 0 for any: systems
	// reset a device that is busy for too long (Windows after two seconds).
	longest time.Duration
}

// longestSubmission is longest on GPUs. The cost model may be wrong by several times.
const longestSubmission = 250 * time.Millisecond

// usualCores are the cores of a device, by its type, whose driver does not tell.
var usualCores = map[string]int{"discrete": 32, "virtual": 32, "integrated": 8}

func newTarget(info gpu.Info) target {
	t := target{limits: info.Limits, cpu: info.Type == "cpu", threads: 1, lastGroup: runtime.GOOS != "darwin",
		subgroup: max(1, info.SubgroupSize), cores: cmp.Or(info.Cores, usualCores[info.Type], 1), core: gpuCore}
	t.wanted = 2 * t.cores
	if t.cpu {
		t.wanted = 4 * runtime.NumCPU()
		t.cores, t.core = 1, softwareCore(t.wanted)
	} else {
		t.longest = longestSubmission
	}
	most := min(256, t.limits.MaxWorkgroupInvocations, t.limits.MaxWorkgroupSize[0])
	for 2*t.threads <= most {
		t.threads *= 2
	}
	t.tiles = usableTiles(t)
	return t
}

// lowering turns the ops of one section into dispatches.
type lowering struct {
	target
	layout
	op         int    // index of the op being lowered
	scratchEnd int64  // bytes of scratch in use
	planned    string // key of the product planned last
	out        []dispatch
}

// section lowers the ops of a section.
func (l *lowering) section(s *kernels.Section) error {
	for i := 0; i < len(s.Ops); {
		l.op = i
		joined := l.follower(s.Ops[i:])
		if err := l.lower(s.Ops[i], joined); err != nil {
			return opError(s, i, err)
		}
		i++
		if joined != nil {
			i++
		}
	}
	return nil
}

// lower appends the dispatches of an op and of the next one if that joins it
// (see fuse.go); else joined is nil.
func (l *lowering) lower(op, joined kernels.Op) error {
	switch op := op.(type) {
	case kernels.GEMM:
		l.gemm(op, joined)
	case kernels.ConvBackwardInput:
		l.convBackwardInput(op, joined)
	case kernels.Adam:
		l.adam(op, joined)
	default:
		return l.lowerAlone(op)
	}
	return nil
}

// lowerAlone appends the dispatches of an op that none can join.
func (l *lowering) lowerAlone(op kernels.Op) error {
	switch op := op.(type) {
	case kernels.ConvForward:
		l.convForward(op)
	case kernels.ConvBatchNormInference:
		l.convBatchNormInference(op)
	case kernels.ConvBackwardWeight:
		l.convBackwardWeight(op)
	case kernels.BatchNormForward:
		l.batchNormForward(op)
	case kernels.BatchNormInference:
		l.batchNormInference(op)
	case kernels.BatchNormBackward:
		l.batchNormBackward(op)
	case kernels.BatchNormReLUPoolForward:
		l.batchNormReLUPoolForward(op)
	case kernels.BatchNormReLUPoolInference:
		l.batchNormReLUPoolInference(op)
	case kernels.BatchNormReLUPoolBackward:
		l.batchNormReLUPoolBackward(op)
	case kernels.ReLUForward:
		l.reluForward(op)
	case kernels.ReLUBackward:
		l.reluBackward(op)
	case kernels.GELUForward:
		l.geluForward(op)
	case kernels.GELUBackward:
		l.geluBackward(op)
	case kernels.SiLUForward:
		l.siluForward(op)
	case kernels.SiLUBackward:
		l.siluBackward(op)
	case kernels.Add:
		l.add(op)
	case kernels.AvgPoolForward:
		l.avgPoolForward(op)
	case kernels.AvgPoolBackward:
		l.avgPoolBackward(op)
	case kernels.MaxPoolForward:
		l.maxPoolForward(op)
	case kernels.MaxPoolBackward:
		l.maxPoolBackward(op)
	case kernels.DropoutForward:
		l.dropout(op.X, op.State, op.Y, op.P, op.Layer, false)
	case kernels.DropoutBackward:
		l.dropout(op.DY, op.State, op.DX, op.P, op.Layer, false)
	case kernels.ReLUDropoutForward:
		l.reluDropoutForward(op)
	case kernels.ReLUDropoutBackward:
		l.reluDropoutBackward(op)
	case kernels.SoftmaxCrossEntropy:
		l.softmaxCrossEntropy(op)
	case kernels.SGD:
		l.sgd(op)
	case kernels.MuonMomentum:
		l.muonMomentum(op)
	case kernels.MuonNormalize:
		l.muonNormalize(op)
	case kernels.NewtonSchulz:
		l.newtonSchulz(op)
	case kernels.MuonStep:
		l.muonStep(op)
	case kernels.EMA:
		l.ema(op)
	case kernels.Gather:
		l.gather(op)
	case kernels.ColumnSum:
		l.columnSum(op)
	case kernels.Fill:
		l.fill(op)
	case kernels.AdvanceState:
		l.advanceState(op)
	default:
		return fmt.Errorf("the Vulkan backend does not implement %s", op.Kind())
	}
	return nil
}

// read, write and update give a tensor its role in a dispatch.
func (l *lowering) read(t kernels.Tensor) arg   { return arg{l.tensor(t), kernels.Read} }
func (l *lowering) write(t kernels.Tensor) arg  { return arg{l.tensor(t), kernels.Write} }
func (l *lowering) update(t kernels.Tensor) arg { return arg{l.tensor(t), kernels.ReadWrite} }

// readIf is read for an optional tensor.
func (l *lowering) readIf(t kernels.Tensor) arg {
	if t.Absent() {
		return arg{}
	}
	return l.read(t)
}

// partials reserves scratch for n floats. Dispatches do not share scratch, so they
// need not wait for each other.
func (l *lowering) partials(n int) span {
	s := span{l.scratch(), l.scratchEnd, 4 * int64(n)}
	l.scratchEnd += align(s.size)
	return s
}

// counters reserves n counters in scratch. They are 0 whenever no dispatch is running.
func (l *lowering) counters(n int) arg { return arg{l.partials(n), kernels.ReadWrite} }

// dispatch appends a dispatch with the given number of threads per workgroup.
func (l *lowering) dispatch(threads, groups, splits int, call shaders.Call[arg]) {
	d := newDispatch(threads, groups, splits, call)
	d.op = l.op
	l.out = append(l.out, d)
}

// each appends a dispatch of n independent threads.
func (l *lowering) each(n int, call shaders.Call[arg]) {
	l.dispatch(l.threads, ceilDiv(n, l.threads), 1, call)
}

func newDispatch(threads, groups, splits int, call shaders.Call[arg]) dispatch {
	return dispatch{shader: call.Shader, spec: append([]uint32{uint32(threads)}, call.Spec...),
		push: call.Push, args: call.Buffers, groups: groups, splits: splits}
}

// grid folds a number of workgroups over x and y if one axis is too short.
func (t *target) grid(groups int) (x, y int) {
	y = ceilDiv(groups, t.limits.MaxWorkgroupCount[0])
	return ceilDiv(groups, y), y
}

// flag returns a push constant that is a truth value.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// powerOfTwo returns the smallest power of two that is at least n.
func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}
