//go:build noasm || !amd64

package simd

// machineTiers returns none: this build has the portable tier alone.
func machineTiers() []*Kernels { return nil }
