//go:build cgo

package gpu

import (
	"fmt"

	vk "github.com/vulkan-go/vulkan"
)

// Texture is a picture on the device that fragment shaders read, four bytes per
// texel: red, green, blue and alpha. They get the nearest texel.
type Texture struct {
	device        *Device
	width, height int
	image         imageBlock
	view          vk.ImageView
	sampler       vk.Sampler
}

// imageBlock is a Vulkan image and its memory.
type imageBlock struct {
	handle vk.Image
	memory vk.DeviceMemory
}

// allocateImage makes an image in device memory.
func (d *Device) allocateImage(width, height int, usage vk.ImageUsageFlagBits) (imageBlock, error) {
	describe := func(err error) error {
		return fmt.Errorf("image of %d×%d on %s: %w", width, height, d.physical.info.Name, err)
	}
	handle, need, err := createImage(d.handle, width, height, usage)
	if err != nil {
		return imageBlock{}, describe(err)
	}
	memoryType, ok := d.memoryType(need.MemoryTypeBits, vk.MemoryPropertyDeviceLocalBit)
	if !ok {
		memoryType, _ = d.memoryType(need.MemoryTypeBits, 0)
	}
	block := imageBlock{handle: handle}
	if block.memory, err = allocateMemory(d.handle, need.Size, memoryType); err == nil {
		err = check("vkBindImageMemory", vk.BindImageMemory(d.handle, handle, block.memory, 0))
	}
	if err != nil {
		d.freeImage(block)
		return imageBlock{}, describe(err)
	}
	return block, nil
}

func (d *Device) freeImage(b imageBlock) {
	vk.DestroyImage(d.handle, b.handle, nil)
	vk.FreeMemory(d.handle, b.memory, nil)
}

// maxImageSide is what every device allows.
const maxImageSide = 4096

// NewTexture makes a texture, transparent everywhere, with sides of at most 4096.
func (d *Device) NewTexture(width, height int) (*Texture, error) {
	if min(width, height) < 1 || max(width, height) > maxImageSide {
		return nil, fmt.Errorf("texture of %d×%d: want sides from 1 to %d", width, height, maxImageSide)
	}
	if err := d.usable(); err != nil {
		return nil, err
	}
	t := &Texture{device: d, width: width, height: height}
	if err := t.create(); err != nil {
		t.destroy()
		return nil, fmt.Errorf("texture: %w", err)
	}
	d.adopt(t)
	if err := t.Upload(0, 0, width, height, make([]byte, 4*width*height)); err != nil {
		t.Close()
		return nil, fmt.Errorf("texture: %w", err)
	}
	return t, nil
}

func (t *Texture) create() (err error) {
	d := t.device
	if t.image, err = d.allocateImage(t.width, t.height, vk.ImageUsageSampledBit|vk.ImageUsageTransferDstBit); err != nil {
		return err
	}
	if t.view, err = createImageView(d.handle, t.image.handle); err != nil {
		return err
	}
	if t.sampler, err = createSampler(d.handle); err != nil {
		return err
	}
	return d.once(func(c vk.CommandBuffer) { d.instance.calls.imageBarrier(c, imageBits(t.image.handle), unused, sampled) })
}

// Upload replaces a rectangle of the texture. rgba holds its rows, without gaps.
// Frames that were drawn before show the old texels.
func (t *Texture) Upload(x, y, width, height int, rgba []byte) error {
	d := t.device
	if x < 0 || y < 0 || width < 1 || height < 1 || x+width > t.width || y+height > t.height || len(rgba) != 4*width*height {
		return fmt.Errorf("upload: %d bytes for %d×%d texels at %d, %d of a texture of %d×%d", len(rgba), width, height, x, y, t.width, t.height)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.alive(t) {
		return fmt.Errorf("upload: the texture is closed")
	}
	s := &d.transfer.up
	err := s.prepare(d, vk.BufferUsageTransferSrcBit, vk.MemoryPropertyHostVisibleBit|vk.MemoryPropertyHostCoherentBit, 0)
	for err == nil && height > 0 {
		rows := min(height, stagingBytes/(4*width))
		n := copy(s.bytes, rgba[:4*width*rows])
		err = d.onceLocked(forever, func(c vk.CommandBuffer) {
			calls, image := d.instance.calls, imageBits(t.image.handle)
			calls.imageBarrier(c, image, sampled, copiedTo)
			calls.copyToImage(c, s.block.handle, t.image.handle, area{x, y, width, rows})
			calls.imageBarrier(c, image, copiedTo, sampled)
		})
		y, height, rgba = y+rows, height-rows, rgba[n:]
	}
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}

// Close frees the texture. Nothing that uses it may be drawn after that. A second
// Close does nothing.
func (t *Texture) Close() {
	t.device.idle()
	t.device.release(t)
}

func (t *Texture) destroy() {
	d := t.device
	vk.DestroySampler(d.handle, t.sampler, nil)
	vk.DestroyImageView(d.handle, t.view, nil)
	d.freeImage(t.image)
}

// idle waits until the device has done all that was submitted, so that what it used
// can be freed. A failure is found by the next submission.
func (d *Device) idle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.usable() == nil {
		vk.DeviceWaitIdle(d.handle)
	}
}
