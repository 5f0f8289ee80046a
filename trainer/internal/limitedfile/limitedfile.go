// Package limitedfile reads whole files that may be anybody's.
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
	JSON     = 1 << 26 // figures, states and lists of runs
	Table    = 1 << 30 // a row per step or image
)

var errNotRegular = errors.New("not a regular file; copy it to one")

// Read returns the content of a regular file of at most the given number of bytes. It
// refuses a larger one, or what is no file, such as a pipe, unread. An error names the
// file, as those of package os do.
func Read(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening, which would wait for a pipe's writer
	if err != nil {
		return nil, err
	}
	refuse := func(why error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: why} }
	if !info.Mode().IsRegular() {
		return refuse(errNotRegular)
	}
	tooLarge := fmt.Errorf("it has more than %d bytes", most)
	if info.Size() > most {
		return refuse(tooLarge)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := make([]byte, info.Size())
	if _, err := io.ReadFull(f, content); err != nil {
		return refuse(err)
	}
	rest, err := io.ReadAll(io.LimitReader(f, most-info.Size()+1)) // what was appended meanwhile
	switch content = append(content, rest...); {
	case err != nil:
		return nil, err
	case int64(len(content)) > most:
		return refuse(tooLarge)
	}
	return content, nil
}
