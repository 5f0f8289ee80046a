package kernels

import "fmt"

// Flip says which samples are mirrored left to right.
type Flip uint32

// FlipAlternating mirrors an image in every other epoch; a hash of the image's
// index decides whether it starts with the first or the second (Keller Jordan,
// "94% on CIFAR-10 in 3.29 seconds", 2024, section 3.6).
const (
	FlipNone Flip = iota
	FlipRandom
	FlipAlternating
)

// Augment says how [Gather] augments the samples of a batch. The zero value
// changes nothing. Gather works on bytes in integer arithmetic, so every device
// produces the same bits: an output pixel copies one pixel of the image, or is
// 0 if that lies outside. In this order an image is rotated about its centre,
// mirrored, cropped from a padded image, and partly erased.
//
// The random words of sample i of the batch at step t, block b, are
//
//	Philox4x32({b, i, t, PurposeAugment}, seed)
//
// and (word·n) >> 32 draws a number below n. The words of block 0 choose the
// row of Rotations, FlipRandom (mirrored if the word is below 2³¹), and the
// crop's top and left, each below 2·Crop+1. The words of block 1 choose whether
// to erase (if the word is below Erase), the entry of Erasures, and the
// rectangle's top and left, each below the number of positions where it fits.
// FlipAlternating mirrors if bit 0 of the first word of
// Philox4x32({image, 0, 0, PurposeAugment+1}, seed) differs from bit 0 of the epoch.
type Augment struct {
	Flip  Flip
	Crop  int    // pixels of padding on each side
	Erase uint32 // erased if the random word is below this; 0 never erases
}

// AugmentRotations and AugmentErasures are the numbers of angles and rectangles
// in the tables of this project's plans. Gather accepts any number.
const (
	AugmentRotations = 4096
	AugmentErasures  = 1024
)

// AugmentDraw is what [Gather] does to one sample.
type AugmentDraw struct {
	Cos, Sin   int32 // of the rotation, times 2¹⁶
	Flip       bool
	Down, Over int // of the crop: output pixel (h, w) takes (h+Down, w+Over)

	// The erased rectangle, empty for none.
	EraseTop, EraseLeft, EraseHeight, EraseWidth int
}

// Draw returns the augmentation of sample i of a batch, where image is its
// index in the dataset and h×w its size. The tables are those of [Gather], nil
// where it has none.
func (a Augment) Draw(s State, i, image uint32, h, w int, rotations, erasures []uint32) AugmentDraw {
	key := [2]uint32{uint32(s.Seed), uint32(s.Seed >> 32)}
	words := Philox4x32([4]uint32{0, i, s.Step, uint32(PurposeAugment)}, key)
	below := func(word uint32, n int) int { return int(uint64(word) * uint64(n) >> 32) }
	d := AugmentDraw{Cos: 1 << 16}
	if len(rotations) > 0 {
		entry := below(words[0], len(rotations)/2)
		d.Cos, d.Sin = int32(rotations[2*entry]), int32(rotations[2*entry+1])
	}
	switch a.Flip {
	case FlipRandom:
		d.Flip = words[1] < 1<<31
	case FlipAlternating:
		hash := Philox4x32([4]uint32{image, 0, 0, uint32(PurposeAugment + 1)}, key)[0]
		d.Flip = (hash^s.Epoch)&1 != 0
	}
	d.Down, d.Over = below(words[2], 2*a.Crop+1)-a.Crop, below(words[3], 2*a.Crop+1)-a.Crop
	words = Philox4x32([4]uint32{1, i, s.Step, uint32(PurposeAugment)}, key)
	if words[0] < a.Erase {
		entry := erasures[below(words[1], len(erasures))]
		d.EraseHeight, d.EraseWidth = int(entry>>16), int(entry&0xffff)
		d.EraseTop, d.EraseLeft = below(words[2], h-d.EraseHeight+1), below(words[3], w-d.EraseWidth+1)
	}
	return d
}

// Source returns the pixel of the h×w image that output pixel (y, x) copies,
// and whether there is one.
func (d AugmentDraw) Source(y, x, h, w int) (sy, sx int, inside bool) {
	if y >= d.EraseTop && y < d.EraseTop+d.EraseHeight && x >= d.EraseLeft && x < d.EraseLeft+d.EraseWidth {
		return 0, 0, false
	}
	y, x = y+d.Down, x+d.Over
	if y < 0 || y >= h || x < 0 || x >= w {
		return 0, 0, false // padding, added after the rotation
	}
	if d.Flip {
		x = w - 1 - x
	}
	// Twice the distance from the centre, a whole number; rotated back and
	// scaled by 2¹⁶; then halved and rounded to the nearest pixel, ties up.
	v, u := int32(2*y-(h-1)), int32(2*x-(w-1))
	sy = int((d.Cos*v - d.Sin*u + int32(h)<<16) >> 17)
	sx = int((d.Cos*u + d.Sin*v + int32(w)<<16) >> 17)
	return sy, sx, sy >= 0 && sy < h && sx >= 0 && sx < w
}

// check returns an error if the augmentation does not fit its tables or images
// of h×w pixels.
func (a Augment) check(h, w int, rotations, erasures Tensor) error {
	if a.Flip > FlipAlternating {
		return fmt.Errorf("unknown flip %d", a.Flip)
	}
	if a.Crop < 0 || a.Crop > min(h, w) {
		return fmt.Errorf("crop of %d pixels: want 0 to %d", a.Crop, min(h, w))
	}
	if h > 1<<12 || w > 1<<12 {
		return fmt.Errorf("images of %d×%d pixels are too large to augment: want at most 4096×4096", h, w)
	}
	if !rotations.Absent() {
		if err := first(rank("Rotations", rotations, 2), want("Rotations", rotations, rotations.Dim(0), 2)); err != nil {
			return err
		}
	}
	if erasures.Absent() != (a.Erase == 0) {
		return fmt.Errorf("threshold Erase is %d and Erasures %v: want both or neither", a.Erase, erasures)
	}
	if !erasures.Absent() {
		return rank("Erasures", erasures, 1)
	}
	return nil
}

// enabled reports whether the augmentation changes anything.
func (a Augment) enabled(rotations Tensor) bool { return a != Augment{} || !rotations.Absent() }
