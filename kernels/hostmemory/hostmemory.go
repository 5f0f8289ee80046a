// Package hostmemory tells how much memory this process may use: what the machine has,
// or what a control group (of a container, or of systemd) leaves it.
package hostmemory

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
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

// Left returns the bytes of the limit that this process does not use yet.
func (l Limit) Left() int64 {
	if l.Bytes == 0 {
		return math.MaxInt64
	}
	return max(0, l.Bytes-resident())
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
