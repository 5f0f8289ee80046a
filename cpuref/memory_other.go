//go:build !linux

package cpuref

// adviseHugePages does nothing outside Linux.
func adviseHugePages([]byte) {}

// adviseSmallPages does nothing outside Linux.
func adviseSmallPages([]byte) {}
