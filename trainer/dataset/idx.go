package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip" // a quarter faster than the standard library's

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// maxContent is the largest uncompressed IDX file that is read, in bytes: twice the
// largest of EMNIST.
const maxContent = 1 << 30

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

// ReadImages reads the images of an IDX file as a split without labels. Like
// [OpenFolder], it turns EMNIST's images upright, by the file's name. Errors are as
// those of [ReadIDX].
func ReadImages(path string) (Split, error) {
	x, err := ReadIDX(path)
	if err != nil {
		return Split{}, err
	}
	s, err := imagesOf(path, x)
	if err == nil && isTransposed(path) {
		s.transpose()
	}
	return s, err
}

// isTransposed reports whether a file is one of EMNIST's, in which rows are columns.
func isTransposed(path string) bool {
	return strings.HasPrefix(strings.ToLower(filepath.Base(path)), "emnist-")
}

// IsIDX reports whether a file begins as an IDX file of unsigned bytes does, plain or
// compressed with gzip. It is false if the file cannot be read.
func IsIDX(path string) bool {
	f, err := limitedfile.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var begin [4]byte
	if _, err := io.ReadFull(f, begin[:]); err != nil {
		return false
	}
	if isGzip(begin[:]) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return false
		}
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			return false
		}
		if _, err := io.ReadFull(unpacked, begin[:]); err != nil {
			return false
		}
	}
	return begin[0] == 0 && begin[1] == 0 && begin[2] == typeByte && begin[3] > 0
}

// ParseIDX interprets the content of an IDX file
// (http://yann.lecun.com/exdb/mnist): two zero bytes, the element type (8,
// unsigned byte), the number of axes, the extent of each axis as a big-endian
// uint32, and exactly as many elements as the extents say. Data is part of content,
// not a copy.
func ParseIDX(content []byte) (IDX, error) { return parseIDX(content, typeByte, 1) }

// The element types of IDX files.
const (
	typeByte  = 0x08 // unsigned byte
	typeInt32 = 0x0c // big-endian; QMNIST's labels
)

// parseIDX interprets an IDX file of an element type, which has size bytes.
func parseIDX(content []byte, element, size int) (IDX, error) {
	if len(content) < 4 {
		return IDX{}, fmt.Errorf("%d bytes are too few for an IDX file", len(content))
	}
	magic := binary.BigEndian.Uint32(content)
	axes := int(magic & 0xff)
	if int(magic>>8) != element || axes == 0 {
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
		// At most 2³⁰ before, so this does not overflow.
		if want *= uint64(extent); want > maxContent {
			return IDX{}, fmt.Errorf("the header announces %v elements, more than %d", shapeString(x.Shape[:i+1]), maxContent)
		}
	}
	got, want := uint64(len(x.Data)), want*uint64(size)
	if got < want {
		return IDX{}, fmt.Errorf("cut short: %d bytes of %d, shape %v", got, want, shapeString(x.Shape))
	} else if got > want {
		return IDX{}, fmt.Errorf("%d bytes after the last of %d elements, shape %v", got-want, want/uint64(size), shapeString(x.Shape))
	}
	return x, nil
}

// parseLabels interprets an IDX file of labels: bytes or, as QMNIST has it, rows of
// integers of which the first is the label.
func parseLabels(content []byte) ([]byte, error) {
	if len(content) < 3 || content[2] != typeInt32 {
		x, err := ParseIDX(content)
		if err == nil && len(x.Shape) != 1 {
			err = fmt.Errorf("data of shape %v, want (N) labels", shapeString(x.Shape))
		}
		return x.Data, err
	}
	x, err := parseIDX(content, typeInt32, 4)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) > 2 || len(x.Data) == 0 {
		return nil, fmt.Errorf("data of shape %v, want (N) or (N, K) labels", shapeString(x.Shape))
	}
	labels := make([]byte, x.Shape[0])
	row := len(x.Data) / len(labels)
	for i := range labels {
		label := binary.BigEndian.Uint32(x.Data[i*row:])
		if label >= MaxClasses {
			return nil, fmt.Errorf("label %d is %d, want 0 to %d", i, int32(label), MaxClasses-1)
		}
		labels[i] = byte(label)
	}
	return labels, nil
}

// readContent reads a file and unpacks it if it is compressed with gzip.
func readContent(path string) ([]byte, error) {
	raw, err := readLimited(path)
	if err != nil || !isGzip(raw) {
		return raw, err
	}
	content, err := gunzip(raw, unpackedSize(raw), maxContent)
	if err != nil {
		return nil, badData("%s: damaged gzip: %v", path, err)
	}
	return content, nil
}

// readLimited reads a whole file of at most maxContent bytes.
func readLimited(path string) ([]byte, error) {
	content, err := limitedfile.Read(path, maxContent)
	if errors.Is(err, limitedfile.ErrRefused) {
		err = badData("%v", err)
	}
	return content, err
}

func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) }

// unpackedSize returns the size that gzip data announce in their last four bytes, at
// most what so many bytes can unpack to.
func unpackedSize(raw []byte) int {
	const mostRatio = 1032 // of deflate
	if len(raw) < 4 {
		return 0
	}
	return min(int(min(binary.LittleEndian.Uint32(raw[len(raw)-4:]), maxContent)), mostRatio*len(raw))
}

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
