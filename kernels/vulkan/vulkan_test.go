//go:build cgo

package vulkan_test

import (
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/kerneltest"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// open returns the backend on $FMNIST_DEVICE, by default device 0. Without a
// device the test is skipped, or fails where FMNIST_REQUIRE_VULKAN is 1.
func open(tb testing.TB, o vulkan.Options) *vulkan.Backend {
	tb.Helper()
	selector := os.Getenv("FMNIST_DEVICE")
	if selector == "" {
		selector = "0"
	}
	b, err := vulkan.Open(selector, o)
	if err != nil {
		if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
			tb.Fatal(err)
		}
		tb.Skip("skipped, no Vulkan device: ", err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// gpuSample: one of so many cases of an op is planned as for a GPU. Their shaders are
// unrolled, and a software driver compiles those of all cases for ten minutes.
const gpuSample = 31

// The plans for a GPU, which have more splits and chunks, agree with the oracle,
// whichever way the parts are put together. (Package parity runs the cases as
// they are planned for the device.)
func TestCasesAsOnGPU(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: a software driver compiles hundreds of shader variants for minutes")
	}
	reference := oracle.New()
	defer reference.Close()
	suite := kerneltest.NewSuite(reference)
	for name, change := range map[string]func(*vulkan.Backend){
		"last workgroup": func(*vulkan.Backend) {},
		"two passes":     (*vulkan.Backend).TwoPasses,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, vulkan.Options{Validate: true})
			b.PlanAsGPU()
			change(b)
			t.Log("\n", suite.RunSample(t, b, gpuSample))
		})
	}
}

// A NaN anywhere in a window of a convolution's pool makes the window NaN, and no other.
func TestConvolutionPoolsNaN(t *testing.T) {
	const n, c = 5, 4 // images of 2×2, the last without NaN
	x, w := make([]float32, n*4*4), make([]float32, c*4)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	for i := range n - 1 {
		x[i*16+i*4] = float32(math.NaN()) // at position i of the window
	}
	for i := range w {
		w[i] = 1
	}
	b := open(t, vulkan.Options{Validate: true})
	var plan kernels.Plan
	tensor := func(name string, shape ...int) kernels.Tensor { return plan.Tensor(name, kernels.Float32, shape...) }
	op := kernels.ConvBatchNormInference{X: tensor("x", n, 2, 2, 4), W: tensor("w", c, 1, 1, 4), Gamma: tensor("gamma", c), Beta: tensor("beta", c),
		RunningMean: tensor("mean", c), RunningVar: tensor("variance", c), Z: tensor("z", n, 2, 2, c), Y: tensor("y", n, 1, 1, c),
		Stride: 1, ReLU: true, Pool: 2, Eps: 1}
	plan.Section("all").Add(kernels.Fill{X: op.Gamma, Value: 1}, kernels.Fill{X: op.Beta, Value: 5}, op)
	p, err := b.Compile(&plan)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	write(t, p, op.X, kernels.AsBytes(x))
	write(t, p, op.W, kernels.AsBytes(w))
	if err := p.Run("all", 1); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, n*c)
	if err := p.Read(op.Y, kernels.AsBytes(y)); err != nil {
		t.Fatal(err)
	}
	for i, v := range y {
		if isNaN, want := v != v, i/c < n-1; isNaN != want {
			t.Errorf("image %d, channel %d: %g", i/c, i%c, v)
		}
	}
}

// strange is an op that no backend knows.
type strange struct{ kernels.ReLUForward }

func (strange) Kind() string { return "Strange" }

// Errors name what failed: the section, the op, the tensor.
func TestErrorsNameTheirCause(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	var unknown, wrong kernels.Plan
	x := unknown.Tensor("x", kernels.Float32, 4)
	unknown.Section("forward").Add(kernels.ReLUForward{X: x, Y: x}, strange{kernels.ReLUForward{X: x, Y: x}})
	_, err := b.Compile(&unknown)
	wantError(t, err, `section "forward", op 1 (Strange)`)

	x = wrong.Tensor("x", kernels.Float32, 4)
	wrong.Section("forward").Add(kernels.ReLUForward{X: x, Y: x.Reshape(2, 2)})
	_, err = b.Compile(&wrong)
	wantError(t, err, `section "forward", op 0 (ReLUForward): Y`)

	var huge kernels.Plan
	huge.Tensor("x", kernels.Float32, 1<<42)
	if _, err = b.Compile(&huge); !errors.Is(err, gpu.ErrOutOfMemory) {
		t.Errorf("16 TiB: %v, want out of memory", err)
	}
}

