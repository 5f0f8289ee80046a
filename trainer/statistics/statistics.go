// Package statistics tests whether a difference between trained networks is more
// than chance: between runs on the same test images, and between two recipes over
// seeds.
package statistics

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Level is the confidence level of every interval in this package.
const Level = .95

// McNemarResult is the outcome of [McNemar].
type McNemarResult struct {
	OnlyFirst  int     `json:"only_first"`  // images that only the first classifier gets right
	OnlySecond int     `json:"only_second"` // images that only the second gets right
	Exact      bool    `json:"exact"`       // whether P is of the binomial test; else of χ² with continuity correction
	P          float64 `json:"p"`           // two-sided
}

// exactBelow is the number of disagreements below which [McNemar] uses the exact
// test.
const exactBelow = 25

// McNemar tests whether two classifiers are right equally often, given which of the
// same images each gets right (McNemar 1947). Only images on which they disagree
// count. If b of these are right for the first alone and c for the second alone, then
// under the null hypothesis b is binomial (b+c, ½). If b+c is 25 or more,
// (|b−c|−1)²/(b+c) is compared with χ² of one degree of freedom (Edwards 1948).
// It is an error if the lengths differ or are 0.
func McNemar(first, second []bool) (McNemarResult, error) {
	if err := sameLength(len(first), len(second)); err != nil {
		return McNemarResult{}, err
	}
	var r McNemarResult
	for i := range first {
		switch {
		case first[i] && !second[i]:
			r.OnlyFirst++
		case second[i] && !first[i]:
			r.OnlySecond++
		}
	}
	r.Exact, r.P = mcNemar(r.OnlyFirst, r.OnlySecond)
	return r, nil
}

func mcNemar(b, c int) (exact bool, p float64) {
	n := b + c
	if n == 0 {
		return true, 1
	}
	if n < exactBelow {
		binomial := distuv.Binomial{N: float64(n), P: .5}
		return true, min(1, 2*binomial.CDF(float64(min(b, c))))
	}
	distance := math.Abs(float64(b-c)) - 1
	return false, distuv.ChiSquared{K: 1}.Survival(max(0, distance) * max(0, distance) / float64(n))
}

// Interval is an estimate and its 95 % confidence interval.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Within returns the interval clipped to [low, high], the range of the estimated
// quantity: [MeanInterval] does not know this range, and of two or three values it is
// wide.
func (i Interval) Within(low, high float64) Interval {
	return Interval{i.Mean, max(i.Low, low), min(i.High, high)}
}

// Wilson estimates a proportion from the number of successes in n trials, by
// Wilson's score interval (Wilson 1927). It lies within [0, 1] and is also valid for
// proportions near 0 and 1. Without trials, the interval is [0, 1] and its mean NaN.
func Wilson(successes, n int) Interval {
	p, trials := float64(successes)/float64(n), float64(n)
	if n == 0 {
		return Interval{p, 0, 1}
	}
	z := distuv.UnitNormal.Quantile((1 + Level) / 2)
	centre := p + z*z/(2*trials)
	half := z * math.Sqrt(p*(1-p)/trials+z*z/(4*trials*trials))
	scale := 1 + z*z/trials
	return Interval{p, min(p, (centre-half)/scale), max(p, (centre+half)/scale)}.Within(0, 1) // p is inside, despite rounding
}

// Bootstrap estimates the difference of two accuracies, first minus second, on
// the same images: the percentile interval over resampled test sets (Efron 1979). The
// seed determines the samples. Of n images drawn with replacement, only the numbers
// that the first classifier alone and the second alone get right matter; they are
// drawn from their multinomial distribution. It is an error if the lengths differ or
// are 0.
func Bootstrap(first, second []bool, resamples int, seed uint64) (Interval, error) {
	m, err := McNemar(first, second)
	if err != nil {
		return Interval{}, err
	}
	n, b, c := float64(len(first)), float64(m.OnlyFirst), float64(m.OnlySecond)
	source := rand.NewPCG(seed, 0)
	means := make([]float64, resamples)
	for k := range means {
		onlyFirst := binomial(n, b/n, source)
		onlySecond := binomial(n-onlyFirst, c/max(1, n-b), source)
		means[k] = (onlyFirst - onlySecond) / n
	}
	slices.Sort(means)
	return Interval{(b - c) / n,
		stat.Quantile((1-Level)/2, stat.LinInterp, means, nil), stat.Quantile((1+Level)/2, stat.LinInterp, means, nil)}, nil
}

