package kernels

import (
	"math"
	"testing"
)

func TestRoundBFloat16(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct{ x, want float32 }{
		{0, 0}, {1, 1}, {-3, -3}, {256, 256},
		{1 + 0x1p-8, 1},                    // tie: down to even
		{1 + 0x1p-8 + 0x1p-23, 1 + 0x1p-7}, // just above the tie
		{1 + 3*0x1p-8, 1 + 0x1p-6},         // tie: up to even
		{-1 - 3*0x1p-8, -1 - 0x1p-6},
		{257, 256}, {259, 260},
		{math.MaxFloat32, inf}, {-math.MaxFloat32, -inf}, {inf, inf},
		{0x1p-140, 0x1p-133 * 0}, {0x1p-133, 0x1p-133}, // subnormal
	} {
		if got := RoundBFloat16(c.x); got != c.want {
			t.Errorf("RoundBFloat16(%v) is %v, want %v", c.x, got, c.want)
		}
	}
	// A NaN whose upper half alone is infinity.
	nan := math.Float32frombits(0x7f800001)
	if got := RoundBFloat16(nan); got == got {
		t.Errorf("RoundBFloat16(NaN) is %v", got)
	}
	for _, p := range []Precision{FP32, Mixed} {
		if got, err := ParsePrecision(p.String()); got != p || err != nil {
			t.Errorf("ParsePrecision(%q) is %v, %v", p, got, err)
		}
	}
	if _, err := ParsePrecision("fp16"); err == nil {
		t.Error(`ParsePrecision("fp16") has no error`)
	}
}
