package simd

// Conv3x3Run is the number of pixels that Conv3x3 computes at once, and the least
// number of pixels in a row.
const Conv3x3Run = 4

// Conv3x3 holds the operands of a convolution of one channel with 3×3 filters at
// stride 1, and of what follows it, or of the gradient of its filters.
type Conv3x3 struct {
	X         *float32 // the element that the first pixel's first tap meets
	W         *float32 // [tap][channel]
	Constants *float32 // of the channels, as of [Winograd]
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

// conv3x3With extends an assembly kernel to rows whose pixels are not whole runs: the
// last run then computes some pixels again.
func conv3x3With(vector func(c *Conv3x3)) func(c *Conv3x3, pixels, channels int) {
	return func(c *Conv3x3, pixels, channels int) {
		c.Channels = channels
		c.Runs = (pixels + Conv3x3Run - 1) / Conv3x3Run
		c.BackX = c.Runs*Conv3x3Run - pixels
		c.BackY = c.BackX * c.Pixel
		vector(c)
	}
}

func conv3x3PoolWith(vector func(c *Conv3x3)) func(c *Conv3x3, windows, channels int) {
	return func(c *Conv3x3, windows, channels int) {
		c.Channels, c.Runs, c.BackX, c.BackY = channels, windows, 0, 0
		vector(c)
	}
}

func conv3x3WeightWith(vector func(c *Conv3x3)) func(c *Conv3x3, pixels, channels int) {
	return func(c *Conv3x3, pixels, channels int) {
		c.Channels, c.Runs, c.Rest = channels, pixels/Conv3x3Run, pixels%Conv3x3Run
		vector(c)
	}
}
