//go:build cgo

package gpu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// stagingBytes is the size of a staging buffer: large enough to hide the cost
// of a submission, small enough to keep.
const stagingBytes = 8 << 20

// transfer moves bytes between host and device, with a command buffer that is
// recorded anew each time and memory that both sides can access.
type transfer struct {
	device   *Device
	pool     vk.CommandPool
	commands vk.CommandBuffer
	up, down staging
}

// staging is host memory that the device can copy from or to, allocated when it
// is first needed.
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
			t.device.free(s.block) // also unmaps it
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

// Upload copies host memory of any length to any byte offset in a buffer, and
// waits until it is there.
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
		err = d.onceLocked(forever, func(c vk.CommandBuffer) {
			d.instance.calls.copyBuffer(c, b.handle, offset, s.block.handle, 0, n)
		})
		offset, src = offset+n, src[n:]
	}
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}

// Download copies any number of bytes at any byte offset from a buffer to host
// memory, and waits until they are there.
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
	err := s.prepareDown(d)
	for err == nil && len(dst) > 0 {
		n := min(int64(len(dst)), stagingBytes)
		err = d.onceLocked(forever, func(c vk.CommandBuffer) {
			d.instance.calls.copyBuffer(c, s.block.handle, 0, b.handle, offset, n)
		})
		if err == nil {
			err = s.invalidate(d)
		}
		copy(dst, s.bytes[:n])
		offset, dst = offset+n, dst[n:]
	}
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	return nil
}

// prepareDown allocates and maps the staging memory of downloads.
func (s *staging) prepareDown(d *Device) error {
	// Reading memory that the host does not cache is many times slower.
	return s.prepare(d, vk.BufferUsageTransferDstBit, vk.MemoryPropertyHostVisibleBit, vk.MemoryPropertyHostCachedBit)
}

// invalidate makes the device's writes to the memory visible on the host.
func (s *staging) invalidate(d *Device) error {
	if s.block.flags&vk.MemoryPropertyHostCoherentBit != 0 {
		return nil
	}
	return d.instance.calls.invalidateMapped(d.handle, s.block.memory)
}

// patience is how long a device may take over its first, tiny submission.
var patience = 10 * time.Second

// tryOut makes the device write a word to memory, and reads it back. Some
// drivers open a device but cannot submit to it, or only pretend to.
func (d *Device) tryOut() error {
	word := rand.Uint32() | 1 // neither 0 nor a value left by an earlier try
	s := &d.transfer.down
	if err := s.prepareDown(d); err != nil {
		return err
	}
	err := d.onceLocked(patience, func(c vk.CommandBuffer) { vk.CmdFillBuffer(c, s.block.handle, 0, 4, word) })
	if err == nil {
		err = s.invalidate(d)
	}
	switch {
	case d.stuck:
		return fmt.Errorf("it did not finish a first, tiny task within %v: %w", patience, err)
	case err != nil:
		return err
	case binary.NativeEndian.Uint32(s.bytes) != word:
		return fmt.Errorf("it reports success but does not execute what is submitted")
	}
	return nil
}

// once records commands, submits them and waits for them.
func (d *Device) once(record func(vk.CommandBuffer)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.onceLocked(forever, record)
}

func (d *Device) onceLocked(limit time.Duration, record func(vk.CommandBuffer)) error {
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
	if err := d.wait(d.fences[0], limit); err != nil {
		return err
	}
	return d.instance.validation.err()
}
