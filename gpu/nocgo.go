//go:build !cgo

package gpu

import "fmt"

// Device is an open Vulkan device; a build without cgo has none.
type Device struct{}

// List returns no device and a problem that wraps [ErrNoVulkan].
func List() ([]Info, []error) { return nil, []error{errNoCgo()} }

// Open returns an error that wraps [ErrNoVulkan].
func Open(string, Options) (*Device, error) { return nil, errNoCgo() }

func errNoCgo() error {
	return fmt.Errorf("%w: this program was built without it; use the CPU, or build with CGO_ENABLED=1", ErrNoVulkan)
}
