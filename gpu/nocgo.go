//go:build !cgo

package gpu

import "fmt"

// Device is an open Vulkan device. There is none in a build without cgo.
type Device struct{}

// List returns no devices and a problem that wraps [ErrNoVulkan].
func List(func(*Device) error) ([]Info, []error) { return nil, []error{errNoCgo()} }

// Open returns an error that wraps [ErrNoVulkan].
func Open(string, Options) (*Device, error) { return nil, errNoCgo() }

func errNoCgo() error {
	return fmt.Errorf("%w: this program was built without it; use the CPU, or build with CGO_ENABLED=1", ErrNoVulkan)
}
