package dataset

import (
	"bytes"
	"compress/gzip"
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
