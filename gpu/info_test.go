package gpu

import (
	"errors"
	"strings"
	"testing"
)

func TestSelectDevice(t *testing.T) {
	llvmpipe := Info{Index: 0, Name: "llvmpipe (LLVM 15)", Type: "cpu", UUID: "6d657361-3232-2e33-2e36-000000000000"}
	intel := Info{Index: 1, Name: "Intel(R) Arc", Type: "integrated", UUID: "aa"}
	first := Info{Index: 2, Name: "NVIDIA RTX 4090", Type: "discrete", UUID: "bb"}
	second := Info{Index: 4, Name: "NVIDIA RTX 4090", Type: "discrete", UUID: "cc"}
	virtual := Info{Index: 5, Name: "Virtio", Type: "virtual", UUID: "dd"}
	all := []Info{llvmpipe, intel, first, second, virtual}
	for _, c := range []struct {
		devices  []Info
		selector string
		want     Info
	}{
		{all, "", first},
		{[]Info{llvmpipe, virtual, intel}, "", intel},
		{[]Info{llvmpipe, virtual}, "", virtual},
		{all, "0", llvmpipe},
		{all, "4", second},
		{all, "CC", second},
		{all, "LLVM", llvmpipe},
		{all, "intel(r)", intel},
		{[]Info{intel, first}, "4090", first}, // no index, but a name
	} {
		if got, err := selectDevice(c.devices, c.selector); err != nil || got != c.want {
			t.Errorf("%q of %v: %v, %v, want %v", c.selector, c.devices, got, err, c.want)
		}
	}
	for _, c := range []struct {
		devices  []Info
		selector string
		says     string
	}{
		{nil, "", "install"},
		{nil, "0", "install"},
		{[]Info{llvmpipe}, "", "no GPU, only 0: llvmpipe (LLVM 15) (cpu)"},
		{all, "3", "1: Intel(R) Arc (integrated)"},
		{all, "radeon", "2: NVIDIA RTX 4090 (discrete)"},
		{all, "nvidia", "2: NVIDIA RTX 4090 (discrete), 4: NVIDIA RTX 4090 (discrete)"},
	} {
		if _, err := selectDevice(c.devices, c.selector); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q of %v: %v, want ErrNoDevice with %q", c.selector, c.devices, err, c.says)
		}
	}
}
