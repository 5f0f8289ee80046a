//go:build cgo

package gpu

import (
	"fmt"
	"math"
	"time"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// inFlight is how many submissions the queue holds at a time: while it executes
// one, the next is already waiting.
const inFlight = 2

// submissionTime is how long one submission should take: long compared with the
// cost of submitting, short compared with the seconds after which systems
// consider a GPU hung.
const submissionTime = 250 * time.Millisecond

// Commands is a finished recording.
type Commands struct {
	device      *Device
	pool        vk.CommandPool
	buffer      vk.CommandBuffer
	descriptors []vk.DescriptorPool
	queries     vk.QueryPool
	timed       bool // has timestamp queries
	marks       int  // timestamps recorded
	finished    bool
	ran         bool
	batch       int // runs per submission, from how long earlier ones took
}

func (c *Commands) recording() bool { return !c.finished && c.device.alive(c) }

// Close frees the commands. A second Close does nothing.
func (c *Commands) Close() { c.device.release(c) }

func (c *Commands) destroy() {
	d := c.device.handle
	for _, p := range c.descriptors {
		vk.DestroyDescriptorPool(d, p, nil)
	}
	vk.DestroyQueryPool(d, c.queries, nil)
	vk.DestroyCommandPool(d, c.pool, nil) // and the command buffer
}

// Run runs the commands the given number of times, one after the other, and
// waits for the last. The host does nothing between two runs: one submission
// holds the recorded command buffer many times.
func (d *Device) Run(c *Commands, times int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return err
	}
	switch {
	case c.device != d || !d.alive(c):
		return fmt.Errorf("the commands are closed or belong to another device")
	case times < 0:
		return fmt.Errorf("run %d times", times)
	}
	run := submissions{device: d, commands: c, last: time.Now()}
	err := run.all(times)
	for i := range run.pending { // even after an error: the queue is still busy
		if failed := run.await(i); err == nil {
			err = failed
		}
	}
	if err != nil {
		return err
	}
	c.ran = c.ran || times > 0
	return d.instance.validation.err()
}

// submissions tracks what a Run has on the queue.
type submissions struct {
	device   *Device
	commands *Commands
	pending  [inFlight]int // runs in flight that each fence ends, 0 for none
	last     time.Time     // when the queue started its current submission
}

// all submits the runs, waiting only for the submission before the last one.
func (s *submissions) all(times int) error {
	for i := 0; times > 0; i = (i + 1) % inFlight {
		if err := s.await(i); err != nil {
			return err
		}
		n := min(times, s.commands.batch)
		if err := s.device.submit(s.commands.buffer, n, s.device.fences[i]); err != nil {
			return err
		}
		s.pending[i] = n
		times -= n
	}
	return nil
}

// await waits for the submission of fence i, if there is one, and derives from
// its duration how many runs to submit at a time.
func (s *submissions) await(i int) error {
	n := s.pending[i]
	if n == 0 {
		return nil
	}
	s.pending[i] = 0
	if err := s.device.wait(s.device.fences[i], forever); err != nil {
		return err
	}
	now := time.Now()
	s.commands.batch = nextBatch(now.Sub(s.last), n, s.commands.batch)
	s.last = now
	return nil
}

// nextBatch returns how many runs to submit at a time, given how long n took and how many
// are submitted now. It grows slowly: a program that was suspended finds submissions done
// that have taken long.
func nextBatch(took time.Duration, n, now int) int {
	each := max(took/time.Duration(n), 1)
	return int(min(max(submissionTime/each, 1), maxSubmissions, time.Duration(2*now)))
}

// submit puts a command buffer on the queue.
func (d *Device) submit(c vk.CommandBuffer, times int, f vk.Fence) error {
	return d.instance.calls.submitTimes(d.queue, c, times, f)
}

// forever waits without a limit.
const forever = time.Duration(math.MaxInt64)

// wait waits for a submission's fence, but no longer than limit, and resets the
// fence for the next submission. Even after an error nothing is executed any more,
// unless the limit has passed: what the submission uses can be destroyed.
func (d *Device) wait(f vk.Fence, limit time.Duration) error {
	fences := []vk.Fence{f}
	r := vk.WaitForFences(d.handle, 1, fences, vk.True, uint64(limit))
	if r == vk.Timeout && limit != forever {
		d.stuck, d.instance.stuck = true, true
	} else if r != vk.Success {
		vk.DeviceWaitIdle(d.handle) // the error of the first wait tells more
	}
	if err := check("vkWaitForFences", r); err != nil {
		return err
	}
	return check("vkResetFences", vk.ResetFences(d.handle, 1, fences))
}

// Timestamps returns the timestamps of the last run, in nanoseconds since the
// first.
func (c *Commands) Timestamps() ([]int64, error) {
	d := c.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return nil, err
	}
	switch {
	case !d.alive(c) || !c.timed || !c.ran:
		return nil, fmt.Errorf("timestamps: the commands are closed, were recorded without timestamps or have not run")
	case c.marks == 0:
		return nil, nil
	}
	ticks := make([]uint64, c.marks)
	r := vk.GetQueryPoolResults(d.handle, c.queries, 0, uint32(c.marks), uint(8*c.marks), unsafe.Pointer(&ticks[0]), 8,
		vk.QueryResultFlags(vk.QueryResult64Bit|vk.QueryResultWaitBit))
	if err := check("vkGetQueryPoolResults", r); err != nil {
		return nil, err
	}
	marks := make([]int64, c.marks)
	for i, t := range ticks {
		elapsed := (t - ticks[0]) & d.physical.timestampMask // the counter wraps around
		marks[i] = int64(float64(elapsed) * d.physical.info.Limits.TimestampPeriod)
	}
	return marks, nil
}
