//go:build cgo

package gpu

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed testdata/axpy.spv
var axpySPIRV []byte

// axpy is y[i] += a·x[i] + c for i below n, with the constant c compiled in.
func axpy(t *testing.T, d *Device, c uint32) *Pipeline {
	t.Helper()
	p, err := d.NewPipeline(axpyDesc(c))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func axpyDesc(c uint32) PipelineDesc {
	return PipelineDesc{Name: "axpy", SPIRV: axpySPIRV, Bindings: 2, PushBytes: 8, Spec: []uint32{64, c}, LocalSize: [3]int{64, 1, 1}}
}

func axpyPush(n int, a uint32) []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, uint32(n)), a)
}

func newRecorder(t *testing.T, d *Device, timestamps bool) *Recorder {
	t.Helper()
	r, err := d.NewRecorder(timestamps)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func finish(t *testing.T, r *Recorder) *Commands {
	t.Helper()
	c, err := r.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFillCopyDispatch(t *testing.T) {
	d := testDevice(t)
	const n = 1000
	x, y, z := newBuffer(t, d, 4*n), newBuffer(t, d, 4*n), newBuffer(t, d, 4*n)
	in := randomBytes(4*n, 1)
	must(t, d.Upload(x, 0, in))
	r := newRecorder(t, d, false)
	must(t, r.Fill(whole(y), 7))
	must(t, r.Fill(Region{z, 8, 12}, 0xdeadbeef))
	r.Barrier()
	must(t, r.Dispatch(axpy(t, d, 5), []Region{whole(x), whole(y)}, axpyPush(n-1, 3), (n+63)/64, 1, 1))
	r.Barrier()
	must(t, r.Copy(Region{z, 400, 403}, Region{y, 801, 403})) // not multiples of 4
	must(t, d.Run(finish(t, r), 1))

	wantY := make([]uint32, n)
	for i, v := range words(in) {
		wantY[i] = 7
		if i < n-1 {
			wantY[i] += 3*v + 5
		}
	}
	gotY := download(t, y)
	if !slices.Equal(words(gotY), wantY) {
		t.Error("fill and dispatch: wrong result")
	}
	wantZ := make([]byte, 4*n)
	for i := 8; i < 20; i += 4 {
		binary.NativeEndian.PutUint32(wantZ[i:], 0xdeadbeef)
	}
	copy(wantZ[400:803], gotY[801:])
	if !slices.Equal(download(t, z), wantZ) {
		t.Error("partial fill and copy: wrong result")
	}
}

// Regions at aligned offsets bind the right words of the right buffer, even for
// more dispatches than one descriptor pool holds.
func TestDispatchRegions(t *testing.T) {
	d := testDevice(t)
	step := int64(max(d.Info().Limits.StorageBufferAlignment, 4))
	const dispatches = 200
	x, y := newBuffer(t, d, dispatches*step), newBuffer(t, d, dispatches*step)
	want := make([]uint32, dispatches*step/4)
	r, p := newRecorder(t, d, false), axpy(t, d, 0)
	must(t, r.Fill(whole(x), 1))
	r.Barrier()
	for i := range int64(dispatches) {
		a := uint32(i*i + 1)
		must(t, r.Dispatch(p, []Region{{x, (dispatches - 1 - i) * step, 4}, {y, i * step, 4}}, axpyPush(1, a), 1, 1, 1))
		want[i*step/4] = a
	}
	must(t, d.Run(finish(t, r), 1))
	if !slices.Equal(words(download(t, y)), want) {
		t.Error("wrong result")
	}
}

func TestRepeatedSubmission(t *testing.T) {
	d := testDevice(t)
	x, y := newBuffer(t, d, 256), newBuffer(t, d, 256)
	r := newRecorder(t, d, false)
	// x and y depend on each other's last value: a run out of order changes them.
	must(t, r.Dispatch(axpy(t, d, 1), []Region{whole(y), whole(x)}, axpyPush(64, 3), 1, 1, 1))
	r.Barrier()
	must(t, r.Dispatch(axpy(t, d, 2), []Region{whole(x), whole(y)}, axpyPush(64, 5), 1, 1, 1))
	c := finish(t, r)
	var wantX, wantY uint32
	for _, times := range []int{0, 1, 2, 63, 64, 65, 500} {
		must(t, d.Run(c, times))
		for range times {
			wantX += 3*wantY + 1
			wantY += 5*wantX + 2
		}
		if gotX, gotY := words(download(t, x))[63], words(download(t, y))[63]; gotX != wantX || gotY != wantY {
			t.Fatalf("after %d more runs: %d, %d, want %d, %d", times, gotX, gotY, wantX, wantY)
		}
	}
}

func TestNextBatch(t *testing.T) {
	for _, c := range []struct {
		took         time.Duration
		n, now, want int
	}{
		{0, 1, 64, 64}, {time.Microsecond, 1, 64, 64}, {10 * time.Millisecond, 1, 32, 25}, {10 * time.Millisecond, 2, 32, 50},
		{640 * time.Millisecond, 64, 64, 25}, {time.Second, 1, 1, 1}, {time.Hour, 64, 64, 1},
		{time.Microsecond, 1, 1, 2}, {time.Microsecond, 3, 3, 6}, // found done after a pause, perhaps
	} {
		if got := nextBatch(c.took, c.n, c.now); got != c.want {
			t.Errorf("nextBatch(%v, %d, %d) = %d, want %d", c.took, c.n, c.now, got, c.want)
		}
	}
}

// Several goroutines may use a device; each gets its own results.
func TestConcurrentUse(t *testing.T) {
	d := testDevice(t)
	const goroutines = 4
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() { errs[i] = countTo(d, uint32(i), 100) })
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
}

// countTo adds step to every word of a new buffer, the given number of times.
func countTo(d *Device, step uint32, times int) error {
	p, err := d.NewPipeline(axpyDesc(step))
	if err != nil {
		return err
	}
	b, err := d.NewBuffer(256)
	if err != nil {
		return err
	}
	r, err := d.NewRecorder(false)
	if err != nil {
		return err
	}
	if err := r.Dispatch(p, []Region{whole(b), whole(b)}, axpyPush(64, 0), 1, 1, 1); err != nil {
		return err
	}
	c, err := r.Finish()
	if err != nil {
		return err
	}
	for range times {
		if err := d.Run(c, 1); err != nil {
			return err
		}
	}
	got := make([]byte, 256)
	if err := d.Download(b, 0, got); err != nil {
		return err
	}
	if w := words(got)[63]; w != step*uint32(times) {
		return fmt.Errorf("counted to %d in steps of %d, want %d", w, step, step*uint32(times))
	}
	return nil
}

func TestTimestamps(t *testing.T) {
	d := testDevice(t)
	if d.Info().Limits.TimestampPeriod == 0 {
		t.Skip("the device has no timestamps")
	}
	const n, marks = 1 << 16, 20
	x := newBuffer(t, d, 4*n)
	r, p := newRecorder(t, d, true), axpy(t, d, 0)
	for i := range marks {
		if i > 0 {
			must(t, r.Dispatch(p, []Region{whole(x), whole(x)}, axpyPush(n, 1), n/64, 1, 1))
			r.Barrier()
		}
		r.Timestamp()
	}
	c := finish(t, r)
	if _, err := c.Timestamps(); err == nil {
		t.Error("there are timestamps before the first run")
	}
	for range 3 {
		must(t, d.Run(c, 2))
		got, err := c.Timestamps()
		must(t, err)
		if len(got) != marks || got[0] != 0 || !slices.IsSorted(got) || got[marks-1] == 0 {
			t.Errorf("timestamps %v: want %d, increasing from 0", got, marks)
		}
	}

	r = newRecorder(t, d, true)
	for range maxTimestamps + 1 {
		r.Timestamp()
	}
	if _, err := r.Finish(); err == nil {
		t.Error("too many timestamps are accepted")
	}
}

func TestRecorderRefusesMistakes(t *testing.T) {
	d := testDevice(t)
	other := testDevice(t)
	x, y, foreign := newBuffer(t, d, 512), newBuffer(t, d, 512), newBuffer(t, other, 512)
	closed := newBuffer(t, d, 512)
	closed.Close()
	closed.Close()
	p := axpy(t, d, 0)
	r := newRecorder(t, d, false)
	args, push := []Region{whole(x), whole(y)}, axpyPush(1, 1)
	limits := d.Info().Limits
	for name, err := range map[string]error{
		"a missing buffer":       r.Dispatch(p, args[:1], push, 1, 1, 1),
		"a missing push":         r.Dispatch(p, args, push[:4], 1, 1, 1),
		"no workgroup":           r.Dispatch(p, args, push, 1, 0, 1),
		"too many workgroups":    r.Dispatch(p, args, push, 1, 1, limits.MaxWorkgroupCount[2]+1),
		"a nil buffer":           r.Dispatch(p, []Region{{nil, 0, 4}, whole(y)}, push, 1, 1, 1),
		"a foreign buffer":       r.Dispatch(p, []Region{whole(foreign), whole(y)}, push, 1, 1, 1),
		"a closed buffer":        r.Dispatch(p, []Region{whole(closed), whole(y)}, push, 1, 1, 1),
		"a range past the end":   r.Dispatch(p, []Region{{x, 256, 257}, whole(y)}, push, 1, 1, 1),
		"an empty range":         r.Dispatch(p, []Region{{x, 0, 0}, whole(y)}, push, 1, 1, 1),
		"an unaligned offset":    r.Dispatch(p, []Region{{x, int64(limits.StorageBufferAlignment) / 2, 4}, whole(y)}, push, 1, 1, 1),
		"a foreign pipeline":     r.Dispatch(axpy(t, other, 0), args, push, 1, 1, 1),
		"an unaligned fill":      r.Fill(Region{x, 2, 4}, 0),
		"a fill of 3 bytes":      r.Fill(Region{x, 0, 3}, 0),
		"an overlapping copy":    r.Copy(Region{x, 0, 8}, Region{x, 7, 8}),
		"a copy to another size": r.Copy(Region{x, 0, 8}, Region{y, 0, 4}),
		"a copy from nowhere":    r.Copy(Region{x, 0, 8}, Region{}),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c := finish(t, r)
	if r.Dispatch(p, args, push, 1, 1, 1) == nil || r.Fill(whole(x), 0) == nil || r.Copy(whole(x), whole(y)) == nil {
		t.Error("a finished recording accepts commands")
	}
	if _, err := r.Finish(); err == nil {
		t.Error("a recording finishes twice")
	}
	if other.Run(c, 1) == nil || d.Run(c, -1) == nil {
		t.Error("a wrong Run is accepted")
	}
	c.Close()
	c.Close()
	if d.Run(c, 1) == nil {
		t.Error("closed commands run")
	}
	if r := newRecorder(t, d, false); true {
		r.Close()
		r.Barrier()
		if _, err := r.Finish(); err == nil {
			t.Error("a closed recording finishes")
		}
	}
}

func TestPipelineErrors(t *testing.T) {
	d := testDevice(t)
	limits := d.Info().Limits
	for name, change := range map[string]func(*PipelineDesc){
		"no module":               func(p *PipelineDesc) { p.SPIRV = nil },
		"not a module":            func(p *PipelineDesc) { p.SPIRV = make([]byte, 64) },
		"half a word":             func(p *PipelineDesc) { p.SPIRV = axpySPIRV[:len(axpySPIRV)-2] },
		"no bindings":             func(p *PipelineDesc) { p.Bindings = 0 },
		"too many bindings":       func(p *PipelineDesc) { p.Bindings = limits.StorageBuffers + 1 },
		"too many push constants": func(p *PipelineDesc) { p.PushBytes = limits.PushConstantBytes + 4 },
		"odd push constants":      func(p *PipelineDesc) { p.PushBytes = 7 },
		"too many constants":      func(p *PipelineDesc) { p.Spec = make([]uint32, maxSpecialization+1) },
		"an empty workgroup":      func(p *PipelineDesc) { p.LocalSize = [3]int{64, 0, 1} },
		"a long workgroup":        func(p *PipelineDesc) { p.LocalSize = [3]int{limits.MaxWorkgroupSize[0] + 1, 1, 1} },
		"a large workgroup":       func(p *PipelineDesc) { p.LocalSize = [3]int{limits.MaxWorkgroupInvocations, 2, 1} },
	} {
		desc := axpyDesc(0)
		change(&desc)
		if _, err := d.NewPipeline(desc); err == nil || !strings.Contains(err.Error(), "axpy") {
			t.Errorf("%s: %v, want an error that names the pipeline", name, err)
		}
	}
}

// Compute work has a queue with timestamps, and leaves the desktop its own.
func TestComputeFamily(t *testing.T) {
	draws, computes, copies := queueFamily{true, true, 64}, queueFamily{true, false, 64}, queueFamily{false, false, 64}
	for _, c := range []struct {
		families     []queueFamily
		family, bits int
	}{
		{nil, -1, 0},
		{[]queueFamily{copies}, -1, 0},
		{[]queueFamily{draws}, 0, 64},
		{[]queueFamily{draws, copies, computes, computes}, 2, 64},
		{[]queueFamily{draws, {true, false, 0}}, 0, 64},
		{[]queueFamily{{true, true, 0}, {true, false, 0}}, 1, 0},
	} {
		if family, bits := computeFamily(c.families); family != c.family || bits != c.bits {
			t.Errorf("of %+v: family %d, %d bits, want %d, %d", c.families, family, bits, c.family, c.bits)
		}
	}
}
