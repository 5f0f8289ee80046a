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
	c := counter
	for range 10 {
		hi0, lo0 := bits.Mul32(m0, c[0])
		hi1, lo1 := bits.Mul32(m1, c[2])
		c = [4]uint32{hi1 ^ c[1] ^ key[0], lo1, hi0 ^ c[3] ^ key[1], lo0}
		key[0] += w0
		key[1] += w1
	}
	return c
}
