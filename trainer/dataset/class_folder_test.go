package dataset

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// put writes a file below root, and the folders that it is in. Of a picture, it writes
// a PNG or JPEG by the file's name.
func put(t testing.TB, root, name string, content any) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	b, isBytes := content.([]byte)
	if !isBytes {
		var out bytes.Buffer
		var err error
		if strings.ToLower(filepath.Ext(name)) == ".png" {
			err = png.Encode(&out, content.(image.Image))
		} else {
			err = jpeg.Encode(&out, content.(image.Image), &jpeg.Options{Quality: 100})
		}
		if err != nil {
			t.Fatal(err)
		}
		b = out.Bytes()
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// grey returns a picture of one grey value.
func grey(h, w int, value byte) image.Image {
	p := image.NewGray(image.Rect(0, 0, w, h))
	for i := range p.Pix {
		p.Pix[i] = value
	}
	return p
}

// coloured returns a picture of one colour.
func coloured(h, w int, r, g, b byte) image.Image {
	p := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range h * w {
		copy(p.Pix[4*i:], []byte{r, g, b, 255})
	}
	return p
}

// putClasses writes n grey pictures of 8×8 in each class folder, all of different
// value, and returns root.
func putClasses(t testing.TB, root string, n int, folders ...string) string {
	t.Helper()
	for f, folder := range folders {
		for i := range n {
			put(t, root, fmt.Sprintf("%s/%02d.png", folder, i), grey(8, 8, byte(40*f+i)))
		}
	}
	return root
}

// open opens a folder that is good.
func open(t testing.TB, path string, o FolderOptions) *Dataset {
	t.Helper()
	d, err := OpenFolder(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wantOpenError fails the test unless opening a folder fails with one line that is
// this text.
func wantOpenError(t *testing.T, path string, o FolderOptions, want string) {
	t.Helper()
	_, err := OpenFolder(t.Context(), path, o)
	if !errors.Is(err, ErrBadData) || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
}

// firstBytes returns the first byte of each image.
func firstBytes(s Split) (b []byte) {
	for i := range s.N {
		b = append(b, s.Image(i)[0])
	}
	return b
}

func TestClassFoldersWithSplits(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		name  string
		value byte
	}{
		{"Train/tee shirt/b.png", 1}, {"Train/tee shirt/a.PNG", 2}, {"Train/tee shirt/sub/deep/c.png", 3},
		{"Train/Øye 靴/x.png", 4}, {"Train/tee/y.png", 5},
		{"test/tee/1.png", 6}, {"test/tee shirt/1.png", 7},
		{"valid/Øye 靴/1.png", 8},
		{"Train/tee/.hidden.png", 9}, {"Train/.git/1.png", 9}, {"__MACOSX/Train/tee/._y.png", 9},
	} {
		put(t, root, c.name, grey(5, 7, c.value))
	}
	for _, name := range []string{"Train/tee/Thumbs.db", "Train/.DS_Store", "Train/tee/notes.txt", "README.md"} {
		put(t, root, name, []byte("no picture"))
	}
	d := open(t, root, FolderOptions{})
	if want := []string{"tee", "tee shirt", "Øye 靴"}; !slices.Equal(d.Classes, want) || d.Shape != (Shape{5, 7, 1}) {
		t.Errorf("classes %q, shape %v", d.Classes, d.Shape)
	}
	for _, c := range []struct {
		name           string
		got            Split
		images, labels []byte
	}{ // sorted by path: " " comes before "/"
		{"train", d.Train, []byte{2, 1, 3, 5, 4}, []byte{1, 1, 1, 0, 2}},
		{"test", d.Test, []byte{7, 6}, []byte{1, 0}},
		{"val", d.Val, []byte{8}, []byte{2}},
	} {
		if c.got.N != len(c.labels) || !slices.Equal(firstBytes(c.got), c.images) || !slices.Equal(c.got.Labels, c.labels) || c.got.Shape != d.Shape {
			t.Errorf("%s: %d images %v with labels %v, want %v and %v", c.name, c.got.N, firstBytes(c.got), c.got.Labels, c.images, c.labels)
		}
		if d.SHA256[c.name] != hexSHA256(slices.Concat(c.got.Images, c.labels)) {
			t.Errorf("%s: hash %s", c.name, d.SHA256[c.name])
		}
	}
	notes := []string{`The test set has no images of "Øye 靴".`, `The validation set has no images of "tee", "tee shirt".`}
	if !slices.Equal(d.Notes, notes) {
		t.Errorf("notes %q, want %q", d.Notes, notes)
	}
	if d.Name != filepath.Base(root) || d.Dir != root || d.Framing != picture.FrameCrop {
		t.Errorf("name %s, folder %s, framing %s", d.Name, d.Dir, d.Framing)
	}
}

// Pictures of no known class, as competitions have them for the test, are not used.
func TestUnlabelledTest(t *testing.T) {
	root := putClasses(t, t.TempDir(), 6, "train/a", "train/b", "test")
	d := open(t, root, FolderOptions{})
	if d.Train.N != 10 || d.Test.N != 2 || d.Notes[0] != "The folder test is not used: it is not a train, test or val folder that holds class folders." {
		t.Errorf("%d and %d images, notes %q", d.Train.N, d.Test.N, d.Notes)
	}
}

// A sixth of each class becomes the test set. It depends on the seed alone, not on the
// number of CPUs.
func TestClassFoldersWithoutTest(t *testing.T) {
	root := putClasses(t, t.TempDir(), 12, "a", "b", "train") // a class of trains
	put(t, root, "loose.png", grey(8, 8, 0))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	d := open(t, root, FolderOptions{Seed: 7})
	if d.Train.N != 30 || d.Test.N != 6 || d.Val.N != 0 || !slices.Equal(d.Classes, []string{"a", "b", "train"}) {
		t.Fatalf("%d training and %d test images of %q", d.Train.N, d.Test.N, d.Classes)
	}
	if counts := d.Test.counts(); counts[0] != 2 || counts[1] != 2 || counts[2] != 2 {
		t.Errorf("test images of the classes: %v", counts[:3])
	}
	all := slices.Concat(firstBytes(d.Train), firstBytes(d.Test))
	slices.Sort(all)
	if len(slices.Compact(all)) != 36 {
		t.Errorf("an image is lost or there twice: %v", all)
	}
	for i := range d.Train.N {
		if class := d.Train.Labels[i]; d.Train.Image(i)[0]/40 != class {
			t.Errorf("image %d has label %d, but is of class %d", i, class, d.Train.Image(i)[0]/40)
		}
	}
	for _, s := range []Split{d.Train, d.Test, d.Test.Select([]uint32{4, 1})} {
		for i := range s.N {
			class := s.Labels[i]
			if want := fmt.Sprintf("%s/%02d.png", d.Classes[class], s.Image(i)[0]-40*class); s.Files[i] != want {
				t.Errorf("image %d is said to be of the file %q, not %q", i, s.Files[i], want)
			}
		}
	}
	notes := []string{"1 picture outside of the class folders is not used.",
		"There are no test images: a sixth of each class, 6 of 36 images, becomes the test set, chosen by seed 7."}
	if !slices.Equal(d.Notes, notes) {
		t.Errorf("notes %q, want %q", d.Notes, notes)
	}
	runtime.GOMAXPROCS(8)
	if again := open(t, root, FolderOptions{Seed: 7}); !reflect.DeepEqual(d, again) {
		t.Error("eight threads read another dataset")
	}
	if other := open(t, root, FolderOptions{Seed: 8}); slices.Equal(firstBytes(d.Test), firstBytes(other.Test)) {
		t.Error("another seed chooses the same images")
	}
}

// The shape of the images, by that of the pictures.
func TestClassFoldersShape(t *testing.T) {
	small, large := grey(10, 20, 50), grey(97, 20, 50)
	red := coloured(10, 20, 200, 10, 10)
	looksGrey := coloured(10, 20, 50, 50, 50)
	for _, c := range []struct {
		name     string
		pictures []image.Image // the first one of class a, the others of b
		size     int
		want     Shape
		note     string
	}{
		{"equal", []image.Image{small, small, small}, 0, Shape{10, 20, 1}, ""},
		{"colour", []image.Image{red, red, red}, 0, Shape{10, 20, 3}, ""},
		{"grey by content", []image.Image{looksGrey, small, looksGrey}, 0, Shape{10, 20, 1}, ""},
		{"mixed, grey first", []image.Image{small, red, small}, 0, Shape{10, 20, 3}, "2 of 3 pictures are grey; all are read as colour."},
		{"mixed, colour first", []image.Image{red, small, small}, 0, Shape{10, 20, 3}, "2 of 3 pictures are grey; all are read as colour."},
		{"unequal", []image.Image{small, grey(20, 10, 9), small}, 0, Shape{32, 32, 1}, "3 of 3 pictures are scaled and cropped to 32×32."},
		{"large", []image.Image{large, large, large}, 0, Shape{32, 32, 1}, "3 of 3 pictures are scaled and cropped to 32×32."},
		{"large, then small", []image.Image{large, grey(32, 32, 1), grey(32, 32, 1)}, 0, Shape{32, 32, 1}, "1 of 3 pictures is scaled and cropped to 32×32."},
		{"small, then large", []image.Image{small, large, red}, 0, Shape{32, 32, 3}, "3 of 3 pictures are scaled and cropped to 32×32."},
		{"as asked", []image.Image{small, red, large}, 12, Shape{12, 12, 3}, "3 of 3 pictures are scaled and cropped to 12×12."},
		{"own, as asked", []image.Image{grey(12, 12, 1), grey(12, 12, 1), grey(12, 12, 1)}, 12, Shape{12, 12, 1}, ""},
	} {
		root := t.TempDir()
		put(t, root, "train/a/0.png", c.pictures[0])
		put(t, root, "train/b/1.png", c.pictures[1])
		put(t, root, "test/b/2.png", c.pictures[2])
		d := open(t, root, FolderOptions{ImageSize: c.size})
		if d.Shape != c.want || len(d.Train.Images) != 2*c.want.Len() || d.Train.N != 2 || d.Test.N != 1 {
			t.Errorf("%s: %d images of %v, want %v", c.name, d.Train.N, d.Shape, c.want)
		}
		if c.note != "" && !slices.Contains(d.Notes, c.note) || c.note == "" && len(d.Notes) != 1 { // the class that the test set lacks
			t.Errorf("%s: notes %q, want %q", c.name, d.Notes, c.note)
		}
	}
}

// Pixels arrive as they are: in colour, and grey among colour.
func TestClassFoldersPixels(t *testing.T) {
	root := t.TempDir()
	gradient := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range 6 {
		gradient.Set(i%3, i/3, color.RGBA{byte(10 * i), byte(10*i + 1), byte(10*i + 2), 255})
	}
	put(t, root, "train/a/0.png", gradient)
	put(t, root, "train/b/1.png", grey(2, 3, 77))
	put(t, root, "test/a/2.JPG", grey(2, 3, 128))
	d := open(t, root, FolderOptions{})
	want := []byte{0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52}
	if !bytes.Equal(d.Train.Image(0), want) || !bytes.Equal(d.Train.Image(1), bytes.Repeat([]byte{77}, 18)) {
		t.Errorf("images %v and %v", d.Train.Image(0), d.Train.Image(1))
	}
	if !bytes.Equal(d.Test.Images, bytes.Repeat([]byte{128}, 18)) {
		t.Errorf("JPEG %v", d.Test.Images)
	}
}

// vastPNG is the beginning of a PNG of 40,000 × 40,000 pixels.
func vastPNG() []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, 40000)
	chunk = binary.BigEndian.AppendUint32(chunk, 40000)
	chunk = append(chunk, 8, 0, 0, 0, 0) // 8 bits, grey
	b := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func TestUnreadablePictures(t *testing.T) {
	root := putClasses(t, t.TempDir(), 12, "a", "b")
	put(t, root, "a/00.png", []byte("<html>"))
	put(t, root, "b/vast.png", vastPNG())
	if err := os.Symlink("nowhere", filepath.Join(root, "b", "link.png")); err != nil {
		t.Skip(err)
	}
	_, err := OpenFolder(t.Context(), root, FolderOptions{})
	var bad *UnreadableError
	if !errors.As(err, &bad) || !errors.Is(err, ErrBadData) || bad.Total != 26 || len(bad.Problems) != 3 || bad.Dir != root {
		t.Fatalf("error %v", err)
	}
	if want := "3 of 26 pictures in " + root + " cannot be read: a/00.png ("; !strings.HasPrefix(err.Error(), want) ||
		!strings.Contains(err.Error(), ", b/link.png (no such file or directory), b/vast.png (") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want %s…", err, want)
	}
	d := open(t, root, FolderOptions{SkipBad: true})
	if d.Train.N+d.Test.N != 23 || !strings.HasPrefix(d.Notes[0], "3 pictures cannot be read and are left out: a/00.png (") {
		t.Errorf("%d + %d images, notes %q", d.Train.N, d.Test.N, d.Notes)
	}
	for _, s := range []Split{d.Train, d.Test} {
		for i, first := range firstBytes(s) {
			if first == 0 || first/40 != s.Labels[i] {
				t.Errorf("image %d of value %d has label %d", i, first, s.Labels[i])
			}
		}
	}
}

