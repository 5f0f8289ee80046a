//go:build cgo

package gpu

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// Device is an open Vulkan device with one queue.
type Device struct {
	instance *instance
	physical physicalDevice
	memory   vk.PhysicalDeviceMemoryProperties
	handle   vk.Device
	queue    vk.Queue
	cache    *pipelineCache
	log      func(string)

	inspect    bool    // opened with Options.Inspect
	passedOver []error // see PassedOver
	stuck      bool    // it does not respond, so nothing on it can be destroyed

	allocated   atomic.Int64 // bytes in all buffers
	allocations atomic.Int64 // their number

	childMu  sync.Mutex
	children map[child]struct{} // what Close has to destroy; nil after Close

	mu       sync.Mutex // held while the queue is in use
	transfer transfer
	fences   [inFlight]vk.Fence
}

// child is an object that belongs to a device and is destroyed with it.
type child interface{ destroy() }

var (
	errClosed        = errors.New("the device is closed")
	errOnlyInspected = errors.New("the device was opened only for inspection")
)

// Open opens a device. The selector is an index, a UUID or all or part of a name, as
// [List] shows them. A whole number is always an index; case does not matter. "" picks the
// best real GPU that can be opened (discrete before integrated before virtual), and a
// software driver only if [Options].Software allows it; [Device.PassedOver] then says what
// was wrong with better ones. If a driver makes the Vulkan loader fail, Open sets the
// loader's variables VK_DRIVER_FILES and VK_ICD_FILENAMES to the other drivers, for the
// rest of the process. The error wraps [ErrNoVulkan] or [ErrNoDevice]; the latter lists
// the devices or says why the chosen one cannot be used.
func Open(selector string, o Options) (*Device, error) {
	in, err := connect(o)
	if err != nil {
		return nil, err
	}
	d, err := in.openSelected(selector, o)
	if err != nil {
		return nil, both(err, in.close())
	}
	return d, nil
}

func (in *instance) openSelected(selector string, o Options) (*Device, error) {
	candidates, err := selectDevices(infos(in.devices), selector, o.Software)
	if err == nil && o.Window != nil {
		err = in.openSurface(o.Window)
	}
	if err != nil {
		return nil, both(err, joined(in.problems))
	}
	passedOver := slices.Clone(in.problems)
	for _, c := range candidates {
		d, err := in.open(in.devices[c.Index], o)
		if err == nil {
			if selector == "" {
				d.passedOver = passedOver
			}
			return d, nil
		}
		if errors.Is(err, ErrValidation) {
			return nil, fmt.Errorf("device %v: %w", c, err)
		}
		passedOver = append(passedOver, fmt.Errorf("device %d (%s) cannot be used: %w", c.Index, c.Name, err))
	}
	return nil, fmt.Errorf("%w: %w", ErrNoDevice, joined(passedOver))
}

// open opens a device of the instance. The instance stays open in any case.
func (in *instance) open(p physicalDevice, o Options) (*Device, error) {
	if !p.info.Usable {
		return nil, errors.New(p.info.Why)
	}
	if o.Window != nil {
		if err := in.presents(&p); err != nil {
			return nil, err
		}
	}
	if p.extensions = maps.Clone(p.extensions); !o.Inspect {
		delete(p.extensions, extExecutables)
	} else if !p.extensions[extExecutables] {
		return nil, fmt.Errorf("its driver lacks %s, which inspection needs", extExecutables)
	}
	d := &Device{instance: in, physical: p, log: o.Log, inspect: o.Inspect, children: map[child]struct{}{}}
	if d.log == nil {
		d.log = func(string) {}
	}
	if err := d.create(o.CacheDir); err != nil {
		return nil, err
	}
	if o.Trial != nil && !o.Inspect {
		if err := o.Trial(d); err != nil {
			d.destroy()
			return nil, err
		}
	}
	return d, nil
}

