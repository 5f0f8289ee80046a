//go:build cgo

package gpu

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	vk "github.com/vulkan-go/vulkan"
)

// headless is a window without a display (VK_EXT_headless_surface). It counts the surfaces made.
func headless(t *testing.T, made *int) *Window {
	t.Helper()
	requireVulkan(t)
	getProc, err := load()
	must(t, err)
	available, err := instanceExtensions(getProc, "")
	must(t, err)
	extensions := []string{"VK_KHR_surface", "VK_EXT_headless_surface"}
	for _, name := range extensions {
		if !available[name] {
			t.Skipf("skipped: no driver here has %s", name)
		}
	}
	return &Window{Extensions: extensions, Surface: func(instance unsafe.Pointer) (surface uint64, err error) {
		*made++
		create := procAddr(getProc, *(*vk.Instance)(unsafe.Pointer(&instance)), "vkCreateHeadlessSurfaceEXT")
		info := struct {
			kind  int32
			next  uintptr
			flags uint32
		}{kind: 1000256000} // VkHeadlessSurfaceCreateInfoEXT
		r, _, _ := purego.SyscallN(uintptr(create), uintptr(instance), uintptr(unsafe.Pointer(&info)), 0, uintptr(unsafe.Pointer(&surface)))
		return surface, check("vkCreateHeadlessSurfaceEXT", vk.Result(int32(r)))
	}}
}

// Frames are presented while the window is resized and minimised, and after its swapchain
// has become useless or its surface is lost; what is read is what was drawn.
func TestPresent(t *testing.T) {
	made := 0
	d := openDevice(t, Options{Validate: true, Window: headless(t, &made)})
	g, err := d.NewGraphics(viewDesc(t, testTexture(t, d)))
	must(t, err)
	s, err := d.NewScreen()
	must(t, err)
	draw := func(w, h int) bool {
		t.Helper()
		shown, err := s.Draw(Frame{Width: w, Height: h, Clear: [4]float32{0, 0, 1, 1}, Graphics: g, Push: viewPush(w, h),
			Vertices: square(0, 0, float32(w), .5, .5, [4]byte{byte(w), byte(h), 0, 255})})
		must(t, err)
		return shown
	}
	show := func(w, h int) {
		t.Helper()
		for range 4 { // more than are in flight
			if !draw(w, h) {
				t.Fatalf("a frame of %d×%d is not shown", w, h)
			}
		}
		state, err := d.instance.calls.surfaceState(d.physical.handle, d.instance.surface)
		must(t, err)
		wantW, wantH := w, h
		if state.width >= 0 { // SwiftShader's has a size
			wantW, wantH = state.width, state.height
		}
		gotW, gotH, rgba, err := s.Read()
		if err != nil || gotW != wantW || gotH != wantH || rgba[0] != byte(w) || rgba[1] != byte(h) || rgba[2] != 0 {
			t.Fatalf("read %d×%d %v (%v), want %d×%d", gotW, gotH, rgba[:4], err, wantW, wantH)
		}
	}
	show(64, 48)
	show(64, 48)
	show(200, 100)
	for _, size := range [][2]int{{0, 0}, {0, 100}, {200, 0}} {
		if draw(size[0], size[1]) {
			t.Errorf("a minimised window of %v is shown", size)
		}
	}
	show(31, 17)
	for _, r := range []vk.Result{vk.Suboptimal, vk.ErrorOutOfDate} {
		must(t, s.outdated("test", r))
		if !s.chain.stale {
			t.Errorf("after %s the swapchain stays", resultName(int32(r)))
		}
		show(31, 17)
	}
	must(t, s.outdated("test", vk.ErrorSurfaceLost))
	if made != 2 {
		t.Errorf("%d surfaces were made, want one more after the loss", made)
	}
	show(40, 40)
	if err := s.outdated("test", vk.ErrorDeviceLost); !errors.Is(err, ErrDeviceLost) {
		t.Errorf("%v, want ErrDeviceLost", err)
	}
	s.Close()
	s.Close()
}

// A window without a surface, and a device that cannot present, are ErrNoDevice, in one
// line that says so.
func TestNoPresentation(t *testing.T) {
	made := 0
	w := headless(t, &made)
	_, err := Open("0", Options{Window: &Window{Extensions: w.Extensions,
		Surface: func(unsafe.Pointer) (uint64, error) { return 0, errors.New("no display") }}})
	if !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "no display") {
		t.Errorf("without a surface: %v", err)
	}
	in, err := connect(Options{Window: w})
	must(t, err)
	defer in.close()
	must(t, in.openSurface(w))
	p := in.devices[0]
	must(t, in.presents(&p))
	p.extensions = map[string]bool{}
	if _, err := in.open(p, Options{Window: w}); err == nil || !strings.Contains(err.Error(), extSwapchain) {
		t.Errorf("without swapchains: %v", err)
	}
}
