//go:build unix

package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns the user and system time that all cores together have spent on
// this process.
func CPUTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
