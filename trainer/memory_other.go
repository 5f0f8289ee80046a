//go:build !unix

package trainer

import "runtime"

// peakHostMemory returns the memory that Go has taken from the system, in
// bytes; there is no portable peak.
func peakHostMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
