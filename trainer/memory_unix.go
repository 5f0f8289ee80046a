//go:build unix

package trainer

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// peakHostMemory returns the largest resident set of this process so far, in
// bytes.
func peakHostMemory() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss) // bytes there, KiB elsewhere
	}
	return int64(u.Maxrss) * 1024
}
