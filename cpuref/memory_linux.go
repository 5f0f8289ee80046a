package cpuref

import (
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
