//go:build cgo

package gpu

import (
	"fmt"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// stagingBytes is the size of a staging buffer: large enough to hide the cost
// of a submission, small enough to keep.
const stagingBytes = 8 << 20

// transfer is what moves bytes between host and device: a command buffer that
// is recorded anew each time, and memory that both sides see.
type transfer struct {
	device   *Device
	pool     vk.CommandPool
	commands vk.CommandBuffer
	up, down staging
}

// staging is host memory that the device can copy from or to, made when it is
// first needed.
type staging struct {
	block memoryBlock
	bytes []byte // the mapping; nil before the first use
}

func (t *transfer) create(d *Device) error {
	pool, commands, err := createCommandBuffer(d.handle, d.physical.family, vk.CommandPoolCreateResetCommandBufferBit)
	if err != nil {
		return err
	}
	*t = transfer{device: d, pool: pool, commands: commands}
	return nil
}

func (t *transfer) destroy() {
	if t.device == nil {
		return
	}
	for _, s := range []staging{t.up, t.down} {
		if s.bytes != nil {
			t.device.free(s.block) // unmaps it too
		}
	}
	vk.DestroyCommandPool(t.device.handle, t.pool, nil)
}

// prepare allocates and maps the staging memory.
func (s *staging) prepare(d *Device, usage vk.BufferUsageFlagBits, required, wanted vk.MemoryPropertyFlagBits) error {
	if s.bytes != nil {
		return nil
	}
	block, err := d.allocate(stagingBytes, usage, required, wanted)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	var mapped unsafe.Pointer
	if err := check("vkMapMemory", vk.MapMemory(d.handle, block.memory, 0, vk.DeviceSize(vk.WholeSize), 0, &mapped)); err != nil {
		d.free(block)
		return fmt.Errorf("staging: %w", err)
	}
	s.block, s.bytes = block, unsafe.Slice((*byte)(mapped), stagingBytes)
	return nil
}

// Upload copies host memory to a buffer, at any byte offset and of any length,
// and waits for it.
func (d *Device) Upload(b *Buffer, offset int64, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	if err := (Region{b, offset, int64(len(src))}).checkIn(d); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.transfer.up
	err := s.prepare(d, vk.BufferUsageTransferSrcBit, vk.MemoryPropertyHostVisibleBit|vk.MemoryPropertyHostCoherentBit, 0)
	for err == nil && len(src) > 0 {
		n := int64(copy(s.bytes, src))
		err = d.onceLocked(func(c vk.CommandBuffer) {
			d.instance.calls.copyBuffer(c, b.handle, offset, s.block.handle, 0, n)
		})
		offset, src = offset+n, src[n:]
	}
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}

// Download copies from a buffer to host memory, at any byte offset and of any
// length, and waits for it.
func (d *Device) Download(b *Buffer, offset int64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	if err := (Region{b, offset, int64(len(dst))}).checkIn(d); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.transfer.down
	// Reading memory that is not cached on the host is many times slower.
	err := s.prepare(d, vk.BufferUsageTransferDstBit, vk.MemoryPropertyHostVisibleBit, vk.MemoryPropertyHostCachedBit)
	for err == nil && len(dst) > 0 {
		n := min(int64(len(dst)), stagingBytes)
		err = d.onceLocked(func(c vk.CommandBuffer) {
			d.instance.calls.copyBuffer(c, s.block.handle, 0, b.handle, offset, n)
		})
		if err == nil && s.block.flags&vk.MemoryPropertyHostCoherentBit == 0 {
			err = d.instance.calls.invalidateMapped(d.handle, s.block.memory)
		}
		copy(dst, s.bytes[:n])
		offset, dst = offset+n, dst[n:]
	}
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	return nil
}

// once records commands, submits them and waits for them.
func (d *Device) once(record func(vk.CommandBuffer)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.onceLocked(record)
}

func (d *Device) onceLocked(record func(vk.CommandBuffer)) error {
	if err := d.usable(); err != nil {
		return err
	}
	c := d.transfer.commands
	if err := beginCommandBuffer(c, vk.CommandBufferUsageOneTimeSubmitBit); err != nil {
		return err
	}
	d.instance.calls.orderAll(c)
	record(c)
	d.instance.calls.memoryBarrier(c, vk.PipelineStageTransferBit, vk.PipelineStageHostBit, vk.AccessTransferWriteBit, vk.AccessHostReadBit)
	if err := check("vkEndCommandBuffer", vk.EndCommandBuffer(c)); err != nil {
		return err
	}
	if err := d.submit(c, 1, d.fences[0]); err != nil {
		return err
	}
	if err := d.wait(d.fences[0]); err != nil {
		return err
	}
	return d.instance.validation.err()
}
