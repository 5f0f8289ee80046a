//go:build cgo

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// A short training gives on Vulkan what it gives on the CPU, up to rounding.
func TestTrainOnVulkan(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	metrics := func(name string, device ...string) (m struct{ Accuracy, Loss float64 }) {
		args := append([]string{"train", "--model", "logistic", "--max-steps", "50", "--no-progress", "--out", out, "--name", name}, device...)
		stdout, stderr, code := run(t, args...)
		if code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
			t.Skip("no Vulkan device: ", stderr)
		}
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s\n%s", args, code, stderr, stdout)
		}
		text, err := os.ReadFile(filepath.Join(out, name, "metrics.json"))
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	vulkan, cpu := metrics("vulkan", "--device", testDevice()), metrics("cpu", "--cpu")
	t.Logf("accuracy %v and %v, loss %v and %v", vulkan.Accuracy, cpu.Accuracy, vulkan.Loss, cpu.Loss)
	if !(cpu.Accuracy > .6) || !(math.Abs(vulkan.Accuracy-cpu.Accuracy) <= 1e-3) || !(math.Abs(vulkan.Loss-cpu.Loss) <= 1e-4*cpu.Loss) {
		t.Errorf("accuracy %v and loss %v on Vulkan, %v and %v on the CPU", vulkan.Accuracy, vulkan.Loss, cpu.Accuracy, cpu.Loss)
	}
	mixed := metrics("mixed", "--device", testDevice(), "--precision", "mixed")
	if mixed.Loss == vulkan.Loss || !(math.Abs(mixed.Accuracy-cpu.Accuracy) <= 1e-2) || !(math.Abs(mixed.Loss-cpu.Loss) <= 1e-2*cpu.Loss) {
		t.Errorf("accuracy %v and loss %v in mixed precision, %v and %v on the CPU in float32", mixed.Accuracy, mixed.Loss, cpu.Accuracy, cpu.Loss)
	}
}
