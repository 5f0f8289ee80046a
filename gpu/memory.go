//go:build cgo

package gpu

import (
	"fmt"
	"strings"

	vk "github.com/vulkan-go/vulkan"
)

// Buffer is device memory that shaders read and write.
type Buffer struct {
	device *Device
	size   int64
	block  memoryBlock
	handle vk.Buffer // block's
}

// memoryBlock is a Vulkan buffer and its memory.
type memoryBlock struct {
	handle vk.Buffer
	memory vk.DeviceMemory
	bytes  int64 // allocated by the device, at least what was requested
	flags  vk.MemoryPropertyFlagBits
}

const bufferUsage = vk.BufferUsageStorageBufferBit | vk.BufferUsageTransferSrcBit | vk.BufferUsageTransferDstBit

// NewBuffer allocates device memory, filled with zeros. Each buffer is a
// separate allocation, and devices limit their number (see
// [Limits].MaxAllocations): create few large ones. The error wraps
// [ErrOutOfMemory] if the device has no room.
func (d *Device) NewBuffer(bytes int64) (*Buffer, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("buffer of %d bytes: want at least 1", bytes)
	}
	if err := d.runs(); err != nil {
		return nil, err
	}
	if err := d.Fits([]int64{bytes}); err != nil {
		return nil, err
	}
	size := (bytes + 3) / 4 * 4 // whole words, for the fill
	block, err := d.allocate(size, bufferUsage, vk.MemoryPropertyDeviceLocalBit, 0)
	if err != nil {
		return nil, err
	}
	b := &Buffer{device: d, size: bytes, block: block, handle: block.handle}
	d.allocated.Add(block.bytes)
	d.allocations.Add(1)
	d.adopt(b)
	err = d.once(func(c vk.CommandBuffer) { vk.CmdFillBuffer(c, block.handle, 0, vk.DeviceSize(size), 0) })
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Size returns the number of bytes requested.
func (b *Buffer) Size() int64 { return b.size }

// Close frees the memory. Commands that use it must not run after that. A
// second Close does nothing.
func (b *Buffer) Close() { b.device.release(b) }

func (b *Buffer) destroy() {
	b.device.free(b.block)
	b.device.allocated.Add(-b.block.bytes)
	b.device.allocations.Add(-1)
}

// Fits returns nil if there is room for new buffers of the given sizes, and otherwise an
// error that wraps [ErrOutOfMemory]. Drivers reject what does not fit too, except
// software ones, which let the system run out of memory later.
func (d *Device) Fits(sizes []int64) error {
	info, free := d.physical.info, d.FreeBytes()
	left := free
	for _, bytes := range sizes {
		if bytes > info.Limits.MaxAllocationBytes || bytes > left {
			return fmt.Errorf("%w: %s has %d MiB of %d free and allows buffers of at most %d MiB, but %s are needed; use a smaller batch or another device",
				ErrOutOfMemory, info.Name, free>>20, info.MemoryBytes>>20, info.Limits.MaxAllocationBytes>>20, listSizes(sizes))
		}
		left -= bytes
	}
	if int(d.allocations.Load())+len(sizes) > info.Limits.MaxAllocations {
		return fmt.Errorf("%w: %s allows %d buffers at a time", ErrOutOfMemory, info.Name, info.Limits.MaxAllocations)
	}
	return nil
}

func listSizes(sizes []int64) string {
	var list []string
	for _, bytes := range sizes {
		list = append(list, fmt.Sprintf("%d MiB", bytes>>20))
	}
	return strings.Join(list, ", ")
}

// FreeBytes returns how much memory buffers can still take: of the largest device-local
// heap what the open ones leave, or what the driver says that this and other processes
// leave, if it does.
func (d *Device) FreeBytes() int64 {
	heap, bytes := largestLocalHeap(d.memory)
	free := bytes - d.allocated.Load()
	if d.physical.extensions[extMemoryBudget] {
		free = min(free, d.instance.calls.budget(d.physical.handle, heap))
	}
	return max(0, free)
}

// allocate makes a buffer and binds it to new memory of a type that has the
// required properties and, if there is such a type, the wanted ones too.
func (d *Device) allocate(bytes int64, usage vk.BufferUsageFlagBits, required, wanted vk.MemoryPropertyFlagBits) (memoryBlock, error) {
	handle, need, err := createBuffer(d.handle, bytes, usage)
	if err != nil {
		return memoryBlock{}, fmt.Errorf("buffer of %d bytes on %s: %w", bytes, d.physical.info.Name, err)
	}
	block := memoryBlock{handle: handle, bytes: int64(need.Size)}
	memoryType, ok := d.memoryType(need.MemoryTypeBits, required|wanted)
	if !ok {
		memoryType, ok = d.memoryType(need.MemoryTypeBits, required)
	}
	if !ok {
		memoryType, _ = d.memoryType(need.MemoryTypeBits, 0)
	}
	block.flags = vk.MemoryPropertyFlagBits(d.memory.MemoryTypes[memoryType].PropertyFlags)
	block.memory, err = allocateMemory(d.handle, need.Size, memoryType)
	if err == nil {
		err = check("vkBindBufferMemory", vk.BindBufferMemory(d.handle, handle, block.memory, 0))
	}
	if err != nil {
		d.free(block)
		heap := d.memory.MemoryHeaps[d.memory.MemoryTypes[memoryType].HeapIndex].Size
		return memoryBlock{}, fmt.Errorf("%d bytes of a heap of %d on %s: %w", bytes, heap, d.physical.info.Name, err)
	}
	return block, nil
}

// memoryType returns the first type among bits that has the properties; types
// are ordered so that the first is the fastest.
func (d *Device) memoryType(bits uint32, properties vk.MemoryPropertyFlagBits) (int, bool) {
	for i, t := range d.memory.MemoryTypes[:d.memory.MemoryTypeCount] {
		if bits&(1<<i) != 0 && vk.MemoryPropertyFlagBits(t.PropertyFlags)&properties == properties {
			return i, true
		}
	}
	return 0, false
}

func (d *Device) free(b memoryBlock) {
	vk.DestroyBuffer(d.handle, b.handle, nil)
	vk.FreeMemory(d.handle, b.memory, nil)
}

// Region is part of a buffer.
type Region struct {
	Buffer       *Buffer
	Offset, Size int64 // bytes
}

// checkIn returns an error if a region cannot be used on a device.
func (g Region) checkIn(d *Device) error {
	switch {
	case g.Buffer == nil:
		return fmt.Errorf("there is no buffer")
	case g.Buffer.device != d:
		return fmt.Errorf("the buffer belongs to another device")
	case g.Offset < 0 || g.Size <= 0 || g.Size > g.Buffer.size-g.Offset:
		return fmt.Errorf("%d bytes at %d lie outside a buffer of %d", g.Size, g.Offset, g.Buffer.size)
	case !d.alive(g.Buffer):
		return fmt.Errorf("the buffer is closed")
	}
	return nil
}
