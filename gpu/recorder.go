//go:build cgo

package gpu

import (
	"fmt"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// Recorder records a list of dispatches, fills and copies, to be run later, as
// often as needed. Commands between two barriers may run at the same time. Only
// one goroutine may use a Recorder.
type Recorder struct {
	commands *Commands
	err      error // from a method that does not return one; Finish reports it
	bound    *Pipeline
	sets     descriptorRoom
}

// descriptorRoom is what is left in the newest descriptor pool.
type descriptorRoom struct {
	pool          vk.DescriptorPool
	sets, buffers int
}

// maxTimestamps is the most timestamps one recording can have.
const maxTimestamps = 4096

// What shaders and transfers do to memory, and at which stages of the pipeline.
const (
	workStages = vk.PipelineStageComputeShaderBit | vk.PipelineStageTransferBit
	workWrites = vk.AccessShaderWriteBit | vk.AccessTransferWriteBit
	workReads  = vk.AccessShaderReadBit | vk.AccessTransferReadBit
)

// orderAll makes all later commands wait for all earlier ones and see what they wrote.
func (e *entryPoints) orderAll(c vk.CommandBuffer) {
	e.memoryBarrier(c, workStages, workStages, workWrites, workReads|workWrites)
}

// NewRecorder starts a recording. With timestamps, [Recorder.Timestamp] reads
// the device's clock; it is an error to ask for them on a device that has none
// (Limits.TimestampPeriod is 0).
func (d *Device) NewRecorder(timestamps bool) (*Recorder, error) {
	if err := d.runs(); err != nil {
		return nil, err
	}
	if timestamps && d.physical.info.Limits.TimestampPeriod == 0 {
		return nil, fmt.Errorf("%s has no timestamps on its compute queue", d.physical.info.Name)
	}
	pool, buffer, err := createCommandBuffer(d.handle, d.physical.family, 0)
	if err != nil {
		return nil, err
	}
	r := &Recorder{commands: &Commands{device: d, pool: pool, buffer: buffer, batch: 1}}
	d.adopt(r.commands)
	if err := r.begin(timestamps); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Recorder) begin(timestamps bool) error {
	c := r.commands
	if timestamps {
		queries, err := createTimestampPool(c.device.handle, maxTimestamps)
		if err != nil {
			return err
		}
		c.queries, c.timed = queries, true
	}
	if err := beginCommandBuffer(c.buffer, vk.CommandBufferUsageSimultaneousUseBit); err != nil {
		return err
	}
	r.Barrier() // orders repeated submissions
	if timestamps {
		vk.CmdResetQueryPool(c.buffer, c.queries, 0, maxTimestamps)
	}
	return nil
}

// Dispatch runs a pipeline on x·y·z workgroups with the regions at bindings 0,
// 1, … and the push constants. Only [Recorder.Barrier] orders it after earlier
// dispatches.
func (r *Recorder) Dispatch(p *Pipeline, args []Region, push []byte, x, y, z int) error {
	if err := r.checkDispatch(p, args, push, [3]int{x, y, z}); err != nil {
		return fmt.Errorf("dispatch of %s: %w", p.desc.Name, err)
	}
	d, c := r.commands.device, r.commands.buffer
	if r.bound != p {
		vk.CmdBindPipeline(c, vk.PipelineBindPointCompute, p.handle)
		r.bound = p
	}
	set, err := r.descriptorSet(p)
	if err != nil {
		return fmt.Errorf("dispatch of %s: %w", p.desc.Name, err)
	}
	d.instance.calls.writeBuffers(d.handle, set, args)
	vk.CmdBindDescriptorSets(c, vk.PipelineBindPointCompute, p.layout, 0, 1, []vk.DescriptorSet{set}, 0, nil)
	if len(push) > 0 {
		vk.CmdPushConstants(c, p.layout, vk.ShaderStageFlags(vk.ShaderStageComputeBit), 0, uint32(len(push)), unsafe.Pointer(&push[0]))
	}
	vk.CmdDispatch(c, uint32(x), uint32(y), uint32(z))
	return nil
}

func (r *Recorder) checkDispatch(p *Pipeline, args []Region, push []byte, groups [3]int) error {
	d := r.commands.device
	limits := d.physical.info.Limits
	if p.device != d || !d.alive(p) {
		return fmt.Errorf("the pipeline is closed or belongs to another device")
	}
	if len(args) != p.desc.Bindings || len(push) != p.desc.PushBytes {
		return fmt.Errorf("%d buffers and %d bytes of push constants: want %d and %d", len(args), len(push), p.desc.Bindings, p.desc.PushBytes)
	}
	for i, g := range args {
		if err := g.checkIn(d); err != nil {
			return fmt.Errorf("binding %d: %w", i, err)
		}
		if g.Offset%int64(limits.StorageBufferAlignment) != 0 {
			return fmt.Errorf("binding %d: offset %d is not a multiple of the device's %d", i, g.Offset, limits.StorageBufferAlignment)
		}
		if g.Size > limits.StorageBufferRange {
			return fmt.Errorf("binding %d: %d bytes; the device allows %d", i, g.Size, limits.StorageBufferRange)
		}
	}
	for i, n := range groups {
		if n < 1 || n > limits.MaxWorkgroupCount[i] {
			return fmt.Errorf("%v workgroups; the device allows 1 to %v", groups, limits.MaxWorkgroupCount)
		}
	}
	return r.open()
}

// open returns an error if nothing more can be recorded.
func (r *Recorder) open() error {
	if !r.commands.recording() {
		return fmt.Errorf("the recording is finished or closed")
	}
	return nil
}

// descriptorSet allocates a set from the newest pool, or from a new one.
func (r *Recorder) descriptorSet(p *Pipeline) (vk.DescriptorSet, error) {
	const sets, buffers = 64, 512
	c, n := r.commands, p.desc.Bindings
	if r.sets.sets < 1 || r.sets.buffers < n {
		pool, err := createDescriptorPool(c.device.handle, sets, max(buffers, n), vk.DescriptorTypeStorageBuffer)
		if err != nil {
			return nil, err
		}
		c.descriptors = append(c.descriptors, pool)
		r.sets = descriptorRoom{pool, sets, max(buffers, n)}
	}
	r.sets.sets--
	r.sets.buffers -= n
	return allocateDescriptorSet(c.device.handle, r.sets.pool, p.set)
}

// Barrier makes all later commands wait for the dispatches, fills and copies
// before it, and see what they wrote.
func (r *Recorder) Barrier() {
	if r.fail(r.open()) {
		return
	}
	r.commands.device.instance.calls.orderAll(r.commands.buffer)
}

// fail keeps the first error for Finish and reports whether there is one.
func (r *Recorder) fail(err error) bool {
	if r.err == nil {
		r.err = err
	}
	return err != nil
}

// Fill sets every 32-bit word of a region, whose offset and size are multiples
// of 4.
func (r *Recorder) Fill(g Region, word uint32) error {
	if err := g.checkIn(r.commands.device); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	if g.Offset%4 != 0 || g.Size%4 != 0 {
		return fmt.Errorf("fill: %d bytes at %d: want multiples of 4", g.Size, g.Offset)
	}
	if err := r.open(); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	vk.CmdFillBuffer(r.commands.buffer, g.Buffer.handle, vk.DeviceSize(g.Offset), vk.DeviceSize(g.Size), word)
	return nil
}

// Copy copies a region to another of the same size. They must not overlap.
func (r *Recorder) Copy(dst, src Region) error {
	d := r.commands.device
	if err := dst.checkIn(d); err != nil {
		return fmt.Errorf("copy: destination: %w", err)
	}
	if err := src.checkIn(d); err != nil {
		return fmt.Errorf("copy: source: %w", err)
	}
	if dst.Size != src.Size {
		return fmt.Errorf("copy: %d bytes to %d", src.Size, dst.Size)
	}
	if dst.Buffer == src.Buffer && dst.Offset < src.Offset+src.Size && src.Offset < dst.Offset+dst.Size {
		return fmt.Errorf("copy: %d bytes at %d and at %d of one buffer overlap", src.Size, src.Offset, dst.Offset)
	}
	if err := r.open(); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	d.instance.calls.copyBuffer(r.commands.buffer, dst.Buffer.handle, dst.Offset, src.Buffer.handle, src.Offset, src.Size)
	return nil
}

// Timestamp records the time at which all commands before it are done. It does
// nothing in a recording without timestamps.
func (r *Recorder) Timestamp() {
	c := r.commands
	if r.fail(r.open()) || !c.timed {
		return
	}
	if c.marks == maxTimestamps {
		r.fail(fmt.Errorf("more than %d timestamps", maxTimestamps))
		return
	}
	vk.CmdWriteTimestamp(c.buffer, vk.PipelineStageBottomOfPipeBit, c.queries, uint32(c.marks))
	c.marks++
}

// Finish ends the recording. The commands start with a barrier, so that they
// can run several times in a row.
func (r *Recorder) Finish() (*Commands, error) {
	c := r.commands
	if err := r.open(); err != nil {
		return nil, err
	}
	err := check("vkEndCommandBuffer", vk.EndCommandBuffer(c.buffer))
	c.finished = true
	if r.err != nil {
		err = r.err
	}
	if err == nil {
		err = c.device.instance.validation.err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close abandons the recording; after Finish it does nothing.
func (r *Recorder) Close() {
	if !r.commands.finished {
		r.commands.Close()
	}
}
