package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip" // a quarter faster than the standard library's
)

// maxContent is the largest uncompressed IDX file that is read, in bytes: five
// times the largest of Fashion-MNIST, and little of a machine's memory.
const maxContent = 1 << 28

// IDX is an array of bytes from a file in MNIST's format.
type IDX struct {
	Shape []int
	Data  []byte // row-major, its length is the product of Shape
}

// ReadIDX reads an IDX file of unsigned bytes, plain or compressed with gzip,
// regardless of its name. Errors name the file and are [ErrBadData], unless the file
// cannot be read at all.
func ReadIDX(path string) (IDX, error) {
	content, err := readContent(path)
	if err != nil {
		return IDX{}, err
	}
	x, err := ParseIDX(content)
	if err != nil {
		return IDX{}, badData("%s: %v", path, err)
	}
	return x, nil
}

// ParseIDX interprets the content of an IDX file
// (http://yann.lecun.com/exdb/mnist): two zero bytes, the element type (8,
// unsigned byte), the number of axes, the extent of each axis as a big-endian
// uint32, and exactly as many elements as the extents say. Data is part of content,
// not a copy.
func ParseIDX(content []byte) (IDX, error) {
	if len(content) < 4 {
		return IDX{}, fmt.Errorf("%d bytes are too few for an IDX file", len(content))
	}
	magic := binary.BigEndian.Uint32(content)
	axes := int(magic & 0xff)
	if magic>>8 != 8 || axes == 0 {
		return IDX{}, fmt.Errorf("magic number 0x%08x, want 0x00000801 (labels) or 0x00000803 (images)", magic)
	}
	header := 4 + 4*axes
	if len(content) < header {
		return IDX{}, fmt.Errorf("cut short: %d bytes, but the header alone has %d", len(content), header)
	}
	x := IDX{Shape: make([]int, axes), Data: content[header:]}
	want := uint64(1)
	for i := range x.Shape {
		extent := binary.BigEndian.Uint32(content[4+4*i:])
		x.Shape[i] = int(extent)
		// At most 2²⁸ before, so this does not overflow.
		if want *= uint64(extent); want > maxContent {
			return IDX{}, fmt.Errorf("the header announces %v elements, more than %d", shapeString(x.Shape[:i+1]), maxContent)
		}
	}
	if got := uint64(len(x.Data)); got < want {
		return IDX{}, fmt.Errorf("cut short: %d elements of %d, shape %v", got, want, shapeString(x.Shape))
	} else if got > want {
		return IDX{}, fmt.Errorf("%d bytes after the last of %d elements, shape %v", got-want, want, shapeString(x.Shape))
	}
	return x, nil
}

// readContent reads a file and unpacks it if it is compressed with gzip.
func readContent(path string) ([]byte, error) {
	raw, err := readLimited(path)
	if err != nil || !isGzip(raw) {
		return raw, err
	}
	content, err := gunzip(raw, 0, maxContent)
	if err != nil {
		return nil, badData("%s: damaged gzip: %v", path, err)
	}
	return content, nil
}

// readLimited reads a whole file of at most maxContent bytes.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, badData("%s is not a regular file", path)
	}
	if info.Size() > maxContent {
		return nil, badData("%s has %d bytes; IDX files of at most %d bytes are read", path, info.Size(), maxContent)
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return raw, nil
}

func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) }

// gunzip unpacks raw, at most limit bytes; sizeHint is the expected size, or 0.
func gunzip(raw []byte, sizeHint, limit int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(sizeHint + bytes.MinRead) // so that reading to the end does not grow it
	if _, err := out.ReadFrom(io.LimitReader(r, int64(limit)+1)); err != nil {
		return nil, err
	}
	if out.Len() > limit {
		return nil, fmt.Errorf("unpacks to more than %d bytes", limit)
	}
	return out.Bytes(), nil
}
