//go:build !cgo

package vulkan

import (
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Options configure how [Open] sets up a device.
type Options = gpu.Options

// Backend runs plans on one Vulkan device; a build without cgo cannot open one.
type Backend struct{ kernels.Backend }

// List returns no device and a problem that wraps [gpu.ErrNoVulkan].
func List() ([]gpu.Info, []error) { return gpu.List(nil) }

// Open returns an error that wraps [gpu.ErrNoVulkan].
func Open(selector string, o Options) (*Backend, error) {
	_, err := gpu.Open(selector, o)
	return nil, err
}

// PassedOver returns nil.
func (b *Backend) PassedOver() []error { return nil }

// Info describes the backend's device; Open returns none here.
func (b *Backend) Info() gpu.Info { return gpu.Info{} }

// Tuned returns "": this build has no devices.
func (*Backend) Tuned() string { return "" }
