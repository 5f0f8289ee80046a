//go:build cgo

package gpu

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// Frame is what a [Screen] draws.
type Frame struct {
	Width, Height int        // of the window or the picture, in pixels
	Clear         [4]float32 // colour of the background: red, green, blue and alpha from 0 to 1
	Graphics      *Graphics  // draws the triangles
	Push          []byte     // push constants
	Vertices      []byte     // three for each triangle; later triangles cover earlier ones
}

// Screen draws frames: to the window of a device that was opened with one, and
// otherwise to memory alone. It draws a frame while the one before is still being
// drawn. Only one goroutine may use a Screen, and a device with a window has one.
type Screen struct {
	device *Device
	pass   vk.RenderPass
	slots  [inFlight]slot
	next   int // slot of the next frame
	latest int // slot of the frame drawn last, −1 for none

	chain swapchain
}

// slot is what one frame in flight needs.
type slot struct {
	pool     vk.CommandPool
	commands vk.CommandBuffer
	fence    vk.Fence
	pending  bool         // the fence has yet to be waited for
	acquired vk.Semaphore // signalled when the swapchain's image may be written

	width, height int // of the image
	image         imageBlock
	view          vk.ImageView
	framebuffer   vk.Framebuffer

	vertices memoryBlock
	mapped   []byte // the vertices' memory
}

// acquirePatience is how long Draw waits for an image to draw to. A hidden window
// may give none.
const acquirePatience = 250 * time.Millisecond