// binomial draws the number of successes in n trials.
func binomial(n, p float64, source rand.Source) float64 {
	return distuv.Binomial{N: n, P: p, Src: source}.Rand()
}

// CochranQ tests whether several classifiers are right equally often on the
// same images (Cochran 1950); right has one row per classifier. If classifier j of k
// gets Tⱼ images right, and uᵢ classifiers are right on image i, then
// Q = (k−1)·(k·ΣTⱼ² − (ΣTⱼ)²) / (k·Σuᵢ − Σuᵢ²) is compared with χ² of k−1 degrees of
// freedom. It is an error if there are fewer than two classifiers, or their lengths
// differ or are 0.
func CochranQ(right [][]bool) (q, p float64, err error) {
	if len(right) < 2 {
		return 0, 0, fmt.Errorf("%d classifiers, want at least two", len(right))
	}
	for _, r := range right {
		if err := sameLength(len(right[0]), len(r)); err != nil {
			return 0, 0, err
		}
	}
	k, sumT, sumT2, sumU2 := float64(len(right)), 0., 0., 0.
	perImage := make([]float64, len(right[0]))
	for _, r := range right {
		t := 0.
		for i, ok := range r {
			t += float64(count(ok))
			perImage[i] += float64(count(ok))
		}
		sumT, sumT2 = sumT+t, sumT2+t*t
	}
	for _, u := range perImage {
		sumU2 += u * u
	}
	if k*sumT == sumU2 { // they agree on every image
		return 0, 1, nil
	}
	q = (k - 1) * (k*sumT2 - sumT*sumT) / (k*sumT - sumU2)
	return q, distuv.ChiSquared{K: k - 1}.Survival(q), nil
}

// PairedResult is the outcome of [PairedT].
type PairedResult struct {
	Difference Interval `json:"difference"` // of the means, first minus second
	P          float64  `json:"p"`          // two-sided
	Effect     float64  `json:"effect"`     // Cohen's d_z: the mean difference over the standard deviation of the differences
}

// PairedT is Student's paired t test: of two recipes' results over the same seeds. It
// is an error if there are fewer than two pairs, or all differ by the same amount.
func PairedT(first, second []float64) (PairedResult, error) {
	if err := sameLength(len(first), len(second)); err != nil {
		return PairedResult{}, err
	}
	difference, largest := make([]float64, len(first)), 0.
	for i := range difference {
		difference[i] = first[i] - second[i]
		largest = max(largest, math.Abs(first[i]), math.Abs(second[i]))
	}
	interval, err := MeanInterval(difference)
	if err != nil {
		return PairedResult{}, err
	}
	_, deviation := stat.MeanStdDev(difference, nil)
	if deviation <= 1e-12*largest { // no more than rounding in the subtractions
		return PairedResult{}, fmt.Errorf("all %d pairs differ by %v: there is no spread to compare with", len(difference), interval.Mean)
	}
	n := float64(len(difference))
	t := interval.Mean / (deviation / math.Sqrt(n))
	return PairedResult{interval, 2 * student(n-1).Survival(math.Abs(t)), interval.Mean / deviation}, nil
}

// MeanInterval estimates the mean of a normal distribution from a sample by Student's
// t. It is an error if the sample has fewer than two values.
func MeanInterval(x []float64) (Interval, error) {
	if len(x) < 2 {
		return Interval{}, fmt.Errorf("%d values, want at least two", len(x))
	}
	mean, deviation := stat.MeanStdDev(x, nil)
	n := float64(len(x))
	half := student(n-1).Quantile((1+Level)/2) * deviation / math.Sqrt(n)
	return Interval{mean, mean - half, mean + half}, nil
}

func student(degrees float64) distuv.StudentsT {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: degrees}
}

// Holm returns p-values adjusted for multiple tests (Holm 1979), in the same order:
// rejecting those of at most α keeps the chance of any false rejection at or below α.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	adjusted, running := make([]float64, len(p)), 0.
	for rank, i := range order {
		running = max(running, min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = running
	}
	return adjusted
}

func sameLength(a, b int) error {
	if a != b {
		return fmt.Errorf("%d and %d values: want the same number", a, b)
	}
	if a == 0 {
		return fmt.Errorf("no values")
	}
	return nil
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
