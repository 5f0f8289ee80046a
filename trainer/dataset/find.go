package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Environment is the environment variable that names the dataset's folder.
const Environment = "FMNIST_DATA"

// systemDir is where Debian's package dataset-fashion-mnist puts the files.
const systemDir = "/usr/share/datasets/fashion-mnist"

// Location is a folder that holds the dataset's four files.
type Location struct {
	Dir   string
	paths [4]string // of the files, in the order of files
}

// Find looks for the dataset. A folder that the user names, by dir (of
// --data-dir) or by $FMNIST_DATA where dir is empty, is the only one looked at:
// going on to another would hide a mistyped path. Else it is the first complete
// one of the user's cache folder and Debian's /usr/share/datasets/fashion-mnist.
// In each folder both the files themselves and torchvision's sub-folder
// FashionMNIST/raw are looked for, each file as NAME.gz or unpacked as NAME.
// The error is [ErrBadData] and names what is missing, and the remedy; the
// Location then has what was found.
func Find(dir string) (Location, error) {
	named, source := namedDir(dir)
	if named != "" {
		loc, missing := look(named)
		switch {
		case len(missing) == len(files):
			return loc, badData("no Fashion-MNIST in %s (%s); %s", named, source, remedy(named))
		case len(missing) > 0:
			return loc, badData("%s in %s (%s); %s", list(missing), loc.Dir, source, remedy(loc.Dir))
		}
		return loc, nil
	}
	return findIn(cacheDir("data"), systemDir)
}

// namedDir returns the folder that the user names and how, or "".
func namedDir(dir string) (path, source string) {
	if dir != "" {
		return dir, "--data-dir"
	}
	return os.Getenv(Environment), "$" + Environment
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

// look finds the files in dir, or in torchvision's sub-folder of it, and
// returns the names of those that are missing from where most are.
func look(dir string) (Location, []string) {
	best, bestMissing := lookIn(dir)
	if loc, missing := lookIn(filepath.Join(dir, "FashionMNIST", "raw")); len(missing) < len(bestMissing) {
		return loc, missing
	}
	return best, bestMissing
}

func lookIn(dir string) (Location, []string) {
	loc := Location{Dir: dir}
	var missing []string
	for i, f := range files {
		// The packed file first: it is what `data fetch` repairs.
		for _, name := range []string{f.gzipName(), f.name} {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				loc.paths[i] = path
				break
			}
		}
		if loc.paths[i] == "" {
			missing = append(missing, f.gzipName())
		}
	}
	return loc, missing
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
