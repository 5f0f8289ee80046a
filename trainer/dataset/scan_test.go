package dataset

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"
	"testing/iotest"
)

// A file is read and hashed whole, though it is longer or shorter than it was when it was
// opened, and with room after it.
func TestReadOfAnySize(t *testing.T) {
	content := make([]byte, 3*chunk+5)
	for i := range content {
		content[i] = byte(i ^ i>>8)
	}
	f := file{room: 100}
	for _, length := range []int{0, 1, chunk, len(content)} {
		want := content[:length]
		for _, announced := range []int{0, length - 1, length, length + 1, 2 * len(content)} {
			for name, in := range map[string]io.Reader{"whole": bytes.NewReader(want), "in halves": iotest.HalfReader(bytes.NewReader(want)),
				"with the end": iotest.DataErrReader(bytes.NewReader(want))} {
				hash := sha256.New()
				got, err := f.read(in, max(0, announced), hash)
				if err != nil || !bytes.Equal(got, want) || [32]byte(hash.Sum(nil)) != sha256.Sum256(want) {
					t.Errorf("%d bytes, announced as %d, %s: %d bytes (%v)", length, announced, name, len(got), err)
				}
				if announced == length && cap(got) < length+f.room {
					t.Errorf("%d bytes have room for %d", length, cap(got)-length)
				}
			}
		}
	}
	if _, err := f.read(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(content))), 9, sha256.New()); err != iotest.ErrTimeout {
		t.Errorf("a failing disk: %v", err)
	}
}
