package dataset

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

var testClasses = []string{"a", "b", "c", "d", "e", "f", "g"}

func TestStratifiedHoldout(t *testing.T) {
	labels := make([]byte, 1000)
	for i := range labels {
		labels[i] = byte(i * i % 7)
	}
	train, val, err := StratifiedHoldout(labels, testClasses, ValidationPart, 42, kernels.PurposeHoldout)
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
	// The squares modulo 7: a twelfth of 143, 286, 286 and 285.
	for class, want := range map[byte]int{0: 12, 1: 24, 2: 24, 4: 24} {
		if counts[class] != want {
			t.Errorf("class %d has %d images held out, want %d", class, counts[class], want)
		}
	}
	if _, again, _ := StratifiedHoldout(labels, testClasses, ValidationPart, 42, kernels.PurposeHoldout); !slices.Equal(val, again) {
		t.Error("the same seed holds out other images")
	}
	for _, seed := range []uint64{43, 42 | 1<<32} {
		if _, other, _ := StratifiedHoldout(labels, testClasses, ValidationPart, seed, kernels.PurposeHoldout); slices.Equal(val, other) {
			t.Errorf("seed %d holds out the same images", seed)
		}
	}
	if _, other, _ := StratifiedHoldout(labels, testClasses, ValidationPart, 42, kernels.PurposeTestSet); slices.Equal(val, other) {
		t.Error("another purpose holds out the same images")
	}
}

// The threshold is that of sorting all keys, with equal ones too.
func TestSmallest(t *testing.T) {
	keys := keysOf(1000, 42, kernels.PurposeHoldout)
	for i := range keys {
		if i%3 == 0 {
			keys[i] = keys[i/9]
		}
		if i > 900 {
			keys[i] %= 7
		}
	}
	sorted := slices.Sorted(slices.Values(keys))
	for n := 1; n <= len(keys); n++ {
		ties := 0
		for _, k := range sorted[:n] {
			if k == sorted[n-1] {
				ties++
			}
		}
		if key, got := smallest(keys, n); key != sorted[n-1] || got != ties {
			t.Fatalf("the smallest %d end with %d times %x, want %d times %x", n, got, key, ties, sorted[n-1])
		}
	}
}

// Every published result depends on the choice, so it must never change. The
// expected values were computed by a separate implementation in Python.
func TestStratifiedHoldoutIsFixed(t *testing.T) {
	_, val, err := StratifiedHoldout([]byte{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, testClasses, 3, 42, kernels.PurposeHoldout)
	if want := []uint32{3, 4, 7, 10}; err != nil || !slices.Equal(val, want) {
		t.Errorf("held out %v (%v), want %v", val, err, want)
	}
}

// The part is rounded, and at least one image.
func TestStratifiedHoldoutRounds(t *testing.T) {
	for n, want := range map[int]int{2: 1, 6: 1, 17: 1, 18: 2, 24: 2, 29: 2, 30: 3, 6000: 500} {
		train, val, err := StratifiedHoldout(make([]byte, n), testClasses, ValidationPart, 42, kernels.PurposeHoldout)
		if err != nil || len(val) != want || len(train) != n-want {
			t.Errorf("%d of %d images held out (%v), want %d", len(val), n, err, want)
		}
	}
}

func TestStratifiedHoldoutRefuses(t *testing.T) {
	if _, _, err := StratifiedHoldout([]byte{0, 0, 1}, testClasses, 2, 0, kernels.PurposeHoldout); !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), `class "b" has 1 image:`) {
		t.Errorf("class b has nothing left to train on: %v", err)
	}
	for _, part := range []int{-1, 0, 1} {
		if _, _, err := StratifiedHoldout([]byte{0, 0}, testClasses, part, 0, kernels.PurposeHoldout); err == nil {
			t.Errorf("no error for part %d", part)
		}
	}
}

func TestFolds(t *testing.T) {
	labels := make([]byte, 100)
	for i := range labels {
		labels[i] = byte(i * i % 7) // 0, 1, 2 and 4: 15, 29, 28 and 28 images
	}
	folds, err := Folds(labels, testClasses, 3, 42, kernels.PurposeFolds)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(folds...)
	slices.Sort(all)
	for i, index := range all {
		if int(index) != i || len(all) != len(labels) {
			t.Fatalf("image %d is missing or there twice", i)
		}
	}
	for f, fold := range folds {
		counts := map[byte]int{}
		for _, i := range fold {
			counts[labels[i]]++
		}
		if !slices.IsSorted(fold) || counts[0] != 5 || counts[1]/9 != 1 || counts[2]/9 != 1 || counts[4]/9 != 1 {
			t.Errorf("fold %d has %v images of each class in the order %v", f, counts, fold)
		}
	}
	if _, err := Folds([]byte{0, 0, 0, 1, 1}, testClasses, 3, 42, kernels.PurposeFolds); !errors.Is(err, ErrBadData) || !strings.Contains(err.Error(), `class "b" has 2 images:`) {
		t.Errorf("a class with fewer images than folds: %v", err)
	}
	for _, n := range []int{-1, 0, 1} {
		if _, err := Folds(labels, testClasses, n, 42, kernels.PurposeFolds); err == nil {
			t.Errorf("%d folds are accepted", n)
		}
	}
}
