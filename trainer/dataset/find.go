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

// Location says where the dataset's four files are.
type Location struct {
	Dir   string      // the folder that holds most of them
	paths [4][]string // for each file, in the order in which they are tried
}

// Find looks for the dataset. If the user names a folder, by dir (--data-dir) or, if
// dir is empty, by $FMNIST_DATA, only that folder is searched: falling back to another
// would hide a mistyped path. A leading ~/ stands for the user's home folder.
// Otherwise Find uses the first complete one of the user's cache folder and Debian's
// /usr/share/datasets/fashion-mnist.
//
// Files are found in common subfolders, under common names, and packed or not. The
// error is [ErrBadData] and names what is missing and the remedy; the Location then
// holds the files that were found.
func Find(dir string) (Location, error) {
	named, source := namedDir(dir)
	if named == "" {
		return findIn(cacheDir("data"), systemDir)
	}
	loc, missing := look(named)
	switch {
	case isFile(named):
		return loc, badData("%s (%s) is a file, not a folder; name the folder that holds it", named, source)
	case len(missing) == len(files):
		return loc, badData("no Fashion-MNIST in %s (%s); %s", named, source, remedy(named))
	case len(missing) > 0:
		return loc, badData("%s in %s (%s); %s", list(missing), loc.Dir, source, remedy(loc.Dir))
	}
	return loc, nil
}

// isFile reports whether path is there but is not a folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// namedDir returns the folder that the user names and how it was named, or "".
func namedDir(dir string) (path, source string) {
	if dir != "" {
		return setting.ExpandHome(dir), "--data-dir"
	}
	return setting.ExpandHome(os.Getenv(Environment)), "$" + Environment
}

// findIn returns the first of the non-empty dirs that has all files.
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
	return Location{}, badData("no Fashion-MNIST in %s; %s, or name its folder with --data-dir or $%s",
		strings.Join(searched, " or "), remedy(""), Environment)
}

// subfolders are where the files may be in a folder that the user names: in the
// folder itself, in torchvision's layout (if the user names its root, FashionMNIST, or
// a project whose "data" is the root), and in a clone of the authors' repository.
var subfolders = []string{"", "FashionMNIST/raw", "raw", "FashionMNIST", "data/FashionMNIST/raw", "data/fashion", "fashion"}

// names are the names that a file may have: packed as published, unpacked as by
// torchvision, with the dots that Kaggle and some archivers write, and in the folder
// that these create for it. The packed file comes first: `data fetch` writes it.
func (f file) names() []string {
	dots := strings.Replace(f.name, "-idx", ".idx", 1)
	return []string{f.gzipName(), f.name, dots + ".gz", dots, filepath.Join(f.name, f.name), filepath.Join(f.name, dots)}
}

// look finds the files in dir and its subfolders, and returns the names of those
// that are missing. Files in the folder that has the most of them come first.
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

// files returns how many of the four files were found.
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

// remedy says how to get good files into dir, or into the user's cache folder if dir
// is empty or belongs to the system.
func remedy(dir string) string {
	if dir == "" || dir == systemDir {
		return "run `fmnist-gpu data fetch`"
	}
	return fmt.Sprintf("run `fmnist-gpu data fetch --data-dir %s`", quote(dir))
}

// quote quotes a path for the shell if necessary.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`&|;()<>*?[]#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// cacheDir returns a folder of this program in the user's cache folder, or "" if the
// system has none (no $HOME).
func cacheDir(name string) string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "fmnist-gpu", name)
}
