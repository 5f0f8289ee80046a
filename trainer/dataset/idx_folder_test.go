package dataset

import (
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// idxBytes returns the content of an IDX file.
func idxBytes(element byte, data []byte, shape ...int) []byte {
	b := []byte{0, 0, element, byte(len(shape))}
	for _, extent := range shape {
		b = binary.BigEndian.AppendUint32(b, uint32(extent))
	}
	return append(b, data...)
}

// images returns n images of 20 × 26 × channels as an IDX file: on a background of
// some value, image i has a pixel of value i at row 3, column 5.
func images(n, channels int, background byte) []byte {
	data := make([]byte, n*20*26*channels)
	for i := range data {
		data[i] = background
	}
	for i := range n {
		data[(i*20*26+3*26+5)*channels] = byte(i)
	}
	if channels == 1 {
		return idxBytes(typeByte, data, n, 20, 26)
	}
	return idxBytes(typeByte, data, n, 20, 26, channels)
}

// labels returns n labels as an IDX file: from, from+1, …, from+classes−1, from, …
func labels(n, classes, from int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(from + i%classes)
	}
	return idxBytes(typeByte, data, n)
}

// putIDX writes the four files of a set of 26 classes, 1 to 26.
func putIDX(t testing.TB, dir, prefix, test, suffix string) {
	t.Helper()
	content := map[string][]byte{
		"train-images-idx3-ubyte": images(104, 1, 0), "train-labels-idx1-ubyte": labels(104, 26, 1),
		test + "-images-idx3-ubyte": images(52, 1, 0), test + "-labels-idx1-ubyte": labels(52, 26, 1),
	}
	for name, b := range content {
		if suffix == ".gz" {
			b = packed(t, b)
		}
		put(t, dir, prefix+name+suffix, b)
	}
}

// The names and places that datasets like MNIST are published with.
func TestIDXNames(t *testing.T) {
	for _, c := range []struct{ sub, prefix, test, suffix, open, name string }{
		{".", "", "t10k", "", ".", "set"},
		{".", "", "t10k", ".gz", ".", "set"},
		{"raw", "", "t10k", "", ".", "set"},
		{"KMNIST/raw", "", "t10k", "", ".", "set"},
		{"KMNIST/raw", "", "t10k", "", "KMNIST", "KMNIST"},
		{"KMNIST/raw", "", "t10k", "", "KMNIST/raw", "KMNIST"},
		{"data/KMNIST/raw", "", "t10k", "", ".", "set"},
		{"gzip", "emnist-letters-", "test", ".gz", ".", "emnist-letters"},
		{".", "emnist-letters-", "test", "", "emnist-letters", "emnist-letters"},
		{"EMNIST/raw", "qmnist-", "test", "", "EMNIST/qmnist", "qmnist"},
	} {
		root := filepath.Join(t.TempDir(), "set")
		putIDX(t, filepath.Join(root, c.sub), c.prefix, c.test, c.suffix)
		put(t, root, "other/notes.txt", []byte("nothing"))
		d := open(t, filepath.Join(root, c.open), FolderOptions{})
		if d.Name != c.name || d.Train.N != 104 || d.Test.N != 52 || d.Dir != filepath.Join(root, c.sub) {
			t.Errorf("%+v: %s, %d and %d images, from %s", c, d.Name, d.Train.N, d.Test.N, d.Dir)
		}
		for name, hash := range d.SHA256 {
			if strings.HasSuffix(name, ".gz") || name == c.prefix+"train-images-idx3-ubyte" && hash != hexSHA256(images(104, 1, 0)) {
				t.Errorf("%+v: hashes %v", c, d.SHA256)
			}
		}
		if len(d.SHA256) != 5 || d.SHA256["classes"] != hexSHA256([]byte(strings.Join(d.Classes, "\n"))) {
			t.Errorf("%+v: hashes %v", c, d.SHA256)
		}
	}
	// As Kaggle has it, with dots and in folders of the files' names.
	root := t.TempDir()
	for name, b := range map[string][]byte{
		"train-images.idx3-ubyte": images(4, 1, 0), "train-labels.idx1-ubyte": labels(4, 2, 0),
		"t10k-images-idx3-ubyte/t10k-images-idx3-ubyte": images(4, 1, 0), "t10k-labels-idx1-ubyte/t10k-labels.idx1-ubyte": labels(4, 2, 0),
	} {
		put(t, root, name, b)
	}
	if d := open(t, root, FolderOptions{}); d.Train.N != 4 || d.Test.N != 4 {
		t.Errorf("%d and %d images", d.Train.N, d.Test.N)
	}
}

