//go:build noasm || !(amd64 || arm64)

package simd

// machineTiers returns none: this build has only the portable tier.
func machineTiers() []*Kernels { return nil }

// TileScratch is empty: the portable tile needs no scratch.
type TileScratch struct{}
