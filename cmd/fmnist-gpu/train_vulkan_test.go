//go:build cgo

package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
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
	if testing.Short() {
		t.Log("mixed precision is left out by -short: a software driver takes 40 s to compile it")
		return
	}
	mixed := metrics("mixed", "--device", testDevice(), "--precision", "mixed")
	if mixed.Loss == vulkan.Loss || !(math.Abs(mixed.Accuracy-cpu.Accuracy) <= 1e-2) || !(math.Abs(mixed.Loss-cpu.Loss) <= 1e-2*cpu.Loss) {
		t.Errorf("accuracy %v and loss %v in mixed precision, %v and %v on the CPU in float32", mixed.Accuracy, mixed.Loss, cpu.Accuracy, cpu.Loss)
	}
}

// A training that diverges says in one line where that began.
func TestDivergenceOnVulkan(t *testing.T) {
	datasettest.Full(t)
	for _, device := range [][]string{{"--device", testDevice()}, {"--cpu"}} {
		args := append([]string{"train", "--model", "logistic", "--optimizer", "sgd", "--lr", "1000", "--weight-decay", "1000",
			"--no-progress", "--out", t.TempDir()}, device...)
		_, stderr, code := run(t, args...)
		if code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
			t.Skip("no Vulkan device: ", stderr)
		}
		if code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "; it began at step ") ||
			!strings.Contains(stderr, "; try a lower learning rate") {
			t.Errorf("%v: exit code %d: %s", device, code, stderr)
		}
		t.Log(stderr)
	}
}

// Replicas are the trainings of their seeds alone, also if they are resumed, and also
// on the CPU, which trains them side by side.
func TestReplicas(t *testing.T) {
	datasettest.Full(t)
	for _, device := range [][]string{{"--device", testDevice()}, {"--cpu"}} {
		if device[0] == "--cpu" && testing.Short() {
			t.Log("the CPU is left out by -short: an experiment's test trains on it")
			continue
		}
		out := t.TempDir()
		train := func(args ...string) (stdout string) {
			t.Helper()
			args = append(append([]string{"train", "--no-progress"}, device...), args...)
			stdout, stderr, code := run(t, args...)
			if code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
				t.Skip("no Vulkan device: ", stderr)
			}
			if code != 0 {
				t.Fatalf("%v: exit code %d: %s\n%s", args, code, stderr, stdout)
			}
			return stdout
		}
		recipe := []string{"--model", "logistic", "--augment", "original", "--eval-images", "200", "--out", out}
		train(append(recipe, "--seed", "8", "--max-steps", "9", "--name", "alone")...)
		if stdout := train(append(recipe, "--seed", "7", "--max-steps", "5", "--replicas", "2")...); !strings.Contains(stdout, "logistic-seed8: test accuracy on 200 images") {
			t.Errorf("two replicas print\n%s", stdout)
		}
		train("--max-steps", "9", "--resume", filepath.Join(out, "logistic-seed7"), "--resume", filepath.Join(out, "logistic-seed8"))
		for _, file := range []string{trainer.BestWeights, "predictions.csv"} {
			alone, err1 := os.ReadFile(filepath.Join(out, "alone", file))
			replica, err2 := os.ReadFile(filepath.Join(out, "logistic-seed8", file))
			if err := errors.Join(err1, err2); err != nil || string(alone) != string(replica) {
				t.Errorf("%v: %s of a replica differs (%v)", device, file, err)
			}
		}
	}
}
