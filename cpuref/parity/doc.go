// Package parity contains only tests: they compare every backend with the
// oracle, op by op and over whole models, and all of them with PyTorch.
//
// The fixtures in testdata come from testdata/fixtures.py. Vulkan is tested on
// $FMNIST_DEVICE (default 0) with the validation layer on; without a device its
// tests are skipped, or fail if FMNIST_REQUIRE_VULKAN is 1. `go test -v` prints
// the parity tables; -short skips slow tests.
package parity
