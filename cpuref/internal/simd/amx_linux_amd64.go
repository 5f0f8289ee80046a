//go:build !noasm

package simd

import (
	"sync"

	"golang.org/x/sys/unix"
)

// permitAMX asks the operating system to let this process use the tile registers,
// whose 8 KiB it does not save for every process, and reports whether it does.
var permitAMX = sync.OnceValue(func() bool {
	const requestPermission, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	_, _, failure := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return failure == 0
})
