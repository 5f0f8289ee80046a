//go:build noasm || !(amd64 || arm64)

package simd

// machineTiers returns none: this build has the portable tier alone.
func machineTiers() []*Kernels { return nil }

// TileScratch is empty: the portable tile needs none.
type TileScratch struct{}
