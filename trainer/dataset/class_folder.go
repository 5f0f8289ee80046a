package dataset

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// classFolders is what a folder with pictures in class folders holds.
type classFolders struct {
	root     string
	classes  []string // sorted
	hasTest  bool
	pictures []classPicture // sorted by path, so those of a split are together
	notes    []string
}

// classPicture is a picture file in a class folder.
type classPicture struct {
	path  string // slash-separated, from the root
	split string // "train", "test" or "val"
	class string
	info  fs.FileInfo // nil if the file cannot be inspected
}

// openClassFolders reads the pictures in class folders in a folder.
func openClassFolders(ctx context.Context, root string, o FolderOptions) (*Dataset, error) {
	c, err := listClassFolders(ctx, root)
	if err != nil {
		return nil, err
	}
	images, err := c.decodeCached(ctx, o)
	if err != nil {
		return nil, err
	}
	return c.dataset(images, o.SkipBad)
}

// listClassFolders finds the classes and pictures in a folder.
func listClassFolders(ctx context.Context, root string) (*classFolders, error) {
	c := &classFolders{root: root}
	folders, loose, err := c.list(root)
	if err != nil {
		return nil, err
	}
	splits, others, err := c.splits(folders)
	switch {
	case err != nil:
		return nil, err
	case len(folders) == 0 && loose > 0:
		return nil, badData("%s holds pictures but no class folders: want a folder of pictures for each class", root)
	case len(folders) == 0:
		return nil, badData("no dataset in %s: it holds neither IDX files nor pictures in class folders", root)
	case len(folders) == 1 && splits["train"] == "" && holdsFolders(filepath.Join(root, folders[0])):
		return nil, badData("%s has one class only, %q: if that folder is the dataset, name it", root, folders[0])
	case splits["train"] == "":
		err = c.listSplit(ctx, "train", "", folders)
	default:
		err = c.listSplits(ctx, splits)
		for _, name := range others {
			c.notes = append(c.notes, fmt.Sprintf("The folder %s is not used: it is not a train, test or val folder that holds class folders.", name))
		}
	}
	if err != nil {
		return nil, err
	}
	if loose > 0 {
		c.notes = append(c.notes, unused(loose, "the class folders"))
	}
	slices.SortFunc(c.pictures, func(a, b classPicture) int { return strings.Compare(a.path, b.path) })
	return c, nil
}

// holdsFolders reports whether there are folders and no pictures in a folder.
func holdsFolders(dir string) bool {
	l, err := listFolder(dir)
	return err == nil && len(l.folders) > 0 && l.pictures == 0
}

// unused returns the note that n pictures outside of folders are not used.
func unused(n int, folders string) string {
	return fmt.Sprintf("%s outside of %s %s not used.", english.Plural(n, "picture", ""), folders, english.PluralWord(n, "is", "are"))
}

// list returns the names of the folders in a folder, sorted, but for those with output of
// this program, which it notes, and the number of pictures in it.
func (c *classFolders) list(dir string) (folders []string, pictures int, err error) {
	l, err := listFolder(dir)
	for _, name := range l.outputs {
		c.notes = append(c.notes, fmt.Sprintf("The folder %s is not used: it holds what this program has written.", filepath.Join(dir, name)))
	}
	return l.folders, l.pictures, err
}

// listing is what is in a folder: the names of folders, sorted, and the number of pictures.
type listing struct {
	folders  []string
	outputs  []string // folders with output of this program, not among the others
	pictures int
}

// listFolder lists a folder.
func listFolder(dir string) (l listing, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, badData("%v", err)
	}
	for _, e := range entries {
		full := filepath.Join(dir, e.Name())
		switch {
		case picture.Ignored(e.Name()):
		case e.IsDir(), e.Type()&fs.ModeSymlink != 0 && isFolder(full):
			if picture.IsOutput(full) || holdsOutputs(full) {
				l.outputs = append(l.outputs, e.Name())
			} else {
				l.folders = append(l.folders, e.Name())
			}
		case picture.IsPicture(e.Name()):
			l.pictures++
		}
	}
	return l, nil
}

// holdsOutputs reports whether there are folders with output of this program, and no
// pictures, in a folder.
func holdsOutputs(dir string) bool {
	entries, _ := os.ReadDir(dir) // a folder that cannot be read is reported as a class
	found := false
	for _, e := range entries {
		if picture.IsPicture(e.Name()) {
			return false
		}
		found = found || !picture.Ignored(e.Name()) && e.IsDir() && picture.IsOutput(filepath.Join(dir, e.Name()))
	}
	return found
}

// splits returns which of the folders are those of splits, and the other ones. A folder
// of a split has a split's name and holds folders but no pictures: otherwise it is a
// class, perhaps of trains.
func (c *classFolders) splits(folders []string) (splits map[string]string, others []string, err error) {
	splits = map[string]string{}
	for _, name := range folders {
		split := splitName(name)
		switch {
		case split == "" || !holdsFolders(filepath.Join(c.root, name)):
			others = append(others, name)
		case splits[split] != "":
			return nil, nil, badData("%s has both %s and %s: rename or remove one", c.root, splits[split], name)
		default:
			splits[split] = name
		}
	}
	if splits["train"] == "" && len(splits) > 0 && len(others) == 0 {
		return nil, nil, badData("%s has %s, but no train", c.root, splits[slices.Sorted(maps.Keys(splits))[0]])
	}
	return splits, others, nil
}