// Of many unreadable pictures, ten are named.
func TestManyUnreadablePictures(t *testing.T) {
	root := putClasses(t, t.TempDir(), 2, "train/a", "train/b", "test/a")
	for i := range 15 {
		put(t, root, fmt.Sprintf("train/a/bad%02d.png", i), []byte("<html>"))
	}
	_, err := OpenFolder(t.Context(), root, FolderOptions{})
	if err == nil || !strings.Contains(err.Error(), "bad09.png") || strings.Contains(err.Error(), "bad10.png") || !strings.HasSuffix(err.Error(), " and 5 more") {
		t.Errorf("error %v", err)
	}
	put(t, root, "train/b/00.png", []byte("<html>"))
	put(t, root, "train/b/01.png", []byte("<html>"))
	wantOpenError(t, root, FolderOptions{SkipBad: true}, root+`: no picture to train on can be read of "b"`)
	putClasses(t, root, 2, "train/a", "train/b")
	put(t, root, "test/a/00.png", []byte{})
	put(t, root, "test/a/01.png", []byte{})
	wantOpenError(t, root, FolderOptions{SkipBad: true}, root+`: no picture of the test set can be read`)
}

func TestClassFoldersRefuse(t *testing.T) {
	at := func(root string, names ...string) string { return filepath.Join(append([]string{root}, names...)...) }
	for _, c := range []struct {
		name  string
		build func(root string)
		want  func(root string) string
	}{
		{"nothing", func(root string) {},
			func(root string) string {
				return "no dataset in " + root + ": it holds neither IDX files nor pictures in class folders"
			}},
		{"pictures alone", func(root string) { putClasses(t, root, 1, ".") },
			func(root string) string {
				return root + " holds pictures but no class folders: want a folder of pictures for each class"
			}},
		{"empty class", func(root string) { putClasses(t, root, 3, "a", "b"); os.MkdirAll(at(root, "c", "sub"), 0o777) },
			func(root string) string { return "the class folder " + at(root, "c") + " holds no pictures" }},
		{"empty class of the test set", func(root string) {
			putClasses(t, root, 2, "train/a", "train/b", "test/a")
			put(t, root, "test/b/notes.txt", []byte("none"))
		},
			func(root string) string { return "the class folder " + at(root, "test", "b") + " holds no pictures" }},
		{"one class", func(root string) { putClasses(t, root, 3, "a") },
			func(root string) string { return root + ` has one class only, "a": at least two are needed` }},
		{"folder above", func(root string) { putClasses(t, root, 3, "pets/cat", "pets/dog") },
			func(root string) string {
				return root + ` has one class only, "pets": if that folder is the dataset, name it`
			}},
		{"one training class", func(root string) { putClasses(t, root, 3, "train/a", "test/a") },
			func(root string) string {
				return at(root, "train") + ` has one class only, "a": at least two are needed`
			}},
		{"unknown class", func(root string) { putClasses(t, root, 2, "train/a", "train/b", "val/c", "val/b") },
			func(root string) string { return at(root, "val") + " has classes that train lacks: c" }},
		{"a name in another encoding", func(root string) { putClasses(t, root, 2, "a", "b\xe9") },
			func(root string) string {
				return root + ` has the class "b\xe9", whose name is not UTF-8: rename its folder`
			}},
		{"one picture", func(root string) { putClasses(t, root, 2, "a"); putClasses(t, root, 1, "b") },
			func(root string) string {
				return root + ` has one image only of class "b", and no test images: at least two of each class are needed`
			}},
		{"no training images", func(root string) { putClasses(t, root, 2, "test/a", "test/b") },
			func(root string) string { return root + " has test, but no train" }},
		{"two validation sets", func(root string) { putClasses(t, root, 1, "train/a", "train/b", "val/a", "validation/a") },
			func(root string) string { return root + " has both val and validation: rename or remove one" }},
		{"too many classes", func(root string) {
			for i := range 257 {
				os.Mkdir(at(root, fmt.Sprint(i)), 0o777)
			}
		}, func(root string) string { return root + " has 257 classes, more than 256" }},
	} {
		root := t.TempDir()
		c.build(root)
		t.Log(c.name)
		wantOpenError(t, root, FolderOptions{}, c.want(root))
	}
	if _, err := OpenFolder(t.Context(), t.TempDir(), FolderOptions{ImageSize: 1025}); err == nil || err.Error() != "image size 1025: want 1 to 1024" {
		t.Errorf("large image size: %v", err)
	}
}

