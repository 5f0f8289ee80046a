//go:build cgo

package gpu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
)

// testDevice opens the device that all tests use, the machine's first, with the
// validation layer on, and fails the test for every message from the layer.
func testDevice(t *testing.T) *Device {
	t.Helper()
	return openDevice(t, Options{Validate: true})
}

func openDevice(t *testing.T, o Options) *Device {
	t.Helper()
	requireVulkan(t)
	o.Log = func(s string) { t.Log(s) }
	d, err := Open("0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// requireVulkan skips the test on a machine without Vulkan, unless
// FMNIST_REQUIRE_VULKAN is set.
func requireVulkan(t *testing.T) []Info {
	t.Helper()
	devices, problems := List(nil)
	if len(devices) > 0 {
		return devices
	}
	if os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
		t.Fatalf("FMNIST_REQUIRE_VULKAN=1, but there is no Vulkan device: %v", problems)
	}
	t.Skipf("no Vulkan device: %v", problems)
	return nil
}

func newBuffer(t *testing.T, d *Device, bytes int64) *Buffer {
	t.Helper()
	b, err := d.NewBuffer(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func whole(b *Buffer) Region { return Region{b, 0, b.Size()} }

func download(t *testing.T, b *Buffer) []byte {
	t.Helper()
	data := make([]byte, b.Size())
	if err := b.device.Download(b, 0, data); err != nil {
		t.Fatal(err)
	}
	return data
}

func randomBytes(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func words(data []byte) []uint32 {
	out := make([]uint32, len(data)/4)
	for i := range out {
		out[i] = binary.NativeEndian.Uint32(data[4*i:])
	}
	return out
}

func TestListAndOpen(t *testing.T) {
	devices := requireVulkan(t)
	for _, want := range devices {
		if !want.Usable {
			continue
		}
		if want.Name == "" || want.Type == "" || len(want.UUID) != 36 || want.MemoryBytes <= 0 || want.SubgroupSize <= 0 {
			t.Errorf("incomplete: %+v", want)
		}
		if l := want.Limits; l.MaxWorkgroupInvocations < 128 || l.SharedMemoryBytes < 16384 || l.StorageBufferRange < 1<<27 ||
			l.StorageBufferAlignment < 1 || l.PushConstantBytes < 128 || l.MaxWorkgroupCount[0] < 65535 || l.StorageBuffers < 4 {
			t.Errorf("limits below Vulkan's minima: %+v", l)
		}
		name := strings.ToUpper(want.Name)
		for _, selector := range []string{want.String()[:1], want.UUID, strings.ToUpper(want.UUID), name[:len(name)/2+1]} {
			d, err := Open(selector, Options{})
			if len(devices) > 1 && errors.Is(err, ErrNoDevice) && strings.Contains(err.Error(), "devices have") {
				continue // two devices of the same name
			}
			if err != nil {
				t.Errorf("Open(%q): %v", selector, err)
				continue
			}
			if !reflect.DeepEqual(d.Info(), want) {
				t.Errorf("Open(%q) gave %+v, want %+v", selector, d.Info(), want)
			}
			for range 2 {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := d.NewBuffer(4); err == nil {
				t.Error("a closed device created a buffer")
			}
		}
	}
	for _, selector := range []string{"no such device", "9999", "00000000-0000-0000-0000-0000000000ff"} {
		_, err := Open(selector, Options{})
		if !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), devices[0].Name) {
			t.Errorf("Open(%q): %v, want ErrNoDevice with the list of devices", selector, err)
		}
	}
}

func TestUploadDownload(t *testing.T) {
	d := testDevice(t)
	const size = 2*stagingBytes + 13
	b := newBuffer(t, d, size)
	want := make([]byte, size)
	if !bytes.Equal(download(t, b), want) {
		t.Fatal("a new buffer is not filled with zeros")
	}
	for i, c := range []struct{ offset, n int }{
		{0, 1}, {1, 1}, {3, 2}, {5, 7}, {0, 4}, {8, 4096}, {4099, 65537}, {17, stagingBytes}, {1, stagingBytes + 1}, {0, size}, {size - 1, 1}, {7, 0},
	} {
		data := randomBytes(c.n, uint64(i))
		if err := d.Upload(b, int64(c.offset), data); err != nil {
			t.Fatal(err)
		}
		copy(want[c.offset:], data)
		if !bytes.Equal(download(t, b), want) {
			t.Fatalf("upload of %d bytes at %d went wrong", c.n, c.offset)
		}
		got := make([]byte, c.n)
		if err := d.Download(b, int64(c.offset), got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("download of %d bytes at %d went wrong", c.n, c.offset)
		}
	}
	for _, c := range []struct{ offset, n int64 }{{-1, 1}, {size, 1}, {0, size + 1}, {size - 3, 4}} {
		if d.Upload(b, c.offset, make([]byte, c.n)) == nil || d.Download(b, c.offset, make([]byte, c.n)) == nil {
			t.Errorf("%d bytes at %d of %d are accepted", c.n, c.offset, int64(size))
		}
	}
}
