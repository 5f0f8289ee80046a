//go:build cgo && !windows

package gpu

import (
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

var libraryNames = func() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libvulkan.1.dylib", "/opt/homebrew/lib/libvulkan.1.dylib", "libMoltenVK.dylib", "/opt/homebrew/lib/libMoltenVK.dylib"}
	}
	return []string{"libvulkan.so.1"}
}()

// openLibrary returns the named library's vkGetInstanceProcAddr.
func openLibrary(name string) (unsafe.Pointer, error) {
	library, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	getProc, err := purego.Dlsym(library, "vkGetInstanceProcAddr")
	return pointer(getProc), err
}
