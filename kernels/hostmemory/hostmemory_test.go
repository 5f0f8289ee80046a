package hostmemory

import (
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory/hostmemorytest"
)

const mib = 1 << 20

// The limit is the least of those of the machine, the process' group and all above it, in
// both versions of control groups.
func TestLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  Limit
	}{
		"no groups":          {nil, Limit{1100 * mib, false}},
		"version 2":          {map[string]string{"proc/self/cgroup": "0::/user.slice/x.scope\n", "sys/fs/cgroup/user.slice/x.scope/memory.max": "268435456\n"}, Limit{356 * mib, true}},
		"version 2, no swap": {map[string]string{"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/memory.max": "268435456\n", "sys/fs/cgroup/x/memory.swap.max": "0\n"}, Limit{256 * mib, true}},
		"unlimited below a limited one": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "134217728",
			"sys/fs/cgroup/a/memory.swap.max": "1048576"}, Limit{129 * mib, true}},
		"a container of its own": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728"}, Limit{228 * mib, true}},
		"version 1": {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/a/b\n0::/\n", "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "67108864\n"}, Limit{164 * mib, true}},
		"version 1 in a container": {map[string]string{"proc/self/cgroup": "4:memory:/docker/0123\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n"}, Limit{164 * mib, true}},
		"more than the machine":    {map[string]string{"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/memory.max": "99999999999"}, Limit{1100 * mib, false}},
		"damaged":                  {map[string]string{"proc/self/cgroup": "x\n0::\n::/../../..\n", "sys/fs/cgroup/memory.max": "-5"}, Limit{1100 * mib, false}},
	} {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := limit(root, func() (int64, int64) { return 1000 * mib, 100 * mib }); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := limit(fstest.MapFS{}, func() (int64, int64) { return 0, 0 }); got != (Limit{}) {
		t.Errorf("an unknown machine: %v", got)
	}
}

// A real control group of version 1 or 2, where the test may make one.
func TestRealGroup(t *testing.T) {
	dir, mount := hostmemorytest.Group(t, 118*mib)
	root := overlay{os.DirFS("/"), map[string]string{"proc/self/cgroup": "4:memory:" + strings.TrimPrefix(dir, mount) + "\n"}}
	if got := limit(root, total); !got.Group || got.Bytes < 118*mib || got.Bytes >= 118*mib+1<<40 {
		t.Errorf("in a group of 118 MiB: %v", got)
	}
}

// overlay is a file system in which some files are others.
type overlay struct {
	fs.FS
	files map[string]string
}

func (o overlay) Open(name string) (fs.File, error) {
	if text, ok := o.files[name]; ok {
		return fstest.MapFS{name: &fstest.MapFile{Data: []byte(text)}}.Open(name)
	}
	return o.FS.Open(name)
}

func TestString(t *testing.T) {
	for want, l := range map[string]Limit{"512 MiB that the control group of this process allows": {512 * mib, true}, "1.5 GiB that this machine has": {1536 * mib, false}} {
		if l.String() != want {
			t.Errorf("%v, want %s", l, want)
		}
	}
	l := Limit{1 << 50, false}
	if left := l.Left(); runtime.GOOS == "linux" && !(left > 0 && left < l.Bytes) || (Limit{}).Left() != math.MaxInt64 {
		t.Errorf("%d bytes are left of %v, and %d of an unknown limit", left, l, Limit{}.Left())
	}
}

// What is reserved counts before it is touched, until it is given back.
func TestReserve(t *testing.T) {
	if resident() == 0 {
		t.Skip("skipped: the memory of a process is unknown outside Linux")
	}
	debug.FreeOSMemory()
	l := Limit{Bytes: 1 << 50}
	l.Bytes += 100*mib - l.Left()
	first, second := l.Reserve(), l.Reserve()
	defer second.Close()
	for range 2 {
		if !first.Take(30 * mib) {
			t.Fatal("60 of 100 MiB are not left")
		}
	}
	if second.Take(60 * mib) {
		t.Fatal("120 of 100 MiB are left")
	}
	first.Close()
	first.Close()
	if !second.Take(60 * mib) {
		t.Error("60 of 100 MiB are not left, after others were given back")
	}
}
