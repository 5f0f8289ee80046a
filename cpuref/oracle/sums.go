package oracle

// dot returns Σ a·b in float64; a product of two float32 is exact there.
func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// addScaled adds s·a to sum, element by element.
func addScaled(sum []float64, s float64, a []float32) {
	for i := range a {
		sum[i] += s * float64(a[i])
	}
}

// round stores float64 sums as float32.
func round(dst []float32, sum []float64) {
	for i, s := range sum {
		dst[i] = float32(s)
	}
}
