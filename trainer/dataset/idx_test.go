package dataset

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packed returns b as gzip.
func packed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// writeFile stores b under name in a new folder and returns its path.
func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

var small = []byte{0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6} // (2, 3)

func TestReadIDX(t *testing.T) {
	for name, content := range map[string][]byte{"plain": small, "gzip": packed(t, small)} {
		x, err := ReadIDX(writeFile(t, "f", content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.Equal(x.Shape, []int{2, 3}) || !bytes.Equal(x.Data, []byte{1, 2, 3, 4, 5, 6}) {
			t.Errorf("%s: %+v", name, x)
		}
	}
	if _, err := ReadIDX(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

func TestReadIDXRefuses(t *testing.T) {
	gz := packed(t, small)
	damaged := slices.Clone(gz)
	damaged[len(damaged)-6] ^= 1 // of the CRC
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty", nil, "0 bytes are too few"},
		{"text", []byte("<html>not here</html>"), "magic number 0x3c68746d"},
		{"floats", append([]byte{0, 0, 0x0d, 1}, small[4:]...), "magic number 0x00000d01"},
		{"no axes", append([]byte{0, 0, 8, 0}, small[4:]...), "magic number 0x00000800"},
		{"header cut", small[:9], "cut short: 9 bytes, but the header alone has 12"},
		{"data cut", small[:17], "cut short: 5 bytes of 6, shape (2, 3)"},
		{"trailing", append(slices.Clone(small), 7), "1 bytes after the last of 6 elements"},
		{"vast", []byte{0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "announces (4294967295) elements"},
		{"gzip cut", gz[:len(gz)-9], "damaged gzip: unexpected EOF"},
		{"gzip damaged", damaged, "damaged gzip: gzip: invalid checksum"},
		{"gzip header only", gz[:3], "damaged gzip"},
	} {
		path := writeFile(t, "f", c.content)
		_, err := ReadIDX(path)
		if !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: error %q, want ErrBadData with the path and %q", c.name, err, c.want)
		}
	}
}

// A gzip file can unpack to a thousand times its size.
func TestGunzipLimit(t *testing.T) {
	bomb := packed(t, make([]byte, 1<<20))
	if b, err := gunzip(bomb, 0, 1<<20); err != nil || len(b) != 1<<20 {
		t.Errorf("at the limit: %d bytes, %v", len(b), err)
	}
	if _, err := gunzip(bomb, 0, 1<<20-1); err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("above the limit: %v", err)
	}
}

// FuzzParseIDX checks that no input panics and that shape and data agree.
func FuzzParseIDX(f *testing.F) {
	f.Add(small)
	f.Add(small[:7])
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseIDX(b)
		if err != nil {
			return
		}
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		if n != len(x.Data) {
			t.Errorf("shape %v with %d elements", x.Shape, len(x.Data))
		}
	})
}

// An IDX file is told from others by how it begins, packed or not.
func TestIsIDX(t *testing.T) {
	dir := t.TempDir()
	idx := "\x00\x00\x08\x01\x00\x00\x00\x01\x07"
	zipped := string(packed(t, []byte(idx)))
	for content, want := range map[string]bool{idx: true, zipped: true, "": false, "\x00\x00\x08": false, "\x00\x00\x08\x00": false,
		"\x00\x00\x0d\x01": false, "\x89PNG\r\n\x1a\n": false, zipped[:12]: false, "\x1f\x8b": false} {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := IsIDX(path); got != want {
			t.Errorf("%q: %v, want %v", content, got, want)
		}
	}
	if IsIDX(dir) || IsIDX(filepath.Join(dir, "none")) {
		t.Error("a folder or a missing file is taken for an IDX file")
	}
}

// FuzzGunzip checks that no compressed file unpacks to more than the limit, or gives
// labels that are no classes.
func FuzzGunzip(f *testing.F) {
	labels := "\x00\x00\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\x09\x00\x00\x00\x01"
	for _, content := range []string{string(small), labels, strings.Repeat("x", 1<<17), ""} {
		b := packed(f, []byte(content))
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(append(b, b...)) // two members
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		hint := unpackedSize(b)
		if hint < 0 || hint > 1032*len(b) {
			t.Fatalf("%d bytes are expected of %d", hint, len(b))
		}
		content, err := gunzip(b, min(hint, limit), limit)
		if err != nil {
			return
		}
		if len(content) > limit {
			t.Fatalf("unpacked to %d bytes, more than %d", len(content), limit)
		}
		_, _ = parseLabels(content)
	})
}

// FuzzClassNames checks that files of class names give one for each class, or an error.
func FuzzClassNames(f *testing.F) {
	for _, text := range []string{"a\nb\nc", "\ufeffone\r\ntwo\r\nthree\r\n", "1 65 97\n3 66\n", "0 1114112", "a\na"} {
		f.Add([]byte(text), []byte{0, 1, 3})
	}
	f.Fuzz(func(t *testing.T, text, labels []byte) {
		slices.Sort(labels)
		if labels = slices.Compact(labels); len(labels) == 0 {
			return
		}
		for _, read := range []func(string, []string, []byte) ([]string, error){namesFromLines, namesFromMapping} {
			names, err := read("file", linesOf(text), labels)
			if err == nil && len(names) != len(labels) {
				t.Errorf("%d names of %d classes", len(names), len(labels))
			}
		}
	})
}

// FuzzDecodedCache checks that a cache of pictures whose checksum is right gives images of
// the right size, or nothing.
func FuzzDecodedCache(f *testing.F) {
	f.Add([]byte(`{"H":2,"W":3,"C":1,"Grey":0,"Scaled":1,"Bad":[{"Index":1,"Problem":"x"}]}`+"\n123456123456"), 2)
	f.Add([]byte(`{"H":-1,"W":-6,"C":1}`+"\n123456123456"), 2)
	f.Add([]byte(`{"H":2,"W":3,"C":1,"Bad":[{"Index":-1}]}`+"\n123456"), 1)
	path := filepath.Join(f.TempDir(), "cache")
	f.Fuzz(func(t *testing.T, content []byte, n int) {
		if n < 1 {
			return
		}
		sum := sha256.Sum256(content)
		if err := os.WriteFile(path, append(content, sum[:]...), 0o666); err != nil {
			t.Fatal(err)
		}
		d := readDecoded(path, n)
		if d == nil {
			return
		}
		if d.image(n - 1); d.Len() < 1 {
			t.Errorf("images of %v", d.Shape)
		}
		d.problems(make([]classPicture, n))
	})
}
