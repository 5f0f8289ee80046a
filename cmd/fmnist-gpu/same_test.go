package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

var sameTimes = flag.Int("same", 0, "TestSameBytes trains N times on each backend and with each number of threads; 0 skips it")

// manyOps are the layers of a network of many kinds, and fewOps those of one for software
// drivers in a hurry: they would spend it on compiling.
const (
	manyOps = `    - conv: {out: 6, kernel: 3, padding: 1, bias: false}
    - batchnorm
    - relu
    - maxpool: 2
    - conv: {out: 12, kernel: 3, stride: 2}
    - silu
    - avgpool: 2
    - flatten
    - dropout: 0.25
    - linear: {out: classes}
`
	fewOps = `    - conv: {out: 6, kernel: 3, stride: 2}
    - relu
    - flatten
    - dropout: 0.25
    - linear: {out: classes}
`
)

// sameSettings are the settings of a training with all that is random.
const sameSettings = `model: all
augment: light
rotate: 10
epochs: 2
prune: 0.3
batch-size: 24
checkpoint-every: 0.001
`

// A seed gives the same bytes each time, with any number of threads, on each tier of the
// CPU and on each Vulkan driver.
func TestSameBytes(t *testing.T) {
	if *sameTimes == 0 {
		t.Skip("skipped: make torture runs it")
	}
	isolateCache(t)
	dir := t.TempDir()
	writeLetters(t, dir, 260, 52)
	for _, tier := range cpuref.Tiers() {
		t.Setenv(tierEnvironment, tier)
		for _, precision := range []string{"fp32", "mixed"} {
			var settings []string
			for _, threads := range []int{1, 2} {
				settings = append(settings, fmt.Sprintf("cpu: true\nthreads: %d\nprecision: %s\n", threads, precision))
			}
			wantSameBytes(t, tier+", "+precision, manyOps, dir, settings)
		}
	}
	collectAlways(t)
	layers := manyOps
	if testing.Short() {
		layers = fewOps
	}
	vulkan := []string{"device: 0\n", "device: 0\n"}
	for _, threads := range []string{"1", "2"} { // of Mesa's software driver
		t.Setenv("LP_NUM_THREADS", threads)
		wantSameBytes(t, "Vulkan", layers, dir, vulkan)
	}
	const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json"
	if _, err := os.Stat(swiftShader); err != nil {
		t.Log("SwiftShader is not tested: ", err)
		return
	}
	t.Setenv("VK_DRIVER_FILES", swiftShader)
	t.Setenv("VK_ICD_FILENAMES", swiftShader)
	wantSameBytes(t, "SwiftShader", layers, dir, vulkan)
}

// trained holds the files of the first training by what it was trained on.
var trained = map[string]map[string]string{}

// wantSameBytes trains a network several times with each of the settings.
func wantSameBytes(t *testing.T, what, layers, data string, settings []string) {
	t.Helper()
	for _, s := range settings {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		writeFile(t, file, "network: |\n  layers:\n"+layers+sameSettings+"dataset: "+data+"\n"+s)
		for range *sameTimes {
			dir := filepath.Join(t.TempDir(), "r")
			_, stderr, code := runTrainOnly(t, dir, file)
			switch {
			case code == exitUsage && strings.Contains(stderr, "precision"), code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1":
				t.Logf("%s is not tested: %s", what, stderr)
				return
			case code != exitInterrupted:
				t.Fatalf("%s: exit code %d, %s", what, code, stderr)
			}
			got := filesOf(t, dir)
			delete(got, trainer.ArgsFile) // says how many threads
			if first := trained[what]; first == nil {
				trained[what] = got
			} else if !maps.Equal(got, first) {
				t.Errorf("%s, %s: %s", what, strings.TrimSpace(s), difference(got, first))
			}
		}
	}
}
