//go:build !linux

package cpuref

// adviseHugePages does nothing outside Linux.
func adviseHugePages([]byte) {}