// Images of more than 8 GiB in all are refused before memory is taken for them.
func TestCheckBytes(t *testing.T) {
	if err := checkBytes("dir", 1<<20, Shape{64, 128, 1}); err != nil {
		t.Error(err)
	}
	err := checkBytes("dir", 3<<20, Shape{64, 64, 3})
	if want := "dir: 3145728 images of 64×64×3 are 36.0 GiB, more than 8 GiB: choose a smaller image size"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// What this program has written beside the classes is not one, and within a class it is
// refused.
func TestOutputsAreNoClasses(t *testing.T) {
	for _, mark := range []string{"args.yaml", "predictions.csv", "experiment.yaml", "search.json", "twins.csv", picture.OutputMark} {
		root := putClasses(t, t.TempDir(), 6, "a", "b", "itself", "runs/first")
		put(t, root, "itself/"+mark, []byte(nil))
		put(t, root, "runs/first/"+mark, []byte(nil))
		d := open(t, root, FolderOptions{})
		if !slices.Equal(d.Classes, []string{"a", "b"}) || d.Train.N+d.Test.N != 12 {
			t.Errorf("%s: %d images of the classes %q", mark, d.Train.N+d.Test.N, d.Classes)
		}
		for i, name := range []string{"itself", "runs"} {
			if want := "The folder " + filepath.Join(root, name) + " is not used: it holds what this program has written."; d.Notes[i] != want {
				t.Errorf("%s: note %q, want %q", mark, d.Notes[i], want)
			}
		}
		put(t, root, "runs/comparison.png", grey(8, 8, 0))
		wantOpenError(t, root, FolderOptions{}, fmt.Sprintf("%s is in the class folder %s but holds what this program has written: move it out of the dataset",
			filepath.Join(root, "runs", "first"), filepath.Join(root, "runs")))
	}
	root := putClasses(t, t.TempDir(), 6, "train/a", "train/b", "train/runs/first", "test/a")
	put(t, root, "train/runs/first/args.yaml", []byte(nil))
	if d := open(t, root, FolderOptions{}); !slices.Equal(d.Classes, []string{"a", "b"}) {
		t.Errorf("beside the classes of a split: %q", d.Classes)
	}
}

// Links to files and folders are followed, but not in circles.
func TestLinks(t *testing.T) {
	elsewhere := putClasses(t, t.TempDir(), 3, "b", "more")
	root := putClasses(t, t.TempDir(), 3, "a")
	for link, target := range map[string]string{
		"b":         filepath.Join(elsewhere, "b"),
		"a/more":    filepath.Join(elsewhere, "more"),
		"a/up":      "..",
		"a/self":    ".",
		"a/one.png": filepath.Join(elsewhere, "b", "00.png"),
	} {
		if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(link))); err != nil {
			t.Skip(err)
		}
	}
	d := open(t, root, FolderOptions{})
	counts := d.Train.counts()
	for class, n := range d.Test.counts() {
		counts[class] += n
	}
	if counts[0] != 7 || counts[1] != 3 {
		t.Errorf("%d and %d pictures, want 7 and 3", counts[0], counts[1])
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("every file is readable")
	}
	root := putClasses(t, t.TempDir(), 3, "a", "b")
	if err := os.Chmod(filepath.Join(root, "a", "01.png"), 0); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, root, FolderOptions{}, "1 of 6 pictures in "+root+" cannot be read: a/01.png (permission denied)")
}

