//go:build cgo

package gpu

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Environment variables that replace the loader's search for drivers. Old
// loaders know only the second; new ones prefer the first.
const (
	driverFiles    = "VK_DRIVER_FILES"
	oldDriverFiles = "VK_ICD_FILENAMES"
)

// driverManifests lists the JSON files that tell the loader which drivers
// there are. It returns none on Windows, where the registry lists them.
func driverManifests() []string {
	for _, variable := range []string{driverFiles, oldDriverFiles} {
		if list := os.Getenv(variable); list != "" {
			return manifestsIn(filepath.SplitList(list))
		}
	}
	return manifestsIn(append(filepath.SplitList(os.Getenv("VK_ADD_DRIVER_FILES")), loaderFolders("icd.d")...))
}

// layerManifests lists the JSON files that tell the loader which layers there
// are.
func layerManifests() []string {
	explicit := filepath.SplitList(os.Getenv("VK_LAYER_PATH"))
	if len(explicit) == 0 {
		explicit = loaderFolders("explicit_layer.d")
	}
	return manifestsIn(append(explicit, loaderFolders("implicit_layer.d")...))
}

// loaderFolders lists where the loader looks for manifests of a kind: under
// the user's and the system's folders for settings and for data.
func loaderFolders(kind string) []string {
	if runtime.GOOS == "windows" {
		return nil
	}
	or := func(variable string, otherwise ...string) []string {
		if list := filepath.SplitList(os.Getenv(variable)); len(list) > 0 {
			return list
		}
		return otherwise
	}
	home := os.Getenv("HOME")
	roots := slices.Concat(
		or("XDG_CONFIG_HOME", filepath.Join(home, ".config")), or("XDG_CONFIG_DIRS", "/etc/xdg"), []string{"/usr/local/etc", "/etc"},
		or("XDG_DATA_HOME", filepath.Join(home, ".local/share")), or("XDG_DATA_DIRS", "/usr/local/share", "/usr/share"))
	if runtime.GOOS == "darwin" {
		roots = append(roots, "/opt/homebrew/etc", "/opt/homebrew/share")
	}
	for i, root := range roots {
		roots[i] = filepath.Join(root, "vulkan", kind)
	}
	return roots
}

// manifestsIn lists the files among paths, and the .json files in the folders
// among them.
func manifestsIn(paths []string) []string {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		found := []string{p}
		if info.IsDir() {
			found, _ = filepath.Glob(filepath.Join(p, "*.json")) // fails only for a malformed pattern
		}
		for _, f := range found {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files
}

// damagedManifest returns the first file that is not JSON, or "".
// One such file makes some loaders fail altogether.
func damagedManifest(files []string) string {
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil && !json.Valid(bytes.TrimPrefix(text, []byte("\ufeff"))) {
			return f
		}
	}
	return ""
}
