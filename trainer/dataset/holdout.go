package dataset

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize/english"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// ValidationPart is the part of each class that validation takes: a twelfth, which is
// 500 of 6,000 images of Fashion-MNIST.
const ValidationPart = 12

// testPart is the part of each class that becomes the test set of a dataset that has
// none.
const testPart = 6

// StratifiedHoldout splits the indices of labels, which are those of the named classes,
// into those of the images to train on and those held out, both ascending. Of each class,
// one part-th is held out, rounded and at least one image. The choice depends on the
// labels, the seed and the purpose alone: in each class, the images with the smallest
// random 64-bit keys are held out. The key of image i is Philox4x32 of the counter (i, 0,
// 0, purpose) and the seed. It is an error if nothing of a class is left to train on.
func StratifiedHoldout(labels []byte, classes []string, part int, seed uint64, purpose kernels.Purpose) (train, held []uint32, err error) {
	if part < 2 {
		return nil, nil, fmt.Errorf("cannot hold out 1/%d of each class: want a half or less", part)
	}
	keys := keysOf(len(labels), seed, purpose)
	var keysOfClass [MaxClasses][]uint64
	for i, label := range labels {
		keysOfClass[label] = append(keysOfClass[label], keys[i])
	}
	var last [MaxClasses]uint64 // the largest key that is held out
	var ties [MaxClasses]int    // how many images with that key to hold out: the first ones
	for label, keys := range keysOfClass {
		switch len(keys) {
		case 0:
			continue
		case 1:
			return nil, nil, badData("class %q has 1 image: held out, it would leave none to train on", classes[label])
		}
		last[label], ties[label] = smallest(keys, max(1, (len(keys)+part/2)/part))
	}
	train = make([]uint32, 0, len(labels))
	for i, label := range labels {
		tie := keys[i] == last[label] && ties[label] > 0
		if tie {
			ties[label]--
		}
		if tie || keys[i] < last[label] {
			held = append(held, uint32(i))
		} else {
			train = append(train, uint32(i))
		}
	}
	return train, held, nil
}

// smallest returns the n-th smallest key, and how often the n smallest have it.
func smallest(keys []uint64, n int) (key uint64, ties int) {
	const shift = 56 // keys are sorted by their first byte, and then only those with that of the result
	var counts [1 << (64 - shift)]int
	for _, k := range keys {
		counts[k>>shift]++
	}
	first := 0
	for ; n > counts[first]; first++ {
		n -= counts[first]
	}
	var among []uint64
	for _, k := range keys {
		if k>>shift == uint64(first) {
			among = append(among, k)
		}
	}
	slices.Sort(among)
	key = among[n-1]
	at, _ := slices.BinarySearch(among, key)
	return key, n - at
}

// keysOf returns the keys of n images; see [StratifiedHoldout].
func keysOf(n int, seed uint64, purpose kernels.Purpose) []uint64 {
	keys := make([]uint64, n)
	for i := range keys {
		words := kernels.Philox4x32([4]uint32{uint32(i), 0, 0, uint32(purpose)}, [2]uint32{uint32(seed), uint32(seed >> 32)})
		keys[i] = uint64(words[1])<<32 | uint64(words[0])
	}
	return keys
}

// Folds deals the indices of labels, which are those of the named classes, into n folds,
// each ascending. Every fold gets the same number of images of each class, or one more.
// The choice depends on the labels, the seed and the purpose alone, by the keys of
// [StratifiedHoldout]. It is an error if n is below 2, or if a class has fewer than n
// images, since some folds would hold none of it.
func Folds(labels []byte, classes []string, n int, seed uint64, purpose kernels.Purpose) ([][]uint32, error) {
	if n < 2 {
		return nil, fmt.Errorf("cannot deal images into %d folds: want at least 2", n)
	}
	keys := keysOf(len(labels), seed, purpose)
	var ofClass [MaxClasses][]uint32
	for i, label := range labels {
		ofClass[label] = append(ofClass[label], uint32(i))
	}
	folds, next := make([][]uint32, n), 0
	for label, class := range ofClass {
		if len(class) > 0 && len(class) < n {
			return nil, badData("class %q has %s: want at least %d, one for each fold", classes[label], english.Plural(len(class), "image", ""), n)
		}
		slices.SortStableFunc(class, func(a, b uint32) int { return cmp.Compare(keys[a], keys[b]) })
		for _, i := range class {
			folds[next%n] = append(folds[next%n], i)
			next++
		}
	}
	for _, fold := range folds {
		slices.Sort(fold)
	}
	return folds, nil
}