func TestOpenFolderCancelled(t *testing.T) {
	root := putClasses(t, t.TempDir(), 50, "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	last := 0
	_, err := OpenFolder(ctx, root, FolderOptions{Progress: func(done, total int) {
		if last = done; done == 10 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || last > 10+runtime.GOMAXPROCS(0) {
		t.Errorf("error %v after %d pictures", err, last)
	}
	if _, err := OpenFolder(ctx, root, FolderOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestProgress(t *testing.T) {
	root := putClasses(t, t.TempDir(), 6, "a", "b")
	var calls []int
	open(t, root, FolderOptions{Progress: func(done, total int) {
		if total != 12 {
			t.Errorf("total %d, want 12", total)
		}
		calls = append(calls, done)
	}})
	if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; !slices.Equal(calls, want) {
		t.Errorf("progress %v", calls)
	}
}

// An image depends on the picture alone, not on those that made a second pass
// necessary.
func TestSecondPass(t *testing.T) {
	root := putClasses(t, t.TempDir(), 8, "a", "b")
	put(t, root, "b/zz.png", coloured(20, 8, 200, 0, 0))
	d := open(t, root, FolderOptions{})
	want := open(t, root, FolderOptions{ImageSize: 32})
	if d.Shape != (Shape{32, 32, 3}) || !maps.Equal(d.SHA256, want.SHA256) || !slices.Equal(d.Notes, want.Notes) {
		t.Errorf("shape %v, notes %q and %q", d.Shape, d.Notes, want.Notes)
	}
}

// An error of the system says nothing about the pictures: it leaves none out, at the first
// one or later.
func TestSystemFails(t *testing.T) {
	root := putClasses(t, t.TempDir(), 6, "a", "b")
	before := openPicture
	t.Cleanup(func() { openPicture = before })
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO} {
		for _, from := range []int32{1, 2, 5} {
			var opened atomic.Int32
			openPicture = func(path string) (image.Image, error) {
				if opened.Add(1) >= from {
					return nil, &fs.PathError{Op: "open", Path: path, Err: cause}
				}
				return before(path)
			}
			_, err := OpenFolder(t.Context(), root, FolderOptions{SkipBad: true})
			if !errors.Is(err, cause) || errors.Is(err, ErrBadData) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v from picture %d on: %v", cause, from, err)
			}
		}
	}
}
