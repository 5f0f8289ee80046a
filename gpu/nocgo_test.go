//go:build !cgo

package gpu

import (
	"errors"
	"testing"
)

func TestWithoutCgo(t *testing.T) {
	if _, err := List(); !errors.Is(err, ErrNoVulkan) {
		t.Errorf("List: %v, want ErrNoVulkan", err)
	}
	if _, err := Open("", Options{}); !errors.Is(err, ErrNoVulkan) {
		t.Errorf("Open: %v, want ErrNoVulkan", err)
	}
}
