//go:build !cgo

package gpu

import (
	"errors"
	"testing"
)

func TestWithoutCgo(t *testing.T) {
	if devices, problems := List(nil); len(devices) != 0 || len(problems) != 1 || !errors.Is(problems[0], ErrNoVulkan) {
		t.Errorf("List: %v, %v, want ErrNoVulkan", devices, problems)
	}
	if _, err := Open("", Options{}); !errors.Is(err, ErrNoVulkan) {
		t.Errorf("Open: %v, want ErrNoVulkan", err)
	}
}
