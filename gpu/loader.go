//go:build cgo

package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// load finds the machine's Vulkan loader, once per process, and passes it to
// vulkan-go. It returns vkGetInstanceProcAddr. The library stays loaded: the
// driver's threads may outlive every instance.
var load = sync.OnceValues(func() (unsafe.Pointer, error) {
	getProc, err := findLoader(libraryNames)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"vkCreateInstance", "vkEnumerateInstanceExtensionProperties", "vkEnumerateInstanceLayerProperties"} {
		if _, err := globalProc(getProc, name); err != nil { // vulkan-go would call a null pointer
			return nil, err
		}
	}
	vk.SetGetInstanceProcAddr(getProc)
	if err := vk.Init(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoVulkan, err)
	}
	return getProc, nil
})

// findLoader opens the first of the libraries that exists. vulkan-go itself
// searches for libvulkan.so, which only development packages install on Linux,
// and finds nothing on macOS.
func findLoader(names []string) (unsafe.Pointer, error) {
	var causes []error
	for _, name := range names {
		getProc, err := openLibrary(name)
		if err == nil {
			return getProc, nil
		}
		causes = append(causes, err)
	}
	return nil, fmt.Errorf("%w: cannot load %s; install %s (%s)", ErrNoVulkan,
		strings.Join(names, " or "), libraryRemedy(), oneLine(errors.Join(causes...).Error()))
}

// oneLine joins the lines of a text.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// libraryRemedy says what to install if there is no loader.
func libraryRemedy() string {
	switch runtime.GOOS {
	case "darwin":
		return "the Vulkan SDK or MoltenVK (brew install molten-vk vulkan-loader)"
	case "windows":
		return "the graphics driver from your GPU's vendor"
	}
	return "the Vulkan loader (Debian and Ubuntu: libvulkan1) and your GPU's Vulkan driver (mesa-vulkan-drivers or the vendor's)"
}

// pointer turns the address of C code into a pointer. The detour tells vet
// that the integer is not a Go address.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
