//go:build cgo

package gpu

import (
	"errors"
	"strings"
	"testing"

	vk "github.com/vulkan-go/vulkan"
)

func TestCheck(t *testing.T) {
	if err := check("vkCall", vk.Success); err != nil {
		t.Errorf("success gives the error %v", err)
	}
	for result, want := range map[vk.Result]error{
		vk.ErrorOutOfDeviceMemory: ErrOutOfMemory,
		vk.ErrorOutOfHostMemory:   ErrOutOfMemory,
		vk.ErrorOutOfPoolMemory:   ErrOutOfMemory,
		vk.ErrorDeviceLost:        ErrDeviceLost,
		vk.ErrorTooManyObjects:    nil,
		vk.Result(-1000072003):    nil, // newer than vulkan-go
	} {
		err := check("vkCall", result)
		if err == nil || !strings.Contains(err.Error(), "vkCall") || want != nil && !errors.Is(err, want) {
			t.Errorf("result %d: %v, want %v that names the call", result, err, want)
		}
	}
}
