package simd

// machineTiers returns none: this build has the portable tier alone.
func machineTiers() []*Kernels { return nil }
