package kernels

import "math/bits"

// Purpose separates the random streams of a step: it is the last word of the
// [Philox4x32] counter.
type Purpose uint32

// The purposes of random bits.
const (
	PurposeDropout Purpose = 1       // plus the dropout layer's number
	PurposeAugment Purpose = 1 << 16 // and the next value; see Augment
	PurposeInit    Purpose = 1 << 17 // initial weights
	PurposeOrder   Purpose = 1 << 18 // order of the training images
	PurposeHoldout Purpose = 1 << 19 // choice of the validation images
	PurposeTestSet Purpose = 1 << 20 // choice of the test images of a dataset that has none
	PurposeFolds   Purpose = 1 << 21 // folds of a dataset's audit
	PurposePrune   Purpose = 1 << 22 // images left out of each epoch
)

// Philox4x32 is the counter-based generator Philox4x32-10 of Salmon, Moraes,
// Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11). It maps
// a counter and a key to four random words using integer arithmetic only, so
// every device draws the same bits for the same (seed, step, sample, purpose).
func Philox4x32(counter [4]uint32, key [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57 // multipliers
		w0, w1 = 0x9E3779B9, 0xBB67AE85 // Weyl increments of the key
	)
	// Arrays would be kept in memory, which takes three times as long.
	c0, c1, c2, c3, k0, k1 := counter[0], counter[1], counter[2], counter[3], key[0], key[1]
	for range 10 {
		hi0, lo0 := bits.Mul32(m0, c0)
		hi1, lo1 := bits.Mul32(m1, c2)
		c0, c1, c2, c3 = hi1^c1^k0, lo1, hi0^c3^k1, lo0
		k0 += w0
		k1 += w1
	}
	return [4]uint32{c0, c1, c2, c3}
}
