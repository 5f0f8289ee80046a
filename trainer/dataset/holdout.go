package dataset

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// StratifiedHoldout splits the indices of labels into a training part and a
// validation part with perClass images of each class, both ascending. The
// choice depends on the seed alone: within each class, those images are held
// out whose random 64-bit keys are the smallest, the key of image i being
// Philox4x32 of counter (i, 0, 0, PurposeHoldout) and the seed. It is an error
// if a class that occurs has no more than perClass images.
func StratifiedHoldout(labels []byte, perClass int, seed uint64) (train, val []uint32, err error) {
	if perClass < 0 {
		return nil, nil, fmt.Errorf("hold out %d images a class: the number is negative", perClass)
	}
	type candidate struct {
		key   uint64
		index uint32
	}
	var classes [256][]candidate
	for i, label := range labels {
		words := kernels.Philox4x32([4]uint32{uint32(i), 0, 0, uint32(kernels.PurposeHoldout)}, [2]uint32{uint32(seed), uint32(seed >> 32)})
		classes[label] = append(classes[label], candidate{uint64(words[1])<<32 | uint64(words[0]), uint32(i)})
	}
	for label, class := range classes {
		if len(class) == 0 {
			continue
		}
		if len(class) <= perClass {
			return nil, nil, fmt.Errorf("class %d has %d images, too few to hold out %d and train on the rest", label, len(class), perClass)
		}
		slices.SortFunc(class, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.index, b.index))
		})
		for i, c := range class {
			if i < perClass {
				val = append(val, c.index)
			} else {
				train = append(train, c.index)
			}
		}
	}
	slices.Sort(train)
	slices.Sort(val)
	return train, val, nil
}
