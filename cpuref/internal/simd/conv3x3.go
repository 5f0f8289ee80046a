package simd

// Conv3x3Run is the number of pixels that Conv3x3 computes at once, and the least
// number of pixels in a row.
const Conv3x3Run = 4

// Conv3x3 holds the operands of a convolution of one channel with 3×3 filters at
// stride 1, and of what follows it, or of the gradient of its filters.
type Conv3x3 struct {
	X         *float32 // the element that the first pixel's first tap meets
	W         *float32 // [tap][channel]
	Constants *float32 // as of [Winograd]; Conv3x3 needs the bias alone, Conv3x3Weight none
	Y         *float32 // the first pixel or window of the result, or of its gradient

	Line  int // distance between rows of X
	RowW  int // between taps
	Pixel int // between pixels, or windows, of Y
	RowY  int // between rows of Y
	Rows  int // of Y

	// Set by the vector tiers: runs in a row, how far the last one goes back, pixels after
	// them, and channels.
	Runs, BackX, BackY, Rest, Channels int
}
