//go:build cgo

package gpu

import (
	"errors"
	"fmt"
	"slices"

	vk "github.com/vulkan-go/vulkan"
)

// require returns the extensions to switch on, those of the window among them.
func (w *Window) require(available map[string]bool, others []string) ([]string, error) {
	if len(w.Extensions) == 0 {
		return nil, fmt.Errorf("%w: the window system knows no way to present with Vulkan", ErrNoDevice)
	}
	for _, name := range w.Extensions {
		if !available[name] {
			return nil, fmt.Errorf("%w: no Vulkan driver here can present to a window: the loader lacks %s", ErrNoDevice, name)
		}
	}
	return append(others, w.Extensions...), nil
}

var errSurfaceLost = errors.New("the window's surface is lost")

// openSurface makes the surface of the instance's window.
func (in *instance) openSurface(w *Window) error {
	surface, err := w.Surface(object(in.handle))
	if err != nil {
		return fmt.Errorf("%w: cannot present to the window: %w", ErrNoDevice, err)
	}
	in.surface = surface
	return nil
}

func (in *instance) closeSurface() {
	if in.surface != 0 {
		in.calls.destroySurface(in.handle, in.surface)
		in.surface = 0
	}
}

// presents chooses the queue family of a device that computes, draws and presents
// to the window.
func (in *instance) presents(p *physicalDevice) error {
	if !p.extensions[extSwapchain] {
		return fmt.Errorf("it cannot present to a window: its driver lacks %s", extSwapchain)
	}
	for i, f := range in.calls.queueFamilies(p.handle) {
		if !f.compute || !f.graphics {
			continue
		}
		ok, err := in.calls.surfaceSupported(p.handle, i, in.surface)
		if err != nil {
			return err
		}
		if ok {
			p.family, p.graphics, p.presents, p.timestampMask = i, true, true, 1<<f.timestampBits-1
			if f.timestampBits == 0 {
				p.info.Limits.TimestampPeriod = 0
			}
			return nil
		}
	}
	return fmt.Errorf("it cannot present to this window: no queue of it draws and presents")
}

// swapchain is the images that a window shows in turn.
type swapchain struct {
	handle        uint64
	width, height int
	wanted        [2]int // size of the frame that it was made for
	images        []uint64
	drawn         []vk.Semaphore // of each image: signalled when it may be shown
	stale         bool           // it no longer fits the surface
}

// openSwapchain replaces the swapchain by one of the surface's size, which wanted
// decides where the surface leaves it open. There is none while that size is zero:
// the window is minimised. Nothing of the old one may be in use.
func (d *Device) openSwapchain(s *swapchain, width, height int) error {
	in := d.instance
	state, err := in.calls.surfaceState(d.physical.handle, in.surface)
	if err != nil {
		return err
	}
	if state.width < 0 {
		state.width = min(max(width, state.minWidth), state.maxWidth)
		state.height = min(max(height, state.minHeight), state.maxHeight)
	}
	old := *s
	*s = swapchain{wanted: [2]int{width, height}}
	if state.width > 0 && state.height > 0 {
		err = d.createSwapchain(s, state, old.handle)
	}
	d.closeSwapchain(&old)
	if err != nil {
		d.closeSwapchain(s)
	}
	return err
}

func (d *Device) createSwapchain(s *swapchain, state surfaceState, old uint64) error {
	calls, surface := d.instance.calls, d.instance.surface
	formats, err := calls.surfaceFormats(d.physical.handle, surface)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(formats, func(f surfaceFormat) bool {
		return f.colourSpace == 0 && (f.format == vk.FormatB8g8r8a8Unorm || f.format == vk.FormatR8g8b8a8Unorm)
	})
	if i < 0 || state.usage&vk.ImageUsageTransferDstBit == 0 {
		return fmt.Errorf("%w: %s shows no images of 8 bits per channel in this window", ErrNoDevice, d.physical.info.Name)
	}
	images := state.minImages + 1
	if state.maxImages > 0 {
		images = min(images, state.maxImages)
	}
	alpha := state.compositeAlpha & -state.compositeAlpha // opaque, which is the lowest bit, or else what there is
	s.width, s.height = state.width, state.height
	if s.handle, err = calls.createSwapchain(d.handle, surface, formats[i], state, images, s.width, s.height, alpha, old); err != nil {
		return err
	}
	if s.images, err = calls.swapchainImages(d.handle, s.handle); err != nil {
		return err
	}
	for range s.images {
		semaphore, err := createSemaphore(d.handle)
		if err != nil {
			return err
		}
		s.drawn = append(s.drawn, semaphore)
	}
	return nil
}

func (d *Device) closeSwapchain(s *swapchain) {
	if s.handle != 0 {
		d.instance.calls.destroySwapchain(d.handle, s.handle)
	}
	for _, semaphore := range s.drawn {
		vk.DestroySemaphore(d.handle, semaphore, nil)
	}
	*s = swapchain{}
}