// listSplits lists the classes of the splits, whose folders are given.
func (c *classFolders) listSplits(ctx context.Context, splits map[string]string) error {
	for _, split := range []string{"train", "test", "val"} {
		folder := splits[split]
		if folder == "" {
			continue
		}
		classes, loose, err := c.list(filepath.Join(c.root, folder))
		if err != nil {
			return err
		}
		var unknown []string
		for _, class := range classes {
			if split != "train" && !slices.Contains(c.classes, class) {
				unknown = append(unknown, class)
			}
		}
		if len(unknown) > 0 {
			return badData("%s has classes that %s lacks: %s", filepath.Join(c.root, folder), splits["train"], some(unknown))
		}
		if err := c.listSplit(ctx, split, folder, classes); err != nil {
			return err
		}
		if loose > 0 {
			c.notes = append(c.notes, unused(loose, "the class folders in "+folder))
		}
	}
	c.hasTest = splits["test"] != ""
	return nil
}

// listSplit lists the pictures of the classes in the folder of a split. Those of the
// training images are the dataset's classes.
func (c *classFolders) listSplit(ctx context.Context, split, folder string, classes []string) error {
	if split == "train" {
		c.classes = classes
		if err := checkClasses(filepath.Join(c.root, folder), classes); err != nil {
			return err
		}
	}
	var above []fs.FileInfo
	for _, dir := range []string{c.root, filepath.Join(c.root, folder)} {
		info, err := os.Stat(dir)
		if err != nil {
			return badData("%v", err)
		}
		above = append(above, info)
	}
	for _, class := range classes {
		before := len(c.pictures)
		if err := c.listClass(ctx, classPicture{path: path.Join(folder, class), split: split, class: class}, above); err != nil {
			return err
		}
		if len(c.pictures) == before {
			return badData("the class folder %s holds no pictures", filepath.Join(c.root, folder, class))
		}
	}
	return nil
}

// listClass lists the pictures in a folder of a class and in the folders inside it,
// but not those above it, to which a link may lead. It refuses output of this program
// there, whose pictures are not of the class.
func (c *classFolders) listClass(ctx context.Context, folder classPicture, above []fs.FileInfo) error {
	dir := filepath.Join(c.root, filepath.FromSlash(folder.path))
	outputs, err := picture.Walk(ctx, dir, above, func(inner string, info fs.FileInfo) {
		file := folder
		file.path, file.info = path.Join(folder.path, inner), info
		c.pictures = append(c.pictures, file)
	})
	switch {
	case err != nil && ctx.Err() == nil:
		return badData("%v", err)
	case err == nil && len(outputs) > 0:
		return badData("%s is in the class folder %s but holds what this program has written: move it out of the dataset", outputs[0], dir)
	}
	return err
}

// HasClassFolders reports whether [OpenFolder] would take the folders in a folder for
// classes, or for train, test and val folders with classes in them.
func HasClassFolders(path string) bool {
	set, err := findIDX(path)
	return err == nil && set == nil
}

// dataset makes a dataset of the decoded pictures.
func (c *classFolders) dataset(d *decoded, skipBad bool) (*Dataset, error) {
	if len(d.Bad) > 0 && !skipBad {
		return nil, c.unreadable(d)
	}
	data := &Dataset{
		Info:    Info{Name: folderName(c.root), Classes: c.classes, Shape: d.Shape},
		Framing: picture.FrameCrop,
		Notes:   slices.Concat(c.notes, d.notes(c.pictures)),
		Dir:     c.root,
	}
	pictures := c.dropBad(d)
	for name, split := range map[string]*Split{"train": &data.Train, "test": &data.Test, "val": &data.Val} {
		first := max(0, slices.IndexFunc(pictures, func(p classPicture) bool { return p.split == name }))
		split.Shape = d.Shape
		for _, p := range pictures[first:] {
			if p.split != name {
				break
			}
			class, _ := slices.BinarySearch(c.classes, p.class)
			split.Labels, split.Files = append(split.Labels, byte(class)), append(split.Files, p.path)
		}
		split.N = len(split.Labels)
		split.Images = d.pixels[first*d.Len():][: split.N*d.Len() : split.N*d.Len()]
	}
	if lost := data.without(data.Train); len(lost) > 0 {
		return nil, badData("%s: no picture to train on can be read of %s", c.root, some(lost))
	}
	if c.hasTest && data.Test.N == 0 {
		return nil, badData("%s: no picture of the test set can be read", c.root)
	}
	return data, nil
}

// dropBad removes the pixels of the pictures that cannot be read, and returns the other
// pictures.
func (c *classFolders) dropBad(d *decoded) []classPicture {
	if len(d.Bad) == 0 {
		return c.pictures
	}
	var good []classPicture
	bad := map[int]bool{}
	for _, b := range d.Bad {
		bad[b.Index] = true
	}
	for i, p := range c.pictures {
		if !bad[i] {
			copy(d.image(len(good)), d.image(i))
			good = append(good, p)
		}
	}
	return good
}
