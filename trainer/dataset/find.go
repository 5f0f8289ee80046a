package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Environment is the environment variable that names the dataset's folder.
const Environment = "FMNIST_DATA"

// systemDir is where Debian's package dataset-fashion-mnist puts the files.
const systemDir = "/usr/share/datasets/fashion-mnist"

// Location is where the dataset's four files lie.
type Location struct {
	Dir   string      // the folder that holds most of them
	paths [4][]string // of each of files, in the order in which they are tried
}

// Find looks for the dataset. A folder that the user names, by dir (of
// --data-dir) or by $FMNIST_DATA where dir is empty, is the only one looked at:
// going on to another would hide a mistyped path. A leading ~/ in it is the
// user's home folder. Else it is the first complete one of the user's cache folder
// and Debian's /usr/share/datasets/fashion-mnist.
//
// In each folder the files are looked for in the sub-folders, under the names and
// in the packings in which people have them. The error is [ErrBadData] and names
// what is missing, and the remedy; the Location then has what was found.
func Find(dir string) (Location, error) {
	named, source := namedDir(dir)
	if named == "" {
		return findIn(cacheDir("data"), systemDir)
	}
	loc, missing := look(named)
	switch {
	case len(missing) == len(files):
		return loc, badData("no Fashion-MNIST in %s (%s); %s", named, source, remedy(named))
	case len(missing) > 0:
		return loc, badData("%s in %s (%s); %s", list(missing), loc.Dir, source, remedy(loc.Dir))
	}
	return loc, nil
}

// namedDir returns the folder that the user names and how, or "".
func namedDir(dir string) (path, source string) {
	if dir != "" {
		return setting.ExpandHome(dir), "--data-dir"
	}
	return setting.ExpandHome(os.Getenv(Environment)), "$" + Environment
}

// findIn returns the first of dirs, but for empty ones, that has all files.
func findIn(dirs ...string) (Location, error) {
	var searched []string
	var partial Location
	var partialErr error
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		loc, missing := look(dir)
		if len(missing) == 0 {
			return loc, nil
		}
		if len(missing) < len(files) && partialErr == nil {
			partial, partialErr = loc, badData("%s in %s; %s", list(missing), loc.Dir, remedy(""))
		}
		searched = append(searched, dir)
	}
	if partialErr != nil {
		return partial, partialErr
	}
	return Location{}, badData("no Fashion-MNIST in %s; %s, or name its folder by --data-dir or $%s",
		strings.Join(searched, " or "), remedy(""), Environment)
}

// subfolders are where the files lie under a folder that people name: in it, under
// torchvision's root or a project that has it as "data", one level below that
// root, and in a clone of the authors' repository.
var subfolders = []string{"", "FashionMNIST/raw", "raw", "FashionMNIST", "data/FashionMNIST/raw", "data/fashion", "fashion"}

// names are the names a file may have: packed as published and as torchvision
// unpacks it, with the dots that Kaggle and some archivers write, and in the folder
// that these make for it. The packed file comes first: `data fetch` writes it.
func (f file) names() []string {
	dots := strings.Replace(f.name, "-idx", ".idx", 1)
	return []string{f.gzipName(), f.name, dots + ".gz", dots, filepath.Join(f.name, f.name), filepath.Join(f.name, dots)}
}

// look finds the files in dir and its subfolders and returns the names of those
// that are missing. The files of the folder that has most come first.
func look(dir string) (Location, []string) {
	var found []Location
	for _, sub := range subfolders {
		found = append(found, lookIn(filepath.Join(dir, sub)))
	}
	slices.SortStableFunc(found, func(a, b Location) int { return b.files() - a.files() })
	loc := Location{Dir: found[0].Dir}
	var missing []string
	for i, f := range files {
		for _, l := range found {
			loc.paths[i] = append(loc.paths[i], l.paths[i]...)
		}
		if len(loc.paths[i]) == 0 {
			missing = append(missing, f.gzipName())
		}
	}
	return loc, missing
}

// files returns how many of the four files there are.
func (l Location) files() int {
	n := 0
	for _, paths := range l.paths {
		n += min(1, len(paths))
	}
	return n
}

// lookIn finds the files in one folder.
func lookIn(dir string) Location {
	loc := Location{Dir: dir}
	for i, f := range files {
		for _, name := range f.names() {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				loc.paths[i] = append(loc.paths[i], path)
			}
		}
	}
	return loc
}

func list(missing []string) string {
	if len(missing) == 1 {
		return missing[0] + " is missing"
	}
	last := len(missing) - 1
	return strings.Join(missing[:last], ", ") + " and " + missing[last] + " are missing"
}

// remedy says how to get good files into dir, or into the user's cache folder
// where dir is empty or belongs to the system.
func remedy(dir string) string {
	if dir == "" || dir == systemDir {
		return "run `fmnist-gpu data fetch`"
	}
	return fmt.Sprintf("run `fmnist-gpu data fetch --data-dir %s`", quote(dir))
}

// quote makes path one word of a shell, where it is not.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`&|;()<>*?[]#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// cacheDir returns a folder of this program in the user's cache folder, or ""
// where the system names none (no $HOME).
func cacheDir(name string) string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "fmnist-gpu", name)
}
