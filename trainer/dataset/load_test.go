package dataset_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

var names = []string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}

func TestSubset(t *testing.T) {
	d := datasettest.Subset(t)
	if d.Train.N != datasettest.SubsetTrain || d.Test.N != datasettest.SubsetTest {
		t.Fatalf("%d training and %d test images", d.Train.N, d.Test.N)
	}
	// The dataset's first labels, as every tutorial prints them.
	if want := []byte{9, 0, 0, 3, 0, 2, 7, 2, 5, 5}; !bytes.Equal(d.Train.Labels[:10], want) {
		t.Errorf("first training labels %v, want %v", d.Train.Labels[:10], want)
	}
	if want := []byte{9, 2, 1, 1, 6, 1, 4, 6, 5, 7}; !bytes.Equal(d.Test.Labels[:10], want) {
		t.Errorf("first test labels %v, want %v", d.Test.Labels[:10], want)
	}
}

func TestFullDataset(t *testing.T) {
	d := datasettest.Full(t)
	if d.Train.N != 60000 || d.Test.N != 10000 || len(d.SHA256) != 4 {
		t.Fatalf("%d training and %d test images, hashes %v", d.Train.N, d.Test.N, d.SHA256)
	}
	for part, s := range map[string]dataset.Split{"training": d.Train, "test": d.Test} {
		var counts [10]int
		for _, label := range s.Labels {
			counts[label]++
		}
		for class, n := range counts {
			if n != s.N/10 {
				t.Errorf("%s class %d has %d images, want %d", part, class, n, s.N/10)
			}
		}
	}
	var sum int
	for _, x := range d.Train.Images {
		sum += int(x)
	}
	// The mean that torchvision users normalise by is 0.2860.
	if mean := float64(sum) / 255 / float64(len(d.Train.Images)); !(mean > .28595 && mean < .28605) {
		t.Errorf("mean %v, want 0.2860", mean)
	}
	subset := datasettest.Subset(t)
	if !bytes.HasPrefix(d.Train.Images, subset.Train.Images) || !bytes.HasPrefix(d.Train.Labels, subset.Train.Labels) ||
		!bytes.HasPrefix(d.Test.Images, subset.Test.Images) || !bytes.HasPrefix(d.Test.Labels, subset.Test.Labels) {
		t.Error("the subset is not the beginning of the dataset")
	}
	train, val, err := dataset.StratifiedHoldout(d.Train.Labels, d.Classes, dataset.ValidationPart, 42, kernels.PurposeHoldout)
	if err != nil || len(train) != 55000 || len(val) != 5000 {
		t.Errorf("%d + %d images, %v", len(train), len(val), err)
	}
}

// OpenFolder recognises Fashion-MNIST's files by their content.
func TestOpenFolderKnowsFashionMNIST(t *testing.T) {
	d := datasettest.Full(t)
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), idx(t, d, name))
	}
	got, err := dataset.OpenFolder(t.Context(), dir, dataset.FolderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.Dir = dir
	delete(got.SHA256, "classes")                                                  // which Load does not read
	for _, s := range []*dataset.Split{&d.Train, &d.Test, &got.Train, &got.Test} { // wherever they lie in memory
		*s = dataset.Split{N: s.N, Shape: s.Shape, Images: s.Images, Labels: s.Labels}
	}
	if got.Info.Name != "fashion-mnist" || got.Framing != picture.FrameObject || !reflect.DeepEqual(got, d) {
		t.Errorf("%+v with %d and %d images, %s, %q, %v", got.Info, got.Train.N, got.Test.N, got.Framing, got.Notes, got.SHA256)
	}
}

// idx returns the content of one of the four files.
func idx(t *testing.T, d *dataset.Dataset, name string) []byte {
	t.Helper()
	switch name {
	case "train-images-idx3-ubyte":
		return append([]byte{0, 0, 8, 3, 0, 0, 0xea, 0x60, 0, 0, 0, 28, 0, 0, 0, 28}, d.Train.Images...)
	case "train-labels-idx1-ubyte":
		return append([]byte{0, 0, 8, 1, 0, 0, 0xea, 0x60}, d.Train.Labels...)
	case "t10k-images-idx3-ubyte":
		return append([]byte{0, 0, 8, 3, 0, 0, 0x27, 0x10, 0, 0, 0, 28, 0, 0, 0, 28}, d.Test.Images...)
	}
	return append([]byte{0, 0, 8, 1, 0, 0, 0x27, 0x10}, d.Test.Labels...)
}

