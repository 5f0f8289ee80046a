//go:build cgo

package vulkan

import "testing"

// FuzzTuning checks that a file of a tuning that is accepted gives products that cover
// all of K.
func FuzzTuning(f *testing.F) {
	f.Add([]byte(`{"GEMM 64x256x6272": {"Rows": 64, "Columns": 64, "ThreadRows": 4, "ThreadColumns": 4, "Splits": 4, "Micros": 12.5}}`))
	f.Add([]byte(`{"": {"Splits": 9223372036854775807}}`))
	f.Add([]byte(`{"x": {"Splits": -1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		choices, err := parseTuning(text)
		if err != nil {
			return
		}
		for _, c := range choices {
			p := product{m: 64, n: 256, k: 6272, tile: tile{step: 16}}.split(c.Splits)
			if p.splits < 1 || p.splitK < 1 || p.splits*p.splitK < p.k || p.splits > p.k {
				t.Errorf("%d splits: %d of %d", c.Splits, p.splits, p.splitK)
			}
		}
	})
}
