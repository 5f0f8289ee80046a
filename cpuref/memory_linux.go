package cpuref

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHugePages asks the kernel for large pages where they fit inside b: a
// matrix with rows of several kilobytes touches a page per row, more than the
// TLB holds. The kernel may decline.
func adviseHugePages(b []byte) { advise(b, unix.MADV_HUGEPAGE) }

// adviseSmallPages undoes adviseHugePages for memory that is no longer used. Otherwise Go
// places small objects there, each of which may occupy a whole large page, and does not
// give these pages back to the system.
func adviseSmallPages(b []byte) { advise(b, unix.MADV_NOHUGEPAGE) }

func advise(b []byte, advice int) {
	if len(b) == 0 {
		return
	}
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (hugePage - 1)
	if skip+hugePage <= len(b) {
		_ = unix.Madvise(b[skip:len(b)-(len(b)-skip)%hugePage], advice)
	}
}