func pack(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir, cache string) (*dataset.Dataset, error) {
	t.Helper()
	loc, err := dataset.Find(dataset.Search{Dir: dir, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	return dataset.Load(loc)
}

// TestLoadVerifies checks all forms of a good file, and all kinds of bad ones, on a
// copy of the whole dataset.
func TestLoadVerifies(t *testing.T) {
	d := datasettest.Full(t)
	dir := t.TempDir()
	for i, name := range names { // half of them packed, by another program than upstream's
		if content := idx(t, d, name); i < 2 {
			write(t, filepath.Join(dir, name), content)
		} else {
			write(t, filepath.Join(dir, name+".gz"), pack(t, content))
		}
	}
	got, err := load(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Train.Images, d.Train.Images) || !bytes.Equal(got.Test.Labels, d.Test.Labels) {
		t.Error("the copy reads differently")
	}

	flipped := idx(t, d, names[3])
	flipped[100] ^= 1
	short := pack(t, idx(t, d, names[3]))
	short = short[:len(short)/2]
	for _, c := range []struct {
		name    string
		content []byte
	}{
		{"one bit", pack(t, flipped)},
		{"cut short", short},
		{"other data", pack(t, []byte{0, 0, 8, 1, 0, 0, 0, 0})},
		{"too long", pack(t, append(idx(t, d, names[3]), 0))},
		{"empty", nil},
		{"no gzip", []byte("<html>")},
	} {
		path := filepath.Join(dir, names[3]+".gz")
		write(t, path, c.content)
		_, err := load(t, dir, "")
		if !errors.Is(err, dataset.ErrBadData) {
			t.Errorf("%s: error %v, want ErrBadData", c.name, err)
			continue
		}
		var fetch *dataset.FetchError
		if !errors.As(err, &fetch) || fetch.Dir != dir {
			t.Errorf("%s: error %+v, want one that a download to %s mends", c.name, err, dir)
		}
		for _, want := range []string{path, "found ", "expected 5148 bytes with SHA-256 67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", c.name, err, want)
			}
		}
	}
	loc, err := dataset.Find(dataset.Search{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range dataset.Check(loc) {
		if good := i != 3; s.OK != good || (s.Problem == "") != good || s.Name != names[i] || len(s.SHA256) != 64 {
			t.Errorf("status of %s: %+v", names[i], s)
		}
	}
}

// TestUnpackedCopy needs the files in a known packing. The copy in the cache
// is used if it is right and replaced if it is not.
func TestUnpackedCopy(t *testing.T) {
	d := datasettest.Full(t)
	cache := t.TempDir()
	copies := filepath.Join(cache, "unpacked")
	path := filepath.Join(copies, names[0])
	want := idx(t, d, names[0])
	for _, before := range []string{"absent", "right", "changed", "cut short"} {
		switch before {
		case "changed":
			b := slices.Clone(want)
			b[1000] ^= 1
			write(t, path, b)
		case "cut short":
			write(t, path, want[:1000])
		}
		got, err := load(t, d.Dir, cache)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Train.Images, d.Train.Images) || !bytes.Equal(got.Test.Images, d.Test.Images) {
			t.Errorf("copy %s: other images are read", before)
		}
		if all := dataset.Adjacent(got.Train, got.Val, got.Test); !bytes.Equal(all, slices.Concat(d.Train.Images, d.Test.Images)) {
			t.Errorf("copy %s: in memory, the test images do not follow the training images", before)
		}
		if _ = append(got.Train.Images, 1, 2, 3); !bytes.Equal(got.Test.Images, d.Test.Images) {
			t.Errorf("copy %s: what is appended to the training images overwrites the test images", before)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && before == "absent" {
			t.Skipf("%s has files of another packing, which get no unpacked copy", d.Dir)
		}
		if err != nil || !bytes.Equal(b, want) {
			t.Errorf("copy %s before, wrong after (%v)", before, err)
		}
	}
}

func TestAdjacent(t *testing.T) {
	memory := []byte("abcdefgh")
	split := func(b []byte) dataset.Split { return dataset.Split{Images: b} }
	for _, c := range []struct {
		splits []dataset.Split
		want   string // "" for nil
	}{
		{nil, ""},
		{[]dataset.Split{split(memory[:3])}, "abc"},
		{[]dataset.Split{split(memory[:3]), {}, split(memory[3:5])}, "abcde"},
		{[]dataset.Split{split(memory[:3]), split(memory[3:5]), split(memory[5:])}, "abcdefgh"},
		{[]dataset.Split{split(memory[:3]), split(memory[4:5])}, ""},
		{[]dataset.Split{split(memory[3:5]), split(memory[:3])}, ""},
		{[]dataset.Split{split(memory[:3:3]), split(memory[3:5])}, ""}, // adjacent, but nothing shows it: the first slice ends its capacity
		{[]dataset.Split{split(memory), split([]byte("i"))}, ""},
	} {
		if got := dataset.Adjacent(c.splits...); string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("%q: %q, want %q", c.splits, got, c.want)
		}
	}
}

// Without a cache folder, or with one that cannot be written, loading works too,
// only more slowly.
func TestLoadWithoutCache(t *testing.T) {
	d := datasettest.Full(t)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	for _, cache := range []string{"", file} {
		if _, err := load(t, d.Dir, cache); err != nil {
			t.Errorf("cache %q: %v", cache, err)
		}
	}
}
