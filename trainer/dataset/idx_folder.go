package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// idxName matches the names of files in MNIST's format as they are published:
// train-images-idx3-ubyte, emnist-letters-test-labels-idx1-ubyte.gz,
// qmnist-train-labels-idx2-int, and with the dots that some archivers write.
var idxName = regexp.MustCompile(`(?i)^(?:(.+?)[-_.])?(train|t10k|test|val|valid|validation)[-_.](images|labels)[-.]idx[1-4][-.](?:ubyte|int)(?:\.gz)?$`)

// idxFile is the role of a file in a dataset.
type idxFile struct{ split, kind string } // "train", "test" or "val"; "images" or "labels"

// idxSet is the files of one dataset in MNIST's format.
type idxSet struct {
	path   string // as the user named it
	dir    string
	prefix string // of the names, such as "emnist-letters", or ""
	files  map[idxFile]string
}

// name returns the path by which a user can choose the set.
func (s *idxSet) name() string { return filepath.Join(s.dir, s.prefix) }

// findIDX returns the only dataset in MNIST's format at path, which is a folder or
// FOLDER/PREFIX. It is nil if there are no such files.
func findIDX(path string) (*idxSet, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		sets, err := listIDX(path)
		if err != nil || len(sets) == 0 {
			return nil, err
		}
		return onlyIDX(path, sets)
	case err == nil:
		return nil, badData("%s is a file, not a folder; name the folder that holds it", path)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, badData("%v", err)
	}
	folder, prefix := filepath.Split(filepath.Clean(path))
	sets, err := listIDX(filepath.Clean(folder))
	if err != nil {
		return nil, &MissingError{path}
	}
	sets = slices.DeleteFunc(sets, func(s *idxSet) bool { return s.prefix != prefix })
	if len(sets) == 0 {
		return nil, &MissingError{path}
	}
	return onlyIDX(path, sets)
}

// onlyIDX returns the only one of sets.
func onlyIDX(path string, sets []*idxSet) (*idxSet, error) {
	if len(sets) == 1 {
		sets[0].path = path
		return sets[0], nil
	}
	var names []string
	for _, s := range sets {
		names = append(names, s.name())
	}
	return nil, badData("%s holds %d datasets; name one of them: %s", path, len(sets), some(names))
}

// idxSubfolders are where sets may be in a folder that has none itself: under
// torchvision's root or one level above it, in an archive's folder, and in a clone of
// Fashion-MNIST's repository.
var idxSubfolders = []string{"*", "*/raw", "*/gzip", "data/*/raw", "data/fashion"}

// listIDX returns the datasets in a folder or, if there are none, in its subfolders.
func listIDX(path string) ([]*idxSet, error) {
	sets, err := listIDXIn(path)
	if err != nil || len(sets) > 0 {
		return sets, err
	}
	for _, pattern := range idxSubfolders {
		dirs, _ := fs.Glob(os.DirFS(path), pattern) // the pattern is good
		for _, sub := range dirs {
			if picture.Ignored(filepath.Base(sub)) || !isFolder(filepath.Join(path, sub)) {
				continue
			}
			found, err := listIDXIn(filepath.Join(path, filepath.FromSlash(sub)))
			if err == nil { // a folder that cannot be read is reported if it is a class
				sets = append(sets, found...)
			}
		}
	}
	return sets, nil
}

// isFolder reports whether path is a folder.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// listIDXIn returns the datasets whose files are in dir. Kaggle's archives put each
// file in a folder of its name. Of two copies of a file, the plain one is used.
func listIDXIn(dir string) ([]*idxSet, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, badData("%v", err)
	}
	sets := map[string]*idxSet{}
	for _, e := range entries { // sorted, so a plain file comes before its .gz
		match := idxName.FindStringSubmatch(e.Name())
		if match == nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if isFolder(path) {
			path = inside(path)
		}
		prefix, role := match[1], idxFile{splitName(match[2]), strings.ToLower(match[3])}
		if sets[prefix] == nil {
			sets[prefix] = &idxSet{dir: dir, prefix: prefix, files: map[idxFile]string{}}
		}
		if sets[prefix].files[role] == "" {
			sets[prefix].files[role] = path
		}
	}
	var list []*idxSet
	for _, prefix := range slices.Sorted(maps.Keys(sets)) {
		list = append(list, sets[prefix])
	}
	return list, nil
}

// inside returns the file of MNIST's format in a folder of such a name, or the folder.
func inside(dir string) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); idxName.MatchString(e.Name()) && !isFolder(path) {
			return path
		}
	}
	return dir
}

// splitName returns the common name of a split, "train", "test" or "val", or "".
func splitName(name string) string {
	switch strings.ToLower(name) {
	case "train":
		return "train"
	case "test", "t10k":
		return "test"
	case "val", "valid", "validation":
		return "val"
	}
	return ""
}

