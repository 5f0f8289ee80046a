// Package limitedfile reads files that may be anybody's.
package limitedfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
)

// The limits of files that this program writes, in bytes.
const (
	Settings = 1 << 20 // of a run or a network
	Index    = 1 << 22 // a list of runs
	JSON     = 1 << 26 // figures, states and rows per epoch
	Table    = 1 << 30 // a row per step or image
)

// ErrRefused is the error of what is too large or no file.
var ErrRefused = errors.New("refused")

// refusal is an [ErrRefused] that says why.
type refusal string

func (r refusal) Error() string { return string(r) }

// Is makes the error [ErrRefused].
func (refusal) Is(target error) bool { return target == ErrRefused }

// Open opens a regular file. It refuses what is no file, such as a pipe, unopened: opening
// one would wait for its writer.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: refusal("not a regular file; copy it to one")}
	}
	return os.Open(path)
}

// File is a regular file of limited size, to be read once from its beginning.
type File struct {
	file *os.File
	Size int64 // when it was opened
	most int64
	left int64 // of most
}

// OpenAtMost opens a regular file of at most the given number of bytes. It refuses a larger
// one, and reading what was appended beyond that is an error. Errors name the file, as
// those of package os do.
func OpenAtMost(path string, most int64) (*File, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	file := &File{f, info.Size(), most, most}
	if info.Size() > most {
		f.Close()
		return nil, file.failed(file.tooLarge())
	}
	return file, nil
}

// Read implements [io.Reader].
func (f *File) Read(b []byte) (int, error) {
	n, err := f.file.Read(b[:min(int64(len(b)), f.left+1)])
	if int64(n) > f.left {
		n, err = int(f.left), f.failed(f.tooLarge())
	}
	f.left -= int64(n)
	return n, err
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

func (f *File) tooLarge() error {
	return refusal(fmt.Sprintf("it has more than %d bytes", f.most))
}

func (f *File) failed(err error) error {
	return &fs.PathError{Op: "read", Path: f.file.Name(), Err: err}
}

// Read returns the content of a regular file of at most the given number of bytes. It
// refuses a larger one unread. An error names the file, as those of package os do.
func Read(path string, most int64) ([]byte, error) {
	f, err := OpenAtMost(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := make([]byte, f.Size)
	if _, err := io.ReadFull(f, content); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = f.failed(err)
		}
		return nil, err
	}
	rest, err := io.ReadAll(f) // what was appended meanwhile
	if err != nil {
		return nil, err
	}
	return append(content, rest...), nil
}

// mostRow is the most bytes of a row of [Rows]: more than the probabilities of 256 classes or
// the paths of two files take.
const mostRow = 64 << 10

// rowReader reads the text of rows and refuses a long one, whose fields take many times its
// bytes.
type rowReader struct {
	text io.Reader
	left int // of the row; what the CSV reader holds of the next one counts too
}

func (r *rowReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, refusal(fmt.Sprintf("a row has more than %d bytes", mostRow))
	}
	n, err := r.text.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}

// Rows returns the rows of a CSV file, the header first, up to one that is wrong or has more
// than 64 KiB. A row is valid until the next one: the file need not fit into memory.
func Rows(text io.Reader) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		limited := &rowReader{text: text}
		r := csv.NewReader(limited)
		r.ReuseRecord = true
		for {
			limited.left = mostRow
			row, err := r.Read()
			if err == io.EOF || !yield(row, err) || err != nil {
				return
			}
		}
	}
}
