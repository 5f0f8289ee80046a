package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
)

// The list fits a terminal of 80 columns, however long names are, and leaves
// nothing out.
func TestDevicesFitTheTerminal(t *testing.T) {
	long := gpu.Info{Index: 12, Name: "NVIDIA GeForce RTX 4090 Laptop GPU with Max-Q Design and a name of " + strings.Repeat("many words ", 6),
		Type: "integrated", Driver: "NVIDIA 550.120.7 (" + strings.Repeat("built with care ", 5) + ")", UUID: "6d657361-3232-2e33-2e36-000000000000",
		APIVersion: "1.3.277", MemoryBytes: 16 << 30, SubgroupSize: 128, Float16: true, BFloat16: true, CooperativeMatrix: true,
		Why: "out of memory: vkCreateDevice: VK_ERROR_OUT_OF_DEVICE_MEMORY, and so on, until the line is longer than a terminal is wide"}
	cpu := cpuref.Description{Model: "AMD Ryzen Threadripper PRO 7995WX 96-Cores (and some more words for this test)", Threads: 192,
		Tier: "avx512", Tiers: []string{"generic", "sse", "avx2", "avx512"}}
	text := formatDevices([]gpu.Info{long, long}, []string{"the driver of nvidia_icd.json fails: vkEnumeratePhysicalDevices: VK_ERROR_OUT_OF_HOST_MEMORY"}, cpu)
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 || strings.TrimRight(line, " ") != line {
			t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
	plain := strings.Join(strings.Fields(text), " ")
	for _, want := range []string{"12 NVIDIA GeForce RTX 4090 Laptop GPU", "integrated, 16 GiB, Vulkan 1.3.277, subgroups of 128, FP32 + FP16 + BF16 + cooperative matrix",
		"driver NVIDIA 550.120.7", "UUID " + long.UUID, "cannot be used: " + long.Why, "nvidia_icd.json", "CPU AMD Ryzen", "192 threads"} {
		if !strings.Contains(plain, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// More threads than cores are capped, and the user is told.
func TestThreadsAreCapped(t *testing.T) {
	cores := cpuref.DefaultThreads()
	for asked, want := range map[int]int{0: cores, 1: 1, cores: cores, cores + 1: cores, maxThreads: cores} {
		d, err := openDevice(deviceFlags{cpu: true, threads: asked})
		if err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(d.announce(), "--threads"); d.environment.Threads != want || told != (asked > cores) {
			t.Errorf("--threads %d: %d threads, %q", asked, d.environment.Threads, d.announce())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	wantFailure(t, []string{"bench", "--cpu", "--threads", "-1"}, exitUsage, "--threads is -1", "from 0 to")
}
