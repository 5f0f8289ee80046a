// Package hostmemory tells how much memory this process may use: what the machine has,
// or what a control group (of a container, or of systemd) leaves it. It counts what
// parts of the process reserve of that.
package hostmemory

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// Limit is an upper bound of the memory that a process can use.
type Limit struct {
	Bytes int64 // 0 if it is unknown
	Group bool  // a control group sets it, not the machine
}

// String says it for a message: "24.0 GiB that this machine has".
func (l Limit) String() string {
	size := fmt.Sprintf("%.1f GiB", float64(l.Bytes)/(1<<30))
	if l.Bytes < 1<<30 {
		size = fmt.Sprintf("%d MiB", l.Bytes>>20)
	}
	if l.Group {
		return size + " that the control group of this process allows"
	}
	return size + " that this machine has"
}

// Of returns the limit of this process, as it was at the first call.
var Of = sync.OnceValue(func() Limit { return limit(os.DirFS("/"), total) })

// overhead is what a process needs besides what it reserves: for garbage, files that it
// writes, stacks and tables of Go.
const overhead = 32 << 20

// reserved is what this process will use. The system counts memory when it is first
// touched, which is too late to refuse it.
var reserved struct {
	sync.Mutex
	bytes int64 // of all reservations
	other int64 // were resident when there was none
}

// Left returns the bytes of the limit that can be reserved.
func (l Limit) Left() int64 {
	reserved.Lock()
	defer reserved.Unlock()
	return l.left()
}

func (l Limit) left() int64 {
	if l.Bytes == 0 {
		return math.MaxInt64
	}
	now := resident()
	if reserved.bytes == 0 {
		reserved.other = now
	}
	return max(0, l.Bytes-overhead-max(now, reserved.other+reserved.bytes))
}

// Reservation is memory that a part of this process will use until it closes it.
type Reservation struct {
	limit Limit
	bytes int64
	freed bool // garbage has been given back to the system
}

// Reserve returns an empty reservation.
func (l Limit) Reserve() *Reservation { return &Reservation{limit: l} }

// Take reserves more, and reports whether so much is left of the limit.
func (r *Reservation) Take(bytes int64) bool {
	reserved.Lock()
	defer reserved.Unlock()
	if bytes > r.limit.left() && !r.freed {
		debug.FreeOSMemory() // buffers that are no longer used are resident until then
		r.freed = true
		reserved.other = min(reserved.other, resident()) // what is reserved only adds to it
	}
	if bytes > r.limit.left() {
		return false
	}
	r.bytes += bytes
	reserved.bytes += bytes
	return true
}

// Close gives the memory back. It does nothing if there is none, or a second time.
func (r *Reservation) Close() {
	if r == nil {
		return
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.bytes -= r.bytes
	r.bytes = 0
}

// limit returns the least of the memory and swap that the machine has and what the
// control groups named in a file system allow.
func limit(root fs.FS, machine func() (memory, swap int64)) Limit {
	memory, swap := machine()
	group, groupSwap := groups(root)
	switch {
	case group < math.MaxInt64 && (memory == 0 || group < memory):
		return Limit{group + min(swap, groupSwap), true}
	case memory == 0:
		return Limit{}
	}
	return Limit{memory + swap, false}
}

// mounts are where the hierarchies that limit memory are mounted: version 2, alone or
// beside version 1, and version 1.
var mounts = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/memory"}

// groups returns the least memory and swap that this process' control groups and all
// above them allow. A group that is not visible from inside a container is left out: the
// container's own is mounted in its place.
func groups(root fs.FS) (memory, swap int64) {
	memory, swap = math.MaxInt64, math.MaxInt64
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return memory, swap
	}
	for line := range strings.Lines(string(text)) { // hierarchy:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || fields[1] != "" && !strings.Contains(","+fields[1]+",", ",memory,") {
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			for _, mount := range mounts {
				memory = min(memory, value(root, path.Join(mount, group, "memory.max")), value(root, path.Join(mount, group, "memory.limit_in_bytes")))
				swap = min(swap, value(root, path.Join(mount, group, "memory.swap.max")))
			}
			if group == "/" {
				break
			}
		}
	}
	return memory, swap
}

// value returns the number in a file, or the largest if it is not there or says "max".
func value(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		return math.MaxInt64
	}
	return n
}
