//go:build !linux

package cpuref

// adviseHugePages does nothing outside Linux.
func adviseHugePages([]byte) {}

// systemMemory returns 0, for unknown, outside Linux.
func systemMemory() int { return 0 }
