//go:build !linux && !noasm

package simd

// permitAMX reports that this operating system is not asked for the tile registers.
func permitAMX() bool { return false }
