package cpuref

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHugePages asks the kernel for large pages where they fit inside b: a
// matrix with rows of several kilobytes touches a page per row, more than the
// TLB holds. The kernel may decline.
func adviseHugePages(b []byte) {
	const huge = 2 << 20
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (huge - 1)
	if skip+huge <= len(b) {
		_ = unix.Madvise(b[skip:len(b)-(len(b)-skip)%huge], unix.MADV_HUGEPAGE)
	}
}

// systemMemory returns the bytes of memory and swap that the machine has, or 0 if that
// is unknown.
func systemMemory() int {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int(min((uint64(info.Totalram)+uint64(info.Totalswap))*uint64(info.Unit), math.MaxInt))
}
