//go:build !linux

package cpuref

// adviseHugePages does nothing: only Linux is asked for large pages.
func adviseHugePages([]byte) {}
