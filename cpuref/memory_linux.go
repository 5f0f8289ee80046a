package cpuref

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHugePages asks the kernel for large pages where they fit inside b: a
// matrix with rows of several kilobytes touches a page per row, more than the
// TLB holds. The kernel may decline.
func adviseHugePages(b []byte) {
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (hugePage - 1)
	if skip+hugePage <= len(b) {
		_ = unix.Madvise(b[skip:len(b)-(len(b)-skip)%hugePage], unix.MADV_HUGEPAGE)
	}
}
