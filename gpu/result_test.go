//go:build cgo

package gpu

import "testing"

func TestResultName(t *testing.T) {
	for code, want := range map[int32]string{
		-3: "VK_ERROR_INITIALIZATION_FAILED", 2: "VK_TIMEOUT", -1000072003: "VK_ERROR_INVALID_EXTERNAL_HANDLE",
		1000297000: "VK_PIPELINE_COMPILE_REQUIRED", -77: "VkResult -77",
	} {
		if got := resultName(code); got != want {
			t.Errorf("%d is %s, want %s", code, got, want)
		}
	}
}
