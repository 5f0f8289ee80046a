//go:build cgo

package vulkan

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// Options are how [Open] sets up a device. The choices of [Backend.Tune] are kept in
// the subfolder tuning of CacheDir.
type Options = gpu.Options

// Backend runs plans on one Vulkan device. It implements [kernels.Backend].
// Compile may be called from several goroutines.
type Backend struct {
	device *gpu.Device
	target target

	tuningFile string // where choices are kept, "" for nowhere
	validates  bool   // the validation layer is on

	unitsMu  sync.Mutex // guards the two below
	units    *units     // that passed the test
	unitsWhy string     // what MatrixUnits returns; "" before the test

	mu        sync.Mutex
	pipelines map[string]*gpu.Pipeline // by variant.key, shared by all programs
	compiler  *hostmemory.Reservation  // of a software driver; nil until it is needed
}

var _ kernels.Backend = (*Backend)(nil)

// List describes the machine's Vulkan devices, and says what keeps others from
// being used; see [gpu.List].
func List() ([]gpu.Info, []error) { return gpu.List(tryShaders) }

// Open opens the device that the selector names: an index, a UUID or part of a
// name; "" is the best real GPU that works (see [gpu.Open] for both, and for
// errors).
func Open(selector string, o Options) (*Backend, error) {
	o.Trial = tryShaders
	device, err := gpu.Open(selector, o)
	if err != nil {
		return nil, err
	}
	b := &Backend{device: device, target: newTarget(device.Info()), pipelines: map[string]*gpu.Pipeline{},
		tuningFile: tuningPath(device.Info(), o.CacheDir), validates: o.Validate}
	if b.target.tuned, err = readTuning(b.tuningFile); err != nil && o.Log != nil {
		o.Log(fmt.Sprintf("ignoring the results of an earlier tuning: %v", err))
	}
	return b, nil
}

// Name implements [kernels.Backend].
func (b *Backend) Name() string { return b.device.Info().Name + " (Vulkan)" }

// PassedOver says why better devices were not taken; see
// [gpu.Device.PassedOver].
func (b *Backend) PassedOver() []error { return b.device.PassedOver() }

// Info describes the backend's device.
func (b *Backend) Info() gpu.Info { return b.device.Info() }

// Close implements [kernels.Backend]. It returns an error if the validation
// layer reported anything that no earlier error told of.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pipelines = nil // the device closes what was made from it
	b.compiler.Close()
	return b.device.Close()
}

// createPipelines makes the pipelines that the dispatches need and b lacks,
// several at a time: a driver takes milliseconds for a small shader and
// seconds for all.
func (b *Backend) createPipelines(dispatches []dispatch) error {
	var missing []dispatch
	b.mu.Lock()
	defer b.mu.Unlock()
	queued := map[string]bool{}
	for _, d := range dispatches {
		if key := d.key(); !d.isFill() && b.pipelines[key] == nil && !queued[key] {
			queued[key] = true
			missing = append(missing, d)
		}
	}
	pipelines, errs := make([]*gpu.Pipeline, len(missing)), make([]error, len(missing))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, d := range missing {
		wg.Go(func() {
			slots <- struct{}{}
			pipelines[i], errs[i] = b.createPipeline(d)
			<-slots
		})
	}
	wg.Wait()
	for i, p := range pipelines {
		if p != nil {
			b.pipelines[missing[i].key()] = p
		}
	}
	return errors.Join(errs...)
}

// closePipelines destroys the pipelines, of which no program may be left.
func (b *Backend) closePipelines() {
	for _, p := range b.pipelines {
		p.Close()
	}
	clear(b.pipelines)
}

func (b *Backend) createPipeline(d dispatch) (*gpu.Pipeline, error) {
	m, err := shaders.Get(d.shader)
	if err != nil {
		return nil, err
	}
	return b.device.NewPipeline(gpu.PipelineDesc{Name: d.shader, SPIRV: m.SPIRV, Bindings: m.Bindings,
		PushBytes: m.PushBytes, Spec: d.spec, LocalSize: [3]int{int(d.spec[0]), 1, 1}})
}

// pipeline returns the dispatch's pipeline, after createPipelines.
func (b *Backend) pipeline(d *dispatch) *gpu.Pipeline {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pipelines[d.key()]
}
