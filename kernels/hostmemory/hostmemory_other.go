//go:build !linux

package hostmemory

// total returns 0, for unknown, outside Linux.
func total() (memory, swap int64) { return 0, 0 }

// resident returns 0, for unknown, outside Linux.
func resident() int64 { return 0 }