// NewScreen makes a screen.
func (d *Device) NewScreen() (*Screen, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	s := &Screen{device: d, latest: -1}
	if err := s.create(); err != nil {
		s.destroy()
		return nil, fmt.Errorf("screen: %w", err)
	}
	d.adopt(s)
	if err := d.instance.validation.err(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Screen) create() (err error) {
	d := s.device
	if s.pass, err = createRenderPass(d.handle); err != nil {
		return err
	}
	for i := range s.slots {
		l := &s.slots[i]
		if l.pool, l.commands, err = createCommandBuffer(d.handle, d.physical.family, vk.CommandPoolCreateResetCommandBufferBit); err != nil {
			return err
		}
		if l.fence, err = createFence(d.handle); err != nil {
			return err
		}
		if l.acquired, err = createSemaphore(d.handle); err != nil {
			return err
		}
	}
	return nil
}

// Draw draws a frame and, on a device with a window, shows it. It returns before
// the device is done. shown is false if the window shows nothing now, being minimised
// or covered. After a resize Draw makes new images, and after the loss of the window's
// surface a new surface.
func (s *Screen) Draw(f Frame) (shown bool, err error) {
	d := s.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := s.check(f); err != nil {
		return false, fmt.Errorf("draw: %w", err)
	}
	if shown, err = s.draw(f); err == nil {
		err = d.instance.validation.err()
	}
	if err != nil {
		return false, fmt.Errorf("draw: %w", err)
	}
	return shown, nil
}

func (s *Screen) check(f Frame) error {
	d, g := s.device, f.Graphics
	switch {
	case !d.alive(s):
		return fmt.Errorf("the screen is closed")
	case g == nil || g.device != d || !d.alive(g) || !d.alive(g.desc.Texture):
		return fmt.Errorf("the graphics or their texture are missing, are closed or belong to another device")
	case len(f.Push) != g.desc.PushBytes || len(f.Vertices)%(3*g.desc.Stride) != 0:
		return fmt.Errorf("%d bytes of push constants and %d of vertices: want %d and a multiple of %d", len(f.Push), len(f.Vertices), g.desc.PushBytes, 3*g.desc.Stride)
	case f.Width < 0 || f.Height < 0 || max(f.Width, f.Height) > maxImageSide*4:
		return fmt.Errorf("a frame of %d×%d", f.Width, f.Height)
	}
	return nil
}

func (s *Screen) draw(f Frame) (shown bool, err error) {
	l := &s.slots[s.next]
	if err := s.await(l); err != nil {
		return false, err
	}
	if f.Width == 0 || f.Height == 0 {
		return false, nil
	}
	image := 0
	if s.device.physical.presents {
		if image, shown, err = s.acquire(l, f); err != nil || !shown {
			return false, err
		}
		f.Width, f.Height = s.chain.width, s.chain.height
	}
	if err := s.record(l, f, image); err != nil {
		return false, err
	}
	if err := s.submit(l, image); err != nil {
		return false, err
	}
	s.latest, s.next = s.next, (s.next+1)%inFlight
	return true, nil
}

// await waits until the slot's frame is drawn.
func (s *Screen) await(l *slot) error {
	if !l.pending {
		return nil
	}
	l.pending = false
	return s.device.wait(l.fence, forever)
}

// acquire returns the image of the swapchain to draw to; ok is false if there is none
// now.
func (s *Screen) acquire(l *slot, f Frame) (image int, ok bool, err error) {
	for range 3 { // attempts: the window may change in between
		if s.chain.handle == 0 || s.chain.stale || s.chain.wanted != [2]int{f.Width, f.Height} {
			if err := s.renew(f); err != nil || s.chain.handle == 0 {
				return 0, false, err
			}
		}
		d := s.device
		image, r := d.instance.calls.acquire(d.handle, s.chain.handle, acquirePatience, l.acquired)
		switch r {
		case vk.Success:
			return image, true, nil
		case vk.Suboptimal:
			s.chain.stale = true
			return image, true, nil
		case vk.Timeout, vk.NotReady:
			return 0, false, nil
		}
		if err := s.outdated("vkAcquireNextImageKHR", r); err != nil {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// outdated notes what must be made anew after a result of the swapchain. Other
// failures are errors.
func (s *Screen) outdated(call string, r vk.Result) error {
	switch r {
	case vk.Suboptimal, vk.ErrorOutOfDate:
		s.chain.stale = true
		return nil
	case vk.ErrorSurfaceLost:
		return s.newSurface()
	}
	return check(call, r)
}

// newSurface replaces a lost surface.
func (s *Screen) newSurface() error {
	d := s.device
	if err := s.settle(); err != nil {
		return err
	}
	d.closeSwapchain(&s.chain)
	d.instance.closeSurface()
	if err := d.instance.openSurface(d.instance.window); err != nil {
		return err
	}
	ok, err := d.instance.calls.surfaceSupported(d.physical.handle, d.physical.family, d.instance.surface)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s cannot present to the new surface", ErrNoDevice, d.physical.info.Name)
	}
	return err
}

// settle waits for all frames.
func (s *Screen) settle() error {
	for i := range s.slots {
		if err := s.await(&s.slots[i]); err != nil {
			return err
		}
	}
	return check("vkDeviceWaitIdle", vk.DeviceWaitIdle(s.device.handle)) // for presentation
}

// renew replaces the swapchain, and the surface if that turns out to be lost.
func (s *Screen) renew(f Frame) error {
	if err := s.settle(); err != nil {
		return err
	}
	err := s.device.openSwapchain(&s.chain, f.Width, f.Height)
	if errors.Is(err, errSurfaceLost) {
		if err = s.newSurface(); err == nil {
			err = s.device.openSwapchain(&s.chain, f.Width, f.Height)
		}
	}
	return err
}

// record records the commands that draw a frame and copy it to an image of the
// swapchain, if there is one.
func (s *Screen) record(l *slot, f Frame, image int) error {
	if err := s.resize(l, f.Width, f.Height); err != nil {
		return err
	}
	if err := s.fill(l, f.Vertices); err != nil {
		return err
	}
	if err := beginCommandBuffer(l.commands, vk.CommandBufferUsageOneTimeSubmitBit); err != nil {
		return err
	}
	calls, c, g := s.device.instance.calls, l.commands, f.Graphics
	calls.beginPass(c, s.pass, l.framebuffer, f.Width, f.Height, f.Clear)
	if len(f.Vertices) > 0 {
		vk.CmdBindPipeline(c, vk.PipelineBindPointGraphics, g.handle)
		vk.CmdBindDescriptorSets(c, vk.PipelineBindPointGraphics, g.layout, 0, 1, []vk.DescriptorSet{g.bound}, 0, nil)
		vk.CmdBindVertexBuffers(c, 0, 1, []vk.Buffer{l.vertices.handle}, []vk.DeviceSize{0})
		if len(f.Push) > 0 {
			vk.CmdPushConstants(c, g.layout, vk.ShaderStageFlags(vk.ShaderStageVertexBit), 0, uint32(len(f.Push)), unsafe.Pointer(&f.Push[0]))
		}
		vk.CmdDraw(c, uint32(len(f.Vertices)/g.desc.Stride), 1, 0, 0)
	}
	vk.CmdEndRenderPass(c)
	if s.chain.handle != 0 {
		shown := s.chain.images[image]
		calls.imageBarrier(c, shown, acquired, copiedTo)
		calls.blit(c, l.image.handle, s.chain.images[image], f.Width, f.Height)
		calls.imageBarrier(c, shown, copiedTo, presentable)
	}
	return check("vkEndCommandBuffer", vk.EndCommandBuffer(c))
}

// submit puts a recorded frame on the queue and, on a device with a window, shows it
// when it is drawn.
func (s *Screen) submit(l *slot, image int) error {
	d := s.device
	if s.chain.handle == 0 {
		err := d.instance.calls.submitFrame(d.queue, l.commands, nil, nil, l.fence)
		l.pending = err == nil
		return err
	}
	if err := d.instance.calls.submitFrame(d.queue, l.commands, l.acquired, s.chain.drawn[image], l.fence); err != nil {
		return err
	}
	l.pending = true
	if r := d.instance.calls.present(d.queue, s.chain.handle, image, s.chain.drawn[image]); r != vk.Success {
		return s.outdated("vkQueuePresentKHR", r)
	}
	return nil
}

// resize gives a slot an image of the frame's size.
func (s *Screen) resize(l *slot, width, height int) (err error) {
	if l.width == width && l.height == height {
		return nil
	}
	d := s.device
	s.freeImage(l)
	if l.image, err = d.allocateImage(width, height, vk.ImageUsageColorAttachmentBit|vk.ImageUsageTransferSrcBit); err != nil {
		return err
	}
	if l.view, err = createImageView(d.handle, l.image.handle); err != nil {
		return err
	}
	if l.framebuffer, err = createFramebuffer(d.handle, s.pass, l.view, width, height); err != nil {
		return err
	}
	l.width, l.height = width, height
	return nil
}

func (s *Screen) freeImage(l *slot) {
	d := s.device
	vk.DestroyFramebuffer(d.handle, l.framebuffer, nil)
	vk.DestroyImageView(d.handle, l.view, nil)
	d.freeImage(l.image)
	l.framebuffer, l.view, l.image, l.width, l.height = nil, nil, imageBlock{}, 0, 0
}

// fill writes a frame's vertices to the slot's buffer, and enlarges it if need be.
func (s *Screen) fill(l *slot, vertices []byte) error {
	if len(vertices) > len(l.mapped) {
		d := s.device
		d.free(l.vertices)
		l.vertices, l.mapped = memoryBlock{}, nil
		size := max(1<<16, len(vertices)+len(vertices)/2)
		block, err := d.allocate(int64(size), vk.BufferUsageVertexBufferBit, vk.MemoryPropertyHostVisibleBit|vk.MemoryPropertyHostCoherentBit, 0)
		if err != nil {
			return err
		}
		l.vertices = block
		var mapped unsafe.Pointer
		if err := check("vkMapMemory", vk.MapMemory(d.handle, block.memory, 0, vk.DeviceSize(vk.WholeSize), 0, &mapped)); err != nil {
			return err
		}
		l.mapped = unsafe.Slice((*byte)(mapped), size)
	}
	copy(l.mapped, vertices)
	return nil
}

// Read returns the frame drawn last: its size and its rows, four bytes per pixel.
func (s *Screen) Read() (width, height int, rgba []byte, err error) {
	d := s.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.alive(s) || s.latest < 0 {
		return 0, 0, nil, fmt.Errorf("read: the screen is closed or has drawn nothing")
	}
	l, down := &s.slots[s.latest], &d.transfer.down
	if err = s.await(l); err == nil {
		err = down.prepareDown(d)
	}
	for y := 0; err == nil && y < l.height; {
		rows := min(l.height-y, stagingBytes/(4*l.width))
		err = d.onceLocked(forever, func(c vk.CommandBuffer) {
			d.instance.calls.copyFromImage(c, l.image.handle, down.block.handle, area{0, y, l.width, rows})
		})
		if err == nil {
			err = down.invalidate(d)
		}
		rgba = append(rgba, down.bytes[:4*l.width*rows]...)
		y += rows
	}
	if err != nil {
		return 0, 0, nil, fmt.Errorf("read: %w", err)
	}
	return l.width, l.height, rgba, nil
}

// Close frees the screen. A second Close does nothing.
func (s *Screen) Close() {
	s.device.idle()
	s.device.release(s)
}

func (s *Screen) destroy() {
	d := s.device
	d.closeSwapchain(&s.chain)
	for i := range s.slots {
		l := &s.slots[i]
		s.freeImage(l)
		d.free(l.vertices)
		vk.DestroySemaphore(d.handle, l.acquired, nil)
		vk.DestroyFence(d.handle, l.fence, nil)
		vk.DestroyCommandPool(d.handle, l.pool, nil)
	}
	vk.DestroyRenderPass(d.handle, s.pass, nil)
}
