package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// systemDir is where Debian's package dataset-fashion-mnist puts the files.
const systemDir = "/usr/share/datasets/fashion-mnist"

// Search says where to look for Fashion-MNIST.
type Search struct {
	// Dir is the only folder to search, if it is not empty: falling back to another
	// would hide a mistyped path. Source is how the user named it, such as a flag's
	// name, for messages; it may be empty.
	Dir, Source string
	// Cache is the folder of this program's caches, such as [DefaultCacheDir]:
	// downloads in its subfolder data, which is searched if Dir is empty, and unpacked
	// copies, which [Load] reads and writes to save time. If it is empty, there are none.
	Cache string
}

// String returns the folder as messages show it: "/data (--data-dir)".
func (s Search) String() string {
	if s.Source == "" {
		return s.Dir
	}
	return s.Dir + " (" + s.Source + ")"
}

// downloads returns the folder of downloads, or "".
func (s Search) downloads() string { return join(s.Cache, "data") }

// join returns a subfolder of dir, or "" if dir is empty.
func join(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// DefaultCacheDir returns this program's folder in the user's cache folder, or "" if
// the system has none for this user.
func DefaultCacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "fmnist-gpu")
}

// FetchError is the error of a Fashion-MNIST that is missing, incomplete or damaged
// where downloading it is a remedy. It is [ErrBadData].
type FetchError struct {
	Text string // what is wrong, in one line
	// Dir is the folder that the missing files belong in, or "" if they belong in the
	// one that [FetchDir] returns when no folder is named.
	Dir string
}

func (e *FetchError) Error() string { return e.Text }

// Is makes the error [ErrBadData].
func (e *FetchError) Is(target error) bool { return target == ErrBadData }

// needFetch returns a [FetchError] about a folder. No user can write to the system's.
func needFetch(dir, format string, args ...any) error {
	if dir == systemDir {
		dir = ""
	}
	return &FetchError{Text: fmt.Sprintf(format, args...), Dir: dir}
}

// Location says where the dataset's four files are.
type Location struct {
	Dir      string      // the folder that holds most of them
	paths    [4][]string // for each file, in the order in which they are tried
	unpacked string      // the folder of unpacked copies; "" for none
}

// Find looks for Fashion-MNIST in s.Dir or, if that is empty, uses the first complete
// one of the downloads in s.Cache and Debian's /usr/share/datasets/fashion-mnist.
//
// Files are found in common subfolders, under common names, and packed or not. The
// error is [ErrBadData], and a [FetchError] unless s.Dir is a file; it names what is
// missing. The Location then holds the files that were found.
func Find(s Search) (Location, error) {
	if s.Dir == "" {
		return findIn(s, s.downloads(), systemDir)
	}
	loc, missing := look(s, s.Dir)
	switch {
	case isFile(s.Dir):
		return loc, badData("%v is a file, not a folder; name the folder that holds it", s)
	case len(missing) == len(files):
		return loc, needFetch(s.Dir, "no Fashion-MNIST in %v", s)
	case len(missing) > 0:
		s.Dir = loc.Dir
		return loc, needFetch(loc.Dir, "%s in %v", list(missing), s)
	}
	return loc, nil
}

// isFile reports whether path is there but is not a folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// findIn returns the first of the non-empty dirs that has all files. The copy of a later
// one is used in place of a damaged file.
func findIn(s Search, dirs ...string) (Location, error) {
	var searched []string
	var partial Location
	var partialErr error
	for n, dir := range dirs {
		if dir == "" {
			continue
		}
		loc, missing := look(s, dir)
		if len(missing) == 0 {
			return loc.or(s, dirs[n+1:]), nil
		}
		if len(missing) < len(files) && partialErr == nil {
			partial, partialErr = loc, needFetch("", "%s in %s", list(missing), loc.Dir)
		}
		searched = append(searched, dir)
	}
	if partialErr != nil {
		return partial, partialErr
	}
	return Location{}, needFetch("", "no Fashion-MNIST in %s", strings.Join(searched, " or "))
}

// or returns the location with the files in other folders as further copies.
func (l Location) or(s Search, dirs []string) Location {
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		other, _ := look(s, dir)
		for i := range l.paths {
			l.paths[i] = slices.Concat(l.paths[i], other.paths[i])
		}
	}
	return l
}

// subfolders are where the files may be in a folder that the user names: in the
// folder itself, in torchvision's layout (if the user names its root, FashionMNIST, or
// a project whose "data" is the root), and in a clone of the authors' repository.
var subfolders = []string{"", "FashionMNIST/raw", "raw", "FashionMNIST", "data/FashionMNIST/raw", "data/fashion", "fashion"}

// names are the names that a file may have: packed as published, unpacked as by
// torchvision, with the dots that Kaggle and some archivers write, and in the folder
// that these create for it. The packed file comes first: [Fetch] writes it.
func (f file) names() []string {
	dots := strings.Replace(f.name, "-idx", ".idx", 1)
	return []string{f.gzipName(), f.name, dots + ".gz", dots, filepath.Join(f.name, f.name), filepath.Join(f.name, dots)}
}

// look finds the files in dir and its subfolders, and returns the names of those
// that are missing. Files in the folder that has the most of them come first.
func look(s Search, dir string) (Location, []string) {
	var found []Location
	for _, sub := range subfolders {
		found = append(found, lookIn(filepath.Join(dir, sub)))
	}
	slices.SortStableFunc(found, func(a, b Location) int { return b.files() - a.files() })
	loc := Location{Dir: found[0].Dir, unpacked: join(s.Cache, "unpacked")}
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
