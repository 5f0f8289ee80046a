// Package parity holds tests only: every backend against the oracle, op by op
// and over whole models, and all of them against PyTorch.
//
// The fixtures in testdata come from testdata/fixtures.py. Vulkan is tested on
// $FMNIST_DEVICE (default 0) with the validation layer on; without a device
// its tests are skipped, or fail where FMNIST_REQUIRE_VULKAN is 1. `go test
// -v` prints the parity tables; -short leaves out what takes long.
package parity
