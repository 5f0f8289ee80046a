package modeltest

import "math"

// Distance returns ‖got − want‖ / ‖want‖, or 0 if got equals want. The slices
// must have the same length. It is NaN if an element of either is.
func Distance(got, want []float32) float64 {
	off, length := 0., 0.
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		off += d * d
		length += float64(want[i]) * float64(want[i])
	}
	if off == 0 {
		return 0
	}
	return math.Sqrt(off / length)
}
