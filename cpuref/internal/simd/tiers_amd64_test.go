//go:build !noasm

package simd

import (
	"slices"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// A processor gets the tiers whose instructions it has; AMX also needs the
// operating system's permission, which is not asked for without need.
func TestTiersOfProcessors(t *testing.T) {
	avx2 := []cpuid.FeatureID{cpuid.AVX2, cpuid.FMA3, cpuid.BMI2}
	avx512 := append(slices.Clone(avx2), cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL)
	bf16 := append(slices.Clone(avx512), cpuid.AVX512BF16)
	amx := append(slices.Clone(bf16), cpuid.AMXTILE, cpuid.AMXBF16)
	for _, c := range []struct {
		has     []cpuid.FeatureID
		permits bool
		want    []string
		mixed   string // the fastest tier's mixed precision
	}{
		{nil, true, []string{"sse"}, ""},
		{avx2, true, []string{"sse", "avx2"}, ""},
		{avx512, true, []string{"sse", "avx2", "avx512"}, ""},
		{bf16, true, []string{"sse", "avx2", "avx512"}, "avx512"},
		{amx, false, []string{"sse", "avx2", "avx512"}, "avx512"},
		{amx, true, []string{"sse", "avx2", "avx512", "amx"}, "amx"},
	} {
		supports := func(features ...cpuid.FeatureID) bool {
			return !slices.ContainsFunc(features, func(f cpuid.FeatureID) bool { return !slices.Contains(c.has, f) })
		}
		asked := false
		tiers := tiersWith(supports, func() bool { asked = true; return c.permits })
		var names []string
		mixed := ""
		for _, k := range tiers {
			names = append(names, k.Name)
			if k.TilePairs != nil {
				mixed = k.Name
			}
		}
		if !slices.Equal(names, c.want) || mixed != c.mixed {
			t.Errorf("%v, permitted: %t: tiers %v, mixed precision by %q; want %v, %q", c.has, c.permits, names, mixed, c.want, c.mixed)
		}
		if hasAMX := len(c.has) == len(amx); asked != hasAMX {
			t.Errorf("%v: permission asked for: %t", c.has, asked)
		}
	}
}
