package limitedfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rows of any number are read, but no row of any length, quoted or not.
func TestRows(t *testing.T) {
	count := func(text io.Reader) (rows, bytes int, last error) {
		for row, err := range Rows(text) {
			if last = err; err != nil {
				break
			}
			rows++
			bytes += len(strings.Join(row, ","))
		}
		return rows, bytes, last
	}
	line := strings.Repeat("0.123456789,", 256) + "end"
	if rows, bytes, err := count(strings.NewReader(strings.Repeat(line+"\n", 100))); rows != 100 || bytes != 100*len(line) || err != nil {
		t.Errorf("%d rows of %d bytes, %v", rows, bytes, err)
	}
	path := strings.Repeat("\"\"\n", 4096)
	if rows, _, err := count(strings.NewReader("a,b\n\"" + path + "\",\"" + path + "\"")); rows != 2 || err != nil {
		t.Errorf("two long paths: %d rows, %v", rows, err)
	}
	for _, c := range []struct{ first, part string }{{"", ","}, {"", "x"}, {"", "\n"}, {"\"", "x,\n"}, {"\"", "\"\""}} {
		read := &endless{part: c.part}
		rows, _, err := count(io.MultiReader(strings.NewReader("a\n"+c.first), read))
		if rows != 1 || !errors.Is(err, ErrRefused) || read.bytes > 4*mostRow {
			t.Errorf("%q and %q for ever: %d rows, %d bytes read, %v", c.first, c.part, rows, read.bytes, err)
		}
	}
}

// endless is a text without an end.
type endless struct {
	part  string
	bytes int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.part[(e.bytes+i)%len(e.part)]
	}
	e.bytes += len(b)
	return len(b), nil
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	content := bytes.Repeat([]byte("x"), 10)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(path, 10); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Read(path, 9); err == nil || !strings.Contains(err.Error(), path+": it has more than 9 bytes") {
		t.Errorf("a larger file: %v", err)
	}
	if _, err := Read(dir, 10); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	f, err := OpenAtMost(path, 15)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	grown, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grown.Write(content); err != nil || grown.Close() != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); len(b) != 15 || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), path+": it has more than 15 bytes") {
		t.Errorf("a file that grows beyond the limit: %d bytes, %v", len(b), err)
	}
	// Its size would fit on no machine: it must be refused unread.
	sparse := filepath.Join(dir, "sparse")
	if err := os.WriteFile(sparse, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	if _, err := Read(sparse, Table); err == nil {
		t.Error("a terabyte was read")
	}
}
