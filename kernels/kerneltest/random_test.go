package kerneltest

import (
	"slices"
	"testing"
)

// Every kind of op has random cases of its own kind, the same each time.
func TestRandomCases(t *testing.T) {
	kinds := map[string]bool{}
	for _, c := range Cases() {
		kinds[c.Trial().Op.Kind()] = true
	}
	for kind := range kinds {
		if !slices.Contains(RandomKinds(), kind) {
			t.Errorf("%s has no random cases", kind)
		}
	}
	for _, kind := range RandomKinds() {
		names := map[string]bool{}
		for i := range 20 {
			c := RandomCase(kind, 1, i)
			names[c.String()] = true
			if got := c.Trial().Op.Kind(); got != kind || c.String() != RandomCase(kind, 1, i).String() {
				t.Errorf("%s: case %d is %s of %s", kind, i, c, got)
			}
		}
		if len(names) < 10 {
			t.Errorf("%s: 20 cases are %d", kind, len(names))
		}
	}
}