// Letters 1 to 26 become classes 0 to 25. EMNIST's images are turned.
func TestEMNIST(t *testing.T) {
	root := t.TempDir()
	putIDX(t, root, "emnist-letters-", "test", "")
	var mapping []string
	for i := range 26 {
		mapping = append(mapping, fmt.Sprint(i+1, 'A'+i, 'a'+i))
	}
	put(t, root, "emnist-letters-mapping.txt", []byte(strings.Join(mapping, " \r\n")+"\n"))
	d := open(t, root, FolderOptions{})
	if d.Shape != (Shape{26, 20, 1}) || len(d.Classes) != 26 || d.Classes[0] != "A/a" || d.Classes[25] != "Z/z" {
		t.Fatalf("shape %v, classes %q", d.Shape, d.Classes)
	}
	for _, s := range []Split{d.Train, d.Test} {
		for i := range s.N {
			if s.Labels[i] != byte(i%26) || s.Image(i)[5*20+3] != byte(i) || i > 0 && slices.Max(s.Image(i)) != byte(i) {
				t.Errorf("image %d: label %d, pixel %d", i, s.Labels[i], s.Image(i)[5*20+3])
			}
		}
	}
	if len(d.Notes) != 0 || d.Framing != picture.FrameObject || d.Val.N != 0 {
		t.Errorf("notes %q, framing %s, %d validation images", d.Notes, d.Framing, d.Val.N)
	}
}

// QMNIST's labels are rows of integers.
func TestQMNIST(t *testing.T) {
	root := t.TempDir()
	for _, part := range []string{"train", "test"} {
		var rows []byte
		for i := range 6 {
			for _, x := range []uint32{uint32(i % 3), 7, 4000000000} {
				rows = binary.BigEndian.AppendUint32(rows, x)
			}
		}
		put(t, root, "qmnist-"+part+"-labels-idx2-int", idxBytes(typeInt32, rows, 6, 3))
		put(t, root, "qmnist-"+part+"-images-idx3-ubyte.gz", packed(t, images(6, 1, 0)))
	}
	d := open(t, root, FolderOptions{})
	if want := []byte{0, 1, 2, 0, 1, 2}; !slices.Equal(d.Train.Labels, want) || !slices.Equal(d.Test.Labels, want) {
		t.Errorf("labels %v and %v", d.Train.Labels, d.Test.Labels)
	}
	bad := idxBytes(typeInt32, binary.BigEndian.AppendUint32(nil, 0xffffffff), 1, 1)
	put(t, root, "qmnist-test-labels-idx2-int", bad)
	wantOpenError(t, root, FolderOptions{}, filepath.Join(root, "qmnist-test-labels-idx2-int")+": label 0 is -1, want 0 to 255")
}

// Colour images, a validation set, no test set, and another size.
func TestIDXColour(t *testing.T) {
	root := t.TempDir()
	put(t, root, "train-images-idx4-ubyte", images(24, 3, 200))
	put(t, root, "train-labels-idx1-ubyte", labels(24, 2, 0))
	put(t, root, "val-images-idx4-ubyte", images(4, 3, 200))
	put(t, root, "val-labels-idx1-ubyte", labels(4, 2, 0))
	d := open(t, root, FolderOptions{Seed: 3})
	if d.Shape != (Shape{20, 26, 3}) || d.Train.N != 20 || d.Test.N != 4 || d.Val.N != 4 || d.Framing != picture.FrameCrop {
		t.Errorf("%d, %d and %d images of %v", d.Train.N, d.Test.N, d.Val.N, d.Shape)
	}
	if want := []string{"There are no test images: a sixth of each class, 4 of 24 images, becomes the test set, chosen by seed 3."}; !slices.Equal(d.Notes, want) {
		t.Errorf("notes %q", d.Notes)
	}
	d = open(t, root, FolderOptions{ImageSize: 13})
	if d.Shape != (Shape{13, 13, 3}) || d.Train.Shape != d.Shape || d.Val.Shape != d.Shape || len(d.Train.Images) != 20*13*13*3 || d.Test.Image(3)[0] != 200 || d.Notes[0] != "All images, of 20×26, are scaled and cropped to 13×13." {
		t.Errorf("scaled to %v, notes %q", d.Shape, d.Notes)
	}
}

// The framing, by the background and the colour.
func TestFraming(t *testing.T) {
	for _, c := range []struct {
		background byte
		channels   int
		want       picture.Framing
	}{{0, 1, picture.FrameObject}, {20, 1, picture.FrameObject}, {255, 1, picture.FrameCrop}, {0, 3, picture.FrameCrop}} {
		root := t.TempDir()
		put(t, root, "train-images-idx3-ubyte", images(4, c.channels, c.background))
		put(t, root, "train-labels-idx1-ubyte", labels(4, 2, 0))
		if d := open(t, root, FolderOptions{}); d.Framing != c.want {
			t.Errorf("background %d of %d channels: %s, want %s", c.background, c.channels, d.Framing, c.want)
		}
	}
}

