package hostmemory

import (
	"fmt"
	"os"
	"syscall"
)

// total returns the bytes of memory and swap that the machine has, 0 if that is unknown.
func total() (memory, swap int64) {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0, 0
	}
	return int64(info.Totalram) * int64(info.Unit), int64(info.Totalswap) * int64(info.Unit)
}

// resident returns the bytes of memory that this process occupies, 0 if that is unknown.
// Pages of files, such as of the program itself, do not count: the system can drop them.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var all, resident, ofFiles int64 // pages
	if _, err := fmt.Sscan(string(text), &all, &resident, &ofFiles); err != nil {
		return 0
	}
	return (resident - ofFiles) * int64(os.Getpagesize())
}
