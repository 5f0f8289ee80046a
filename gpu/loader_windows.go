//go:build cgo && windows

package gpu

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var libraryNames = []string{"vulkan-1.dll"}

// openLibrary returns the named library's vkGetInstanceProcAddr. It searches
// only the system folder.
func openLibrary(name string) (unsafe.Pointer, error) {
	library, err := windows.LoadLibraryEx(name, 0, windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
	if err != nil {
		return nil, err
	}
	getProc, err := windows.GetProcAddress(library, "vkGetInstanceProcAddr")
	return pointer(getProc), err
}
