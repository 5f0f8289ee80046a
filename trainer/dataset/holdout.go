package dataset

import (
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// StratifiedHoldout splits the indices of labels into a training part and a
// validation part with perClass images of each class, both ascending. The choice
// depends on the labels and the seed alone: in each class, the images with the
// smallest random 64-bit keys are held out. The key of image i is Philox4x32 of the
// counter (i, 0, 0, PurposeHoldout) and the seed. It is an error if a class that
// occurs has at most perClass images.
func StratifiedHoldout(labels []byte, perClass int, seed uint64) (train, val []uint32, err error) {
	if perClass < 0 {
		return nil, nil, fmt.Errorf("cannot hold out %d images per class: the number is negative", perClass)
	}
	key := func(i int) uint64 {
		words := kernels.Philox4x32([4]uint32{uint32(i), 0, 0, uint32(kernels.PurposeHoldout)}, [2]uint32{uint32(seed), uint32(seed >> 32)})
		return uint64(words[1])<<32 | uint64(words[0])
	}
	keys := make([]uint64, len(labels))
	var classes [256][]uint64
	for i, label := range labels {
		keys[i] = key(i)
		classes[label] = append(classes[label], keys[i])
	}
	var last [256]uint64 // the largest key that is held out
	var ties [256]int    // how many images with that key to hold out: the first ones
	for label, class := range classes {
		if len(class) == 0 || perClass == 0 {
			continue
		}
		if len(class) <= perClass {
			return nil, nil, fmt.Errorf("class %d has %d images, too few to hold out %d and train on the rest", label, len(class), perClass)
		}
		slices.Sort(class)
		last[label] = class[perClass-1]
		for _, k := range class[:perClass] {
			if k == last[label] {
				ties[label]++
			}
		}
	}
	train = make([]uint32, 0, len(labels))
	for i, label := range labels {
		tie := keys[i] == last[label] && ties[label] > 0
		if tie {
			ties[label]--
		}
		if tie || keys[i] < last[label] {
			val = append(val, uint32(i))
		} else {
			train = append(train, uint32(i))
		}
	}
	return train, val, nil
}