// What a device does not bind at once, or has too many workgroups for, does not fit on it,
// whatever memory it has.
func TestFitsBindings(t *testing.T) {
	b := open(t, vulkan.Options{})
	var p kernels.Plan
	x, y := p.Tensor("x", kernels.Float32, 300_000), p.Tensor("y", kernels.Float32, 300_000)
	p.Section("forward").Add(kernels.ReLUForward{X: x, Y: y})
	if err := b.Fits(&p); err != nil {
		t.Fatal(err)
	}
	for want, bound := range map[string]func(){
		"relu_forward needs 1 MiB in one piece": func() { b.BoundStorage(1 << 20) },
		"workgroups, and the device allows":     func() { b.BoundStorage(1 << 30); b.BoundGrids(2) },
	} {
		bound()
		_, err := b.Compile(&p)
		for _, err := range []error{err, b.Fits(&p)} {
			if wantError(t, err, want); !errors.Is(err, gpu.ErrOutOfMemory) {
				t.Errorf("%v is not for want of memory", err)
			}
		}
	}
}

// A driver that takes another value for a constant than the host sets is found out.
func TestTrySpecialised(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	if err := b.TrySpecialised(32); err != nil {
		t.Error(err)
	}
	wantError(t, b.TrySpecialised(64), "without the constants that they are specialised to")
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one with %q", err, part)
	}
}

// A closed program is closed for good, and its memory is given back.
func TestProgramClose(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	var plan kernels.Plan
	x := plan.Tensor("x", kernels.Float32, 1000)
	plan.Section("forward").Add(kernels.Fill{X: x, Value: 3})
	p, err := b.Compile(&plan)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.MemoryBytes(); n < 4000 || n > 4096 {
		t.Errorf("%d bytes for a buffer of 4000", n)
	}
	got := make([]float32, 1000)
	if err := p.Run("forward", 1); err != nil {
		t.Fatal(err)
	}
	if err := p.Read(x, kernels.AsBytes(got)); err != nil || got[0] != 3 || got[999] != 3 {
		t.Errorf("filled with %v … %v (%v), want 3", got[0], got[999], err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	wantError(t, p.Run("forward", 1), "closed")
	wantError(t, p.Read(x, kernels.AsBytes(got)), "closed")
	wantError(t, p.Write(x, kernels.AsBytes(got)), "closed")
	if n := p.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes after Close", n)
	}
}

// Programs may be compiled, run and closed side by side.
func TestConcurrentPrograms(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 3 {
				if got, err := filled(b, float32(i)); err != nil || got != float32(i) {
					t.Errorf("program %d: %v (%v)", i, got, err)
				}
			}
		})
	}
	wg.Wait()
}

// A section that takes several submissions computes what it does in one.
func TestSeveralSubmissions(t *testing.T) {
	b := open(t, vulkan.Options{Validate: true})
	var plan kernels.Plan
	x, y := plan.Tensor("x", kernels.Float32, 100), plan.Tensor("y", kernels.Float32, 100)
	plan.Section("start").Add(kernels.Fill{X: x, Value: 1}, kernels.Fill{X: y, Value: 2})
	plan.Section("step").Add(kernels.Add{A: x, B: y, Y: x}, kernels.Add{A: y, B: x, Y: y}) // Fibonacci's numbers
	for _, want := range []int{1, 2} {
		if want > 1 {
			b.SplitSubmissions()
		}
		p, err := b.Compile(&plan)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 100)
		if err := errors.Join(p.Run("start", 1), p.Run("step", 0), p.Run("step", 7), p.Read(y, kernels.AsBytes(got))); err != nil || got[0] != 1597 || got[99] != 1597 {
			t.Errorf("in %d submissions: %v … %v, want 1597 (%v)", want, got[0], got[99], err)
		}
		if n := vulkan.Submissions(p, "step"); n != want {
			t.Errorf("%d submissions, want %d", n, want)
		}
		if err := p.Run("step", -1); err == nil {
			t.Error("-1 times is no error")
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// filled returns the ReLU of an element that a program filled with v.
func filled(b *vulkan.Backend, v float32) (float32, error) {
	var plan kernels.Plan
	x, y := plan.Tensor("x", kernels.Float32, 100), plan.Tensor("y", kernels.Float32, 100)
	plan.Section("forward").Add(kernels.Fill{X: x, Value: v}, kernels.ReLUForward{X: x, Y: y})
	p, err := b.Compile(&plan)
	if err != nil {
		return 0, err
	}
	got := make([]float32, 100)
	err = errors.Join(p.Run("forward", 2), p.Read(y, kernels.AsBytes(got)), p.Close())
	return got[99], err
}

func BenchmarkOps(b *testing.B) {
	kerneltest.Benchmark(b, open(b, vulkan.Options{}))
}
