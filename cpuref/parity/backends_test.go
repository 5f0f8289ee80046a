package parity

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref/oracle"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// forEachBackend runs f on every fast backend of this machine: each
// instruction-set tier of the CPU, and Vulkan.
func forEachBackend(t *testing.T, f func(t *testing.T, b kernels.Backend)) {
	t.Helper()
	for _, tier := range cpuref.Tiers() {
		t.Run("cpu-"+tier, func(t *testing.T) {
			b, err := cpuref.Open(cpuref.Options{Tier: tier})
			if err != nil {
				t.Fatal(err)
			}
			closeAfter(t, b)
			f(t, b)
		})
	}
	t.Run("vulkan", func(t *testing.T) { f(t, openVulkan(t)) })
}

// withOracle is forEachBackend plus the oracle itself, which -short skips
// because it is slow.
func withOracle(t *testing.T, f func(t *testing.T, b kernels.Backend)) {
	t.Helper()
	t.Run("oracle", func(t *testing.T) {
		if testing.Short() {
			t.Skip("skipped by -short: the oracle is slow")
		}
		f(t, oracle.New())
	})
	forEachBackend(t, f)
}

// openVulkan opens the device under test, or skips the test. The validation
// layer is on, unless FMNIST_VALIDATION=off says that the machine has none.
func openVulkan(t testing.TB) kernels.Backend {
	t.Helper()
	selector := os.Getenv("FMNIST_DEVICE")
	if selector == "" {
		selector = "0"
	}
	b, err := vulkan.Open(selector, vulkan.Options{Validate: os.Getenv("FMNIST_VALIDATION") != "off", CacheDir: pipelineCache()})
	if err != nil {
		if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
			t.Fatalf("FMNIST_REQUIRE_VULKAN is 1: %v", err)
		}
		t.Skipf("no Vulkan device: %v", err)
	}
	closeAfter(t, b)
	return b
}

// pipelineCache returns a folder for compiled pipelines, which take a software driver
// about a second each, or "" if this user has no cache folder.
func pipelineCache() string {
	user, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(user, "fmnist-gpu", "parity")
}

// closeAfter closes b after the test. On Vulkan, an error contains the
// validation layer's messages.
func closeAfter(t testing.TB, b kernels.Backend) {
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}
