package tensorboard

import (
	"bytes"
	"fmt"
	"image"
	_ "image/png" // Image takes a PNG file
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

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
	parts := slices.Collect(slices.Chunk(values, 1<<16))
	m := momentsOf(parts)
	h := &eventpb.HistogramProto{}
	if m.n > 0 {
		h = &eventpb.HistogramProto{Min: float64(m.low), Max: float64(m.high), Num: float64(m.n), Sum: m.sum, SumSquares: m.squares,
			Bucket: counts(parts, float64(m.low), float64(m.high))}
	}
	for i := range h.Bucket {
		h.BucketLimit = append(h.BucketLimit, h.Min+(h.Max-h.Min)*float64(i+1)/float64(len(h.Bucket)))
	}
	return Value{&eventpb.Summary_Value{Tag: tag, Value: &eventpb.Summary_Value_Histo{Histo: h}}}
}

// each computes f of every part, on all processors.
func each[T any](parts [][]float32, f func([]float32) T) []T {
	results := make([]T, len(parts))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, part := range parts {
		group.Go(func() error {
			results[i] = f(part)
			return nil
		})
	}
	_ = group.Wait() // f returns no error
	return results
}

// finite reports whether x is a number, and not infinite.
func finite(x float32) bool { return x-x == 0 }

// moments summarises finite values.
type moments struct {
	low, high    float32
	n            int
	sum, squares float64
}

func momentsOf(parts [][]float32) moments {
	total := moments{low: float32(math.Inf(1)), high: float32(math.Inf(-1))}
	for _, m := range each(parts, partMoments) {
		total = moments{min(total.low, m.low), max(total.high, m.high), total.n + m.n, total.sum + m.sum, total.squares + m.squares}
	}
	return total
}

func partMoments(values []float32) moments {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	n, sum, squares := 0, 0., 0.
	for _, x := range values {
		if !finite(x) {
			continue
		}
		if x < low { // the built-in min would take twice as long
			low = x
		}
		if x > high {
			high = x
		}
		n++
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	return moments{low, high, n, sum, squares}
}

// counts returns the number of values in each interval from low to high.
func counts(parts [][]float32, low, high float64) []float64 {
	n, scale := 1, 0.
	if high > low {
		n, scale = buckets, buckets/(high-low)
	}
	sums := make([]float64, n)
	for _, c := range each(parts, func(part []float32) [buckets + 1]int { return partCounts(part, low, scale) }) {
		for i, count := range c {
			sums[min(i, n-1)] += float64(count)
		}
	}
	return sums
}

// partCounts counts values by scale times their distance from low, rounded down. The
// last count is that of the highest value.
func partCounts(values []float32, low, scale float64) [buckets + 1]int {
	var counts [buckets + 1]int
	for _, x := range values {
		if finite(x) {
			counts[int((float64(x)-low)*scale)]++
		}
	}
	return counts
}
