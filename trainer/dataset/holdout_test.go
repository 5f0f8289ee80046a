package dataset

import (
	"slices"
	"testing"
)

func TestStratifiedHoldout(t *testing.T) {
	labels := make([]byte, 1000)
	for i := range labels {
		labels[i] = byte(i * i % 7)
	}
	train, val, err := StratifiedHoldout(labels, 20, 42)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(train) || !slices.IsSorted(val) {
		t.Error("the indices are not ascending")
	}
	all := slices.Concat(train, val)
	slices.Sort(all)
	for i, index := range all {
		if int(index) != i {
			t.Fatalf("image %d is missing or there twice", i)
		}
	}
	counts := map[byte]int{}
	for _, i := range val {
		counts[labels[i]]++
	}
	for _, class := range []byte{0, 1, 2, 4} { // the squares modulo 7
		if counts[class] != 20 {
			t.Errorf("class %d has %d images held out, want 20", class, counts[class])
		}
	}
	if _, again, _ := StratifiedHoldout(labels, 20, 42); !slices.Equal(val, again) {
		t.Error("the same seed holds out other images")
	}
	for _, seed := range []uint64{43, 42 | 1<<32} {
		if _, other, _ := StratifiedHoldout(labels, 20, seed); slices.Equal(val, other) {
			t.Errorf("seed %d holds out the same images", seed)
		}
	}
}

// Every published result depends on the choice, so it must never change. The
// expected values were computed by a separate implementation in Python.
func TestStratifiedHoldoutIsFixed(t *testing.T) {
	_, val, err := StratifiedHoldout([]byte{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, 2, 42)
	if want := []uint32{3, 4, 7, 10}; err != nil || !slices.Equal(val, want) {
		t.Errorf("held out %v (%v), want %v", val, err, want)
	}
}

func TestStratifiedHoldoutRefuses(t *testing.T) {
	if _, _, err := StratifiedHoldout([]byte{0, 0, 1}, 1, 0); err == nil {
		t.Error("no error though class 1 has nothing left to train on")
	}
	if _, _, err := StratifiedHoldout([]byte{0, 0}, -1, 0); err == nil {
		t.Error("no error for a negative number")
	}
	train, val, err := StratifiedHoldout([]byte{0, 0, 1}, 0, 0)
	if err != nil || len(train) != 3 || len(val) != 0 {
		t.Errorf("nothing held out: %v, %v, %v", train, val, err)
	}
}