func (d *Device) create(cacheDir string) error {
	d.memory = getMemoryProperties(d.physical.handle)
	features := d.instance.calls.featureChain(d.physical.handle, d.physical.extensions)
	defer cFree(unsafe.Pointer(features))
	var err error
	d.handle, err = createDevice(d.physical.handle, unsafe.Pointer(features), d.physical.family, enabledExtensions(d.physical))
	if err != nil {
		return err
	}
	var queue vk.Queue
	vk.GetDeviceQueue(d.handle, uint32(d.physical.family), 0, &queue)
	d.queue = queue
	err = d.createParts(cacheDir)
	if err == nil {
		err = d.instance.validation.err()
	}
	if err != nil {
		d.destroy()
	}
	return err
}

// createParts makes what a device needs besides its handle, and tests the device.
func (d *Device) createParts(cacheDir string) (err error) {
	if d.inspect {
		d.cache, err = openPipelineCache(d, "")
		return err
	}
	for i := range d.fences {
		fence, err := createFence(d.handle)
		if err != nil {
			return err
		}
		d.fences[i] = fence
	}
	if err := d.transfer.create(d); err != nil {
		return err
	}
	if d.cache, err = openPipelineCache(d, cacheDir); err != nil {
		return err
	}
	return d.tryOut()
}

// PassedOver says why Open, without a selector, did not take drivers and
// devices that it would have preferred.
func (d *Device) PassedOver() []error { return d.passedOver }

// Info describes the device.
func (d *Device) Info() Info { return d.physical.info }

// MemoryBytes returns the device memory that the open buffers occupy,
// staging buffers not included.
func (d *Device) MemoryBytes() int64 { return d.allocated.Load() }

// Close waits for the device, destroys everything made from it and saves the
// pipeline cache. It returns the validation layer's reports that no earlier
// error has returned. A second Close does nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.usable() != nil {
		return nil
	}
	var wait error
	if !d.inspect { // then nothing runs, and the driver may be unable to wait
		wait = check("vkDeviceWaitIdle", vk.DeviceWaitIdle(d.handle))
	}
	if err := d.cache.save(); err != nil {
		d.log(fmt.Sprintf("cannot save compiled pipelines for the next start: %v", err))
	}
	d.destroy()
	return both(wait, d.instance.close())
}

// joined joins errors in one line; it returns nil if there are none.
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errors.New(oneLine(errors.Join(errs...).Error()))
}

// both joins two errors, either of which may be nil, in one line.
func both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

// destroy releases all Vulkan objects but the instance; any may be missing. It
// does nothing if the device does not respond: the driver would wait forever.
func (d *Device) destroy() {
	if d.stuck {
		return
	}
	d.childMu.Lock()
	children := d.children
	d.children = nil
	d.childMu.Unlock()
	for c := range children {
		c.destroy()
	}
	d.transfer.destroy()
	if d.cache != nil {
		vk.DestroyPipelineCache(d.handle, d.cache.handle, nil)
	}
	for _, f := range d.fences {
		vk.DestroyFence(d.handle, f, nil)
	}
	vk.DestroyDevice(d.handle, nil)
}

// usable returns an error once the device is closed.
func (d *Device) usable() error {
	d.childMu.Lock()
	defer d.childMu.Unlock()
	if d.children == nil {
		return errClosed
	}
	return nil
}

// runs is usable for what a device opened for inspection cannot do.
func (d *Device) runs() error {
	if d.inspect {
		return errOnlyInspected
	}
	return d.usable()
}

// adopt registers a child for Close to destroy.
func (d *Device) adopt(c child) {
	d.childMu.Lock()
	defer d.childMu.Unlock()
	d.children[c] = struct{}{}
}

// release destroys a child. Further calls for the same child do nothing.
func (d *Device) release(c child) {
	d.childMu.Lock()
	_, alive := d.children[c]
	delete(d.children, c)
	d.childMu.Unlock()
	if alive {
		c.destroy()
	}
}

// alive reports whether c is a child of this device and has not been closed.
func (d *Device) alive(c child) bool {
	d.childMu.Lock()
	defer d.childMu.Unlock()
	_, alive := d.children[c]
	return alive
}
