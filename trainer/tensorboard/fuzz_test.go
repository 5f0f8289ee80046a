package tensorboard

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzKeep checks that what is kept of an event file is made of its records, and that all
// of it is kept the second time.
func FuzzKeep(f *testing.F) {
	dir := f.TempDir()
	w, err := Create(dir, 1)
	if err != nil {
		f.Fatal(err)
	}
	err = w.Write(Event{Step: 1, Values: []Value{Scalar("loss", 1)}}, Event{Step: 2, Values: []Value{Scalar("loss", .5), Histogram("w", []float32{1, 2})}})
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	names, err := files(dir)
	if err != nil || len(names) != 1 {
		f.Fatal(names, err)
	}
	good, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, true)
	f.Add(good[:len(good)-3], true)
	f.Add(good[5:], true)
	f.Add([]byte("\x0a\x02\x08\x01"), false)
	f.Fuzz(func(t *testing.T, data []byte, whole bool) {
		if !whole { // one record: a fuzzer does not find the checksums
			data = appendRecord(nil, data)
		}
		keep := func(step int64, tags []string) bool { return step <= 1 && len(tags) > 0 }
		kept, _, err := keptOf(data, keep)
		if err != nil {
			return
		}
		if len(kept) > len(data) {
			t.Fatalf("%d bytes kept of %d", len(kept), len(data))
		}
		if again, _, err := keptOf(kept, keep); err != nil || !bytes.Equal(again, kept) {
			t.Errorf("kept %d bytes, then %d, %v", len(kept), len(again), err)
		}
	})
}
