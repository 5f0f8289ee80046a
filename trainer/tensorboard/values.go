package tensorboard

import (
	"bytes"
	"fmt"
	"image"
	_ "image/png" // Image takes a PNG file
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/internal/eventpb"
)

// The values have the form of TensorFlow 1, as PyTorch writes them: every TensorBoard
// reads it, and it takes half the bytes of TensorFlow 2's.

// Scalar is a point of the curve tag. TensorBoard shows tags with the same beginning,
// up to a slash, together.
func Scalar(tag string, x float64) Value {
	return Value{&eventpb.Summary_Value{Tag: tag, Value: &eventpb.Summary_Value_SimpleValue{SimpleValue: float32(x)}}}
}

// Image is a picture, given as a PNG file.
func Image(tag string, png []byte) (Value, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(png))
	if err != nil {
		return Value{}, fmt.Errorf("cannot show the image %s: %w", tag, err)
	}
	const rgb = 3
	picture := &eventpb.Summary_Image{Height: int32(c.Height), Width: int32(c.Width), Colorspace: rgb, EncodedImageString: png}
	return Value{&eventpb.Summary_Value{Tag: tag, Value: &eventpb.Summary_Value_Image{Image: picture}}}, nil
}

// buckets is the number of intervals in a histogram, as in TensorFlow.
const buckets = 30

// Histogram is the distribution of values, in intervals of equal width from the lowest
// to the highest. It leaves out values that are not finite.
func Histogram(tag string, values []float32) Value {
	h := moments(values)
	if h.Num > 0 {
		h.Bucket = count(values, h.Min, h.Max)
		for i := range h.Bucket {
			h.BucketLimit = append(h.BucketLimit, h.Min+(h.Max-h.Min)*float64(i+1)/float64(len(h.Bucket)))
		}
	}
	return Value{&eventpb.Summary_Value{Tag: tag, Value: &eventpb.Summary_Value_Histo{Histo: h}}}
}

// finite reports whether x is a number, and not infinite.
func finite(x float32) bool { return x-x == 0 }

// moments returns a histogram without its intervals.
func moments(values []float32) *eventpb.HistogramProto {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	n, sum, squares := 0, 0., 0.
	for _, x := range values {
		if !finite(x) {
			continue
		}
		if x < low {
			low = x
		}
		if x > high {
			high = x
		}
		n++
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	if n == 0 {
		return &eventpb.HistogramProto{}
	}
	return &eventpb.HistogramProto{Min: float64(low), Max: float64(high), Num: float64(n), Sum: sum, SumSquares: squares}
}

// count counts the values in each interval from low to high.
func count(values []float32, low, high float64) []float64 {
	n := buckets
	if low == high {
		n = 1
	}
	// One more for high itself. Neighbours count in different rows: an increment need
	// not wait for the last one.
	var counts [4][buckets + 1]int32
	scale := 0.
	if high > low {
		scale = float64(n) / (high - low)
	}
	for i, x := range values {
		if finite(x) {
			counts[i%4][int((float64(x)-low)*scale)]++
		}
	}
	sums := make([]float64, n)
	for _, row := range counts {
		for i, c := range row {
			sums[min(i, n-1)] += float64(c)
		}
	}
	return sums
}
