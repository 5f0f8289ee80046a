// Package limitedfile reads files that may be anybody's.
package limitedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// The limits of files that this program writes, in bytes.
const (
	Settings = 1 << 20 // of a run or a network
	JSON     = 1 << 26 // figures, states, lists of runs and rows per epoch
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

// Read returns the content of a regular file of at most the given number of bytes. It
// refuses a larger one unread. An error names the file, as those of package os do.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	failed := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: err} }
	tooLarge := refusal(fmt.Sprintf("it has more than %d bytes", most))
	if info.Size() > most {
		return failed(tooLarge)
	}
	content := make([]byte, info.Size())
	if _, err := io.ReadFull(f, content); err != nil {
		return failed(err)
	}
	rest, err := io.ReadAll(io.LimitReader(f, most-info.Size()+1)) // what was appended meanwhile
	switch content = append(content, rest...); {
	case err != nil:
		return nil, err
	case int64(len(content)) > most:
		return failed(tooLarge)
	}
	return content, nil
}