// Names from classes.txt: one for each class, or one for each number.
func TestClassesFile(t *testing.T) {
	for _, c := range []struct {
		text, want string // want separated by commas, or the error's end
	}{
		{"\ufeffzero\none\r\ntwo\nthree\n\n", "one,three"},
		{"first one\n second ", "first one,second"},
		{"one\n", "classes.txt has 1 names, but there are 2 classes"},
		{"zero\none\ntwo\n", "classes.txt has 3 names, but there are 2 classes"},
		{"same\nsame\n", `classes.txt: line 2 is "same": want a name for each class, each once`},
		{"a\n\nb\n", `classes.txt: line 2 is "": want a name for each class, each once`},
	} {
		root := t.TempDir()
		put(t, root, "train-images-idx3-ubyte", images(4, 1, 0))
		put(t, root, "train-labels-idx1-ubyte", idxBytes(typeByte, []byte{1, 3, 1, 3}, 4))
		put(t, root, "classes.txt", []byte(c.text))
		d, err := OpenFolder(t.Context(), root, FolderOptions{})
		got := ""
		if err == nil {
			got = strings.Join(d.Classes, ",")
		} else {
			got = strings.TrimPrefix(err.Error(), root+string(filepath.Separator))
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestIDXRefuses(t *testing.T) {
	at := filepath.Join
	const trainImages, trainLabels, testImages, testLabels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
	good := map[string][]byte{trainImages: images(4, 1, 0), trainLabels: labels(4, 2, 0), testImages: images(4, 1, 0), testLabels: labels(4, 2, 0)}
	for _, c := range []struct {
		name, file string
		content    []byte // nil: no such file
		want       func(root string) string
	}{
		{"no labels", trainLabels, nil, func(root string) string { return "the training labels of " + root + " are missing" }},
		{"no test images", testImages, nil, func(root string) string { return "the test images of " + root + " are missing" }},
		{"counts", testLabels, labels(3, 2, 0), func(root string) string {
			return at(root, testImages) + " holds 4 images, but " + at(root, testLabels) + " holds 3 labels"
		}},
		{"unknown class", testLabels, labels(4, 2, 1), func(root string) string {
			return at(root, testLabels) + " has images of class 2, which " + at(root, trainLabels) + " lacks"
		}},
		{"one class", trainLabels, labels(4, 1, 0), func(root string) string {
			return at(root, testLabels) + " has images of class 1, which " + at(root, trainLabels) + " lacks"
		}},
		{"sizes", testImages, idxBytes(typeByte, make([]byte, 4*6), 4, 2, 3), func(root string) string {
			return at(root, trainImages) + " holds images of 20×26×1, but " + at(root, testImages) + " of 2×3×1"
		}},
		{"no images", trainImages, idxBytes(typeByte, nil, 0, 28, 28), func(root string) string { return at(root, trainImages) + ": holds no images: its shape is (0, 28, 28)" }},
		{"axes", trainImages, idxBytes(typeByte, make([]byte, 8), 4, 2), func(root string) string {
			return at(root, trainImages) + ": holds data of shape (4, 2), want (N, height, width) or (N, height, width, 3) images"
		}},
		{"images as labels", testLabels, images(4, 1, 0), func(root string) string {
			return at(root, testLabels) + ": data of shape (4, 20, 26), want (N) labels"
		}},
		{"damaged", trainImages, []byte("<html>"), func(root string) string {
			return at(root, trainImages) + ": magic number 0x3c68746d, want 0x00000801 (labels) or 0x00000803 (images)"
		}},
	} {
		root := t.TempDir()
		files := maps.Clone(good)
		if files[c.file] = c.content; c.content == nil {
			delete(files, c.file)
		}
		for name, b := range files {
			put(t, root, name, b)
		}
		t.Log(c.name)
		wantOpenError(t, root, FolderOptions{}, c.want(root))
	}
	root := t.TempDir()
	put(t, root, trainImages, images(4, 1, 0))
	put(t, root, trainLabels, labels(4, 1, 3))
	wantOpenError(t, root, FolderOptions{}, root+` has one class only, "3": at least two are needed`)
	wantOpenError(t, at(root, trainImages), FolderOptions{}, at(root, trainImages)+" is a file, not a folder; name the folder that holds it")
	wantOpenError(t, at(root, "absent"), FolderOptions{}, "there is no folder "+at(root, "absent"))
	wantOpenError(t, at(root, "absent", "absent"), FolderOptions{}, "there is no folder "+at(root, "absent", "absent"))
}

// Of several sets in a folder, the user names one.
func TestSeveralIDX(t *testing.T) {
	root := t.TempDir()
	putIDX(t, filepath.Join(root, "MNIST", "raw"), "", "t10k", "")
	raw := filepath.Join(root, "EMNIST", "raw")
	putIDX(t, raw, "emnist-letters-", "test", "")
	putIDX(t, raw, "emnist-digits-", "test", "")
	digits, letters := filepath.Join(raw, "emnist-digits"), filepath.Join(raw, "emnist-letters")
	wantOpenError(t, root, FolderOptions{}, root+" holds 3 datasets; name one of them: "+digits+", "+letters+", "+filepath.Join(root, "MNIST", "raw"))
	for _, path := range []string{digits, letters, filepath.Join(root, "MNIST"), filepath.Join(root, "EMNIST", "emnist-letters")} {
		if d := open(t, path, FolderOptions{}); d.Train.N != 104 {
			t.Errorf("%s: %d images", path, d.Train.N)
		}
	}
}