// open reads the dataset.
func (s *idxSet) open(ctx context.Context, o FolderOptions) (*Dataset, error) {
	d := &Dataset{Dir: s.dir, SHA256: map[string]string{}}
	d.Name = s.prefix
	if d.Name == "" {
		d.Name = folderName(s.path)
	}
	splits := map[string]*Split{"train": &d.Train, "test": &d.Test, "val": &d.Val}
	if err := s.read(ctx, splits, d.SHA256); err != nil {
		return nil, err
	}
	for _, name := range []string{"test", "val"} {
		if other := splits[name]; other.N > 0 && other.Shape != d.Train.Shape {
			return nil, badData("%s holds images of %v, but %s of %v", s.files[idxFile{"train", "images"}], d.Train.Shape,
				s.files[idxFile{name, "images"}], other.Shape)
		}
	}
	if err := s.nameClasses(d, splits); err != nil {
		return nil, err
	}
	if isFashion(d.SHA256) {
		d.Name = FashionMNIST.Name
	}
	d.Framing = framing(d.Train)
	own := d.Train.Shape
	for _, split := range splits {
		if err := split.resize(ctx, s.name(), o.ImageSize); err != nil {
			return nil, err
		}
	}
	if d.Shape = d.Train.Shape; d.Shape != own {
		d.Notes = append(d.Notes, fmt.Sprintf("All images, of %d×%d, are scaled and cropped to %d×%d.", own.H, own.W, d.H, d.W))
	}
	return d, nil
}

// folderName returns the name of a dataset in a folder: the folder's, or that of
// the one above it if it is called raw or gzip, as torchvision and EMNIST have it.
func folderName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if base := filepath.Base(path); base == "raw" || base == "gzip" {
		path = filepath.Dir(path)
	}
	return filepath.Base(path)
}

// read reads the files into the splits, and their hashes.
func (s *idxSet) read(ctx context.Context, splits map[string]*Split, hashes map[string]string) error {
	for _, role := range []idxFile{{"train", "images"}, {"train", "labels"}, {"test", "images"}, {"test", "labels"}, {"val", "images"}, {"val", "labels"}} {
		other := idxFile{role.split, "images"}
		if role.kind == "images" {
			other.kind = "labels"
		}
		needed := role.split == "train" || s.files[other] != ""
		if needed && s.files[role] == "" {
			return badData("the %s %s of %s are missing", map[string]string{"train": "training", "test": "test", "val": "validation"}[role.split], role.kind, s.name())
		}
	}
	contents := map[idxFile]*[]byte{}
	g, ctx := errgroup.WithContext(ctx)
	for role, path := range s.files {
		content := new([]byte)
		contents[role] = content
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			*content, err = readContent(path)
			if err != nil && !errors.Is(err, ErrBadData) {
				err = badData("%v", err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for role, content := range contents {
		hashes[strings.TrimSuffix(filepath.Base(s.files[role]), ".gz")] = hexSHA256(*content)
	}
	for name, split := range splits {
		images, labels := idxFile{name, "images"}, idxFile{name, "labels"}
		if contents[images] == nil {
			continue
		}
		var err error
		if *split, err = s.split(images, *contents[images], labels, *contents[labels]); err != nil {
			return err
		}
	}
	return nil
}

// split interprets two files.
func (s *idxSet) split(imagesFile idxFile, images []byte, labelsFile idxFile, labels []byte) (Split, error) {
	imagesPath, labelsPath := s.files[imagesFile], s.files[labelsFile]
	x, err := ParseIDX(images)
	if err != nil {
		return Split{}, badData("%s: %v", imagesPath, err)
	}
	classes, err := parseLabels(labels)
	if err != nil {
		return Split{}, badData("%s: %v", labelsPath, err)
	}
	split, err := newSplit(imagesPath, x, labelsPath, classes)
	if err == nil && isTransposed(imagesPath) {
		split.transpose()
	}
	return split, err
}

// transpose exchanges the rows and columns of all images.
func (s *Split) transpose() {
	old := make([]byte, s.Len())
	for i := range s.N {
		image := s.Image(i)
		copy(old, image)
		for y := range s.H {
			for x := range s.W {
				copy(image[(x*s.H+y)*s.C:], old[(y*s.W+x)*s.C:][:s.C])
			}
		}
	}
	s.H, s.W = s.W, s.H
}

// resize scales and crops all images to size × size, unless size is 0.
func (s *Split) resize(ctx context.Context, path string, size int) error {
	if s.N == 0 || size == 0 || s.H == size && s.W == size {
		return nil
	}
	to := Shape{H: size, W: size, C: s.C}
	if err := checkBytes(path, s.N, to); err != nil {
		return err
	}
	resized := Split{N: s.N, Shape: to, Images: make([]byte, s.N*to.Len()), Labels: s.Labels}
	err := parallel(ctx, s.N, func(i int) error {
		copy(resized.Image(i), picture.Bytes(picture.Crop(s.Picture(i), size, size), s.C))
		return nil
	})
	*s = resized
	return err
}
