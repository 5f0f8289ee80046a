package tensorboard

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/internal/eventpb"
)

func histogram(values []float32) *eventpb.HistogramProto {
	return Histogram("x", values).message.GetHisto()
}

// Every value lies in the interval that counts it, and all are counted.
func TestHistogramCountsEveryValue(t *testing.T) {
	random := make([]float32, 1001)
	for i := range random {
		random[i] = float32(rand.NormFloat64())
	}
	for name, values := range map[string][]float32{
		"random": random, "two": {-1, 3}, "tiny": {0, math.SmallestNonzeroFloat32}, "huge": {-math.MaxFloat32, 0, math.MaxFloat32},
		"near": {1, math.Nextafter32(1, 2), 1}, "far and near": {1e30, 1, 2, 3},
	} {
		h := histogram(values)
		want := make([]float64, len(h.BucketLimit))
		sum := 0.
		for _, x := range values {
			i := 0
			for i < len(want)-1 && float64(x) >= h.BucketLimit[i] {
				i++
			}
			want[i]++
			sum += float64(x)
		}
		total := 0.
		for i, n := range h.Bucket {
			total += n
			if !(math.Abs(n-want[i]) <= 1) { // a value on an edge may be on either side
				t.Errorf("%s: %v values up to %v, want %v", name, n, h.BucketLimit[i], want[i])
			}
		}
		if len(h.Bucket) != buckets || total != float64(len(values)) || h.Num != total || h.Sum != sum {
			t.Errorf("%s: %d intervals of %v values with sum %v, want %d of %d with %v", name, len(h.Bucket), total, h.Sum, buckets, len(values), sum)
		}
		if last := h.BucketLimit[len(h.BucketLimit)-1]; last != h.Max || !(h.Min < h.BucketLimit[0]) {
			t.Errorf("%s: from %v to %v, last limit %v", name, h.Min, h.Max, last)
		}
	}
}

func TestHistogramOfUnusualValues(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, values := range [][]float32{nil, {nan}, {inf, -inf, nan}} {
		if h := histogram(values); h.Num != 0 || len(h.Bucket) != 0 || len(h.BucketLimit) != 0 {
			t.Errorf("%v: %v, want an empty histogram", values, h)
		}
	}
	for _, values := range [][]float32{{2}, {2, 2, 2}, {2, nan, 2, inf}} {
		h := histogram(values)
		if len(h.Bucket) != 1 || h.Bucket[0] != h.Num || h.Min != 2 || h.Max != 2 || h.BucketLimit[0] != 2 {
			t.Errorf("%v: %v, want one interval", values, h)
		}
	}
	if h := histogram([]float32{-1, nan, 1, inf, -inf, 0}); h.Num != 3 || h.Min != -1 || h.Max != 1 || h.Sum != 0 || h.SumSquares != 2 {
		t.Errorf("%v, want the three finite values", h)
	}
}

func BenchmarkHistogram(b *testing.B) {
	values := make([]float32, 1_700_000)
	for i := range values {
		values[i] = float32(rand.NormFloat64())
	}
	for b.Loop() {
		Histogram("x", values)
	}
}
