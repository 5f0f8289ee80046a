//go:build cgo

package gpu

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	vk "github.com/vulkan-go/vulkan"
)

// pipelineCache is the driver's cache of compiled pipelines, kept in a file
// that holds the SHA-256 of the data, then the data.
type pipelineCache struct {
	device *Device
	handle vk.PipelineCache
	path   string // "" if it is not kept
	loaded []byte // what the file held
}

// openPipelineCache starts from the file for this device and driver, if it
// exists and is intact.
func openPipelineCache(d *Device, dir string) (*pipelineCache, error) {
	c := &pipelineCache{device: d, path: cachePath(d, dir)}
	if c.path != "" {
		data, err := readCache(c.path, d.physical)
		if err != nil {
			d.log(fmt.Sprintf("ignoring the pipeline cache %s: %v", c.path, err))
		}
		c.loaded = data
	}
	var err error
	if c.handle, err = createPipelineCache(d.handle, c.loaded); err != nil && c.loaded != nil {
		d.log(fmt.Sprintf("ignoring the pipeline cache %s: %v", c.path, err))
		c.loaded = nil
		c.handle, err = createPipelineCache(d.handle, nil)
	}
	return c, err
}

// PipelineCacheWarm reports whether the device started from pipelines that an
// earlier process saved. Only the driver knows whether they are the ones this
// process needs.
func (d *Device) PipelineCacheWarm() bool { return d.cache.loaded != nil }

// cachePath derives the file's name from everything that makes its contents
// unusable when it changes.
func cachePath(d *Device, dir string) string {
	if dir == "" {
		return ""
	}
	i := d.physical.info
	return filepath.Join(dir, "pipelines", fmt.Sprintf("%08x-%08x-%08x-%x.bin", i.VendorID, i.DeviceID, i.DriverVersion, d.physical.cacheUUID))
}

// maxCache is the largest cache that is read, in bytes: hundreds of times a training's.
const maxCache = 1 << 30

// readCache returns the data of a cache file, or nil if there is none. Drivers
// trust what they are given, so readCache checks the checksum and Vulkan's
// header.
func readCache(path string, p physicalDevice) ([]byte, error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err == nil && info.Size() > maxCache {
		return nil, fmt.Errorf("it has more than %d bytes", maxCache)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const headerBytes = 32 // VkPipelineCacheHeaderVersionOne
	if len(file) < sha256.Size+headerBytes {
		return nil, fmt.Errorf("it has only %d bytes", len(file))
	}
	sum, data := file[:sha256.Size], file[sha256.Size:]
	if want := sha256.Sum256(data); !bytes.Equal(sum, want[:]) {
		return nil, fmt.Errorf("wrong checksum")
	}
	vendor, device := binary.NativeEndian.Uint32(data[8:]), binary.NativeEndian.Uint32(data[12:])
	if vendor != p.info.VendorID || device != p.info.DeviceID || !bytes.Equal(data[16:headerBytes], p.cacheUUID[:]) {
		return nil, fmt.Errorf("it is from another device or driver")
	}
	return data, nil
}

// save writes the file if the cache has changed.
func (c *pipelineCache) save() error {
	if c.path == "" {
		return nil
	}
	data, err := pipelineCacheData(c.device.handle, c.handle)
	if err != nil || bytes.Equal(data, c.loaded) {
		return err
	}
	return ReplaceFile(c.path, func() ([]byte, error) {
		sum := sha256.Sum256(data)
		return append(sum[:], data...), nil
	})
}
