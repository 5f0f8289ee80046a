package gpu

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSelectDevice(t *testing.T) {
	llvmpipe := Info{Index: 0, Name: "llvmpipe (LLVM 15.0.6)", Type: "cpu", UUID: "6d657361-3232-2e33-2e36-000000000000"}
	intel := Info{Index: 1, Name: "Intel(R) Arc", Type: "integrated", UUID: "11111111-1111-1111-1111-111111111111"}
	first := Info{Index: 2, Name: "NVIDIA RTX 4090", Type: "discrete", UUID: "aaaaaaaa-0000-0000-0000-0000000000bb"}
	second := Info{Index: 3, Name: "NVIDIA RTX 4090", Type: "discrete", UUID: "aaaaaaaa-0000-0000-0000-0000000000cc"}
	laptop := Info{Index: 4, Name: "NVIDIA RTX 4080 Laptop GPU", Type: "discrete", UUID: "aaaaaaaa-0000-0000-0000-0000000000dd"}
	desktop := Info{Index: 5, Name: "NVIDIA RTX 4080", Type: "discrete", UUID: "aaaaaaaa-0000-0000-0000-0000000000ee"}
	all := []Info{llvmpipe, intel, first, second, laptop, desktop}
	for selector, want := range map[string]Info{
		"0": llvmpipe, "3": second, " 1": intel, "+1": intel, "01": intel,
		"AAAAAAAA-0000-0000-0000-0000000000CC": second, "aaaaaaaa0000000000000000000000cc": second,
		"GPU-aaaaaaaa-0000-0000-0000-0000000000cc": second, "11111111111111111111111111111111": intel,
		"LLVM": llvmpipe, "intel(r)": intel, "nvidia rtx 4080": desktop, "4080 laptop": laptop,
	} {
		if got, err := selectDevices(all, selector, false); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%q: %v, %v, want %v", selector, got, err, want)
		}
	}
	for selector, says := range map[string]string{
		"6":                                    `no device has the index "6"; there are 0: llvmpipe`,
		"15":                                   "index", // though a name contains it
		"4090":                                 "index",
		"-1":                                   "index",
		"1.0":                                  "whole number", // though a name contains 15.0
		"5.0":                                  "whole number",
		"0x1":                                  "whole number",
		"1e0":                                  "whole number",
		"  ":                                   "blank",
		"radeon":                               "2: NVIDIA RTX 4090 (discrete)",
		"99999999999999999999":                 "index",
		"aaaaaaaa-0000-0000-0000-0000000000ff": "UUID",
		"nvidia rtx 4090": "2 devices have the name \"nvidia rtx 4090\"; choose one by its index or UUID: " +
			"2: NVIDIA RTX 4090 (discrete), UUID aaaaaaaa-0000-0000-0000-0000000000bb; 3: NVIDIA RTX 4090 (discrete), UUID aaaaaaaa-0000-0000-0000-0000000000cc",
		"nvidia": "4 devices have a name containing",
	} {
		if _, err := selectDevices(all, selector, false); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want ErrNoDevice with %q", selector, err, says)
		}
	}
}

// Without a selector, real GPUs are tried, the best first.
func TestRealGPUs(t *testing.T) {
	var all []Info
	for i, kind := range []string{"cpu", "virtual", "other", "integrated", "discrete", "", "discrete"} {
		all = append(all, Info{Index: i, Type: kind})
	}
	got, err := selectDevices(all, "", false)
	var order []int
	for _, d := range got {
		order = append(order, d.Index)
	}
	if err != nil || !slices.Equal(order, []int{4, 6, 3, 1}) {
		t.Errorf("%v, %v, want devices 4, 6, 3, 1", order, err)
	}
	if got, err := selectDevices(all, "", true); err != nil || len(got) != len(all) || got[0].Index != 4 || got[3].Index != 1 {
		t.Errorf("%v, %v, want software drivers after devices 4, 6, 3, 1", got, err)
	}
	all = []Info{{Name: "llvmpipe", Type: "cpu"}}
	if _, err := selectDevices(all, "", false); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "no GPU, only 0: llvmpipe (cpu)") {
		t.Errorf("%v, want ErrNoDevice that names the software driver", err)
	}
}
