package statistics

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// reference is what testdata/generate.py got from scipy and statsmodels.
type reference struct {
	McNemar []struct {
		B, C  int
		Exact bool
		P     float64
	}
	Cochran []struct {
		Right [][]bool
		Q, P  float64
	}
	Paired []struct {
		A, B                 []float64
		P, Low, High, Effect float64
	}
	Mean []struct {
		X          []float64
		Mean, Half float64
	}
	Holm   []struct{ P, Adjusted []float64 }
	Wilson []struct {
		K, N      int
		Low, High float64
	}
}

func load(t *testing.T) (r reference) {
	t.Helper()
	text, err := os.ReadFile("testdata/scipy.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// near fails unless got is want to nine digits, however small it is.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// disagreeing returns classifiers of which b and c images tell the one and the
// other alone.
func disagreeing(b, c int) (first, second []bool) {
	for range 100 {
		first, second = append(first, true, false), append(second, true, false)
	}
	for range b {
		first, second = append(first, true), append(second, false)
	}
	for range c {
		first, second = append(first, false), append(second, true)
	}
	return first, second
}

func TestMcNemar(t *testing.T) {
	for _, c := range load(t).McNemar {
		r, err := McNemar(disagreeing(c.B, c.C))
		if err != nil || r.OnlyFirst != c.B || r.OnlySecond != c.C || r.Exact != c.Exact {
			t.Errorf("%+v (%v), want %+v", r, err, c)
		}
		near(t, "p", r.P, c.P)
	}
	if r, err := McNemar(disagreeing(0, 0)); r.P != 1 || err != nil {
		t.Errorf("without disagreement p is %v (%v), want 1", r.P, err)
	}
}

func TestCochranQ(t *testing.T) {
	for _, c := range load(t).Cochran {
		q, p, err := CochranQ(c.Right)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "Q", q, c.Q)
		near(t, "p", p, c.P)
	}
	same := []bool{true, false, true}
	if q, p, err := CochranQ([][]bool{same, same}); q != 0 || p != 1 || err != nil {
		t.Errorf("classifiers that agree: Q %v, p %v (%v), want 0, 1", q, p, err)
	}
}

func TestPairedT(t *testing.T) {
	for _, c := range load(t).Paired {
		r, err := PairedT(c.A, c.B)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "p", r.P, c.P)
		near(t, "low", r.Difference.Low, c.Low)
		near(t, "high", r.Difference.High, c.High)
		near(t, "effect", r.Effect, c.Effect)
	}
}

// Pairs that differ by the same amount have no spread, despite rounding in the
// subtractions.
func TestPairedTWithoutSpread(t *testing.T) {
	if r, err := PairedT([]float64{.9291, .9032}, []float64{.9337, .9078}); err == nil {
		t.Errorf("%+v from two differences of .0046, want an error", r)
	}
}

func TestMeanInterval(t *testing.T) {
	for _, c := range load(t).Mean {
		i, err := MeanInterval(c.X)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "mean", i.Mean, c.Mean)
		near(t, "low", i.Low, c.Mean-c.Half)
		near(t, "high", i.High, c.Mean+c.Half)
	}
}

func TestHolm(t *testing.T) {
	for _, c := range load(t).Holm {
		for i, got := range Holm(c.P) {
			near(t, "adjusted p", got, c.Adjusted[i])
		}
	}
}

// On many images the percentile interval is the normal one.
func TestBootstrap(t *testing.T) {
	const n = 10_000
	r := rand.New(rand.NewPCG(5, 6))
	first, second := make([]bool, n), make([]bool, n)
	sum, squares := 0., 0.
	for i := range first {
		first[i], second[i] = r.Float64() < .93, r.Float64() < .92
		d := float64(count(first[i]) - count(second[i]))
		sum, squares = sum+d, squares+d*d
	}
	mean := sum / n
	half := 1.96 * math.Sqrt((squares/n-mean*mean)/n)
	got, err := Bootstrap(first, second, 4000, 1)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "mean", got.Mean, mean)
	// A quantile of 4000 resamples is off by some 2 % of the width.
	if !(math.Abs(got.Low-(mean-half)) <= .1*half) || !(math.Abs(got.High-(mean+half)) <= .1*half) {
		t.Errorf("interval %+v, want about %v ± %v", got, mean, half)
	}
	again, err := Bootstrap(first, second, 4000, 1)
	if again != got || err != nil {
		t.Errorf("the same seed gives %+v (%v), then %+v", got, err, again)
	}
}

// Where only one classifier is ever right alone, on 3 images of 50, the interval
// is that of a binomial distribution.
func TestBootstrapOfFew(t *testing.T) {
	first, second := make([]bool, 50), make([]bool, 50)
	first[7], first[8], first[9] = true, true, true
	got, err := Bootstrap(first, second, 20_000, 1)
	if want := (Interval{3. / 50, 0, 7. / 50}); got != want || err != nil { // scipy.stats.binom(50, .06).ppf
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	turned, err := Bootstrap(second, first, 20_000, 1)
	if want := (Interval{-3. / 50, -7. / 50, 0}); turned != want || err != nil {
		t.Errorf("turned round %+v (%v), want %+v", turned, err, want)
	}
}

func TestErrors(t *testing.T) {
	one, two := []bool{true}, []bool{true, false}
	if _, err := McNemar(one, two); err == nil {
		t.Error("McNemar of 1 and 2 images: no error")
	}
	if _, err := Bootstrap(nil, nil, 10, 1); err == nil {
		t.Error("Bootstrap of no images: no error")
	}
	if _, _, err := CochranQ([][]bool{one}); err == nil {
		t.Error("CochranQ of one classifier: no error")
	}
	if _, _, err := CochranQ([][]bool{one, two}); err == nil {
		t.Error("CochranQ of 1 and 2 images: no error")
	}
	if _, err := PairedT([]float64{1, 2}, []float64{2, 3}); err == nil {
		t.Error("PairedT without spread: no error")
	}
	if _, err := MeanInterval([]float64{1}); err == nil {
		t.Error("MeanInterval of one value: no error")
	}
}

// Wilson's interval is scipy's, and stays within [0, 1] where all or none
// succeed.
func TestWilson(t *testing.T) {
	cases := load(t).Wilson
	if len(cases) != 5 {
		t.Fatalf("%d cases, want 5", len(cases))
	}
	for _, c := range cases {
		got := Wilson(c.K, c.N)
		if !(math.Abs(got.Low-c.Low) <= 1e-12) || !(math.Abs(got.High-c.High) <= 1e-12) {
			t.Errorf("%d of %d: %v to %v, want %v to %v", c.K, c.N, got.Low, got.High, c.Low, c.High)
		}
		near(t, "mean", got.Mean, float64(c.K)/float64(c.N))
		if !(got.Low >= 0 && got.Low <= got.Mean && got.Mean <= got.High && got.High <= 1) {
			t.Errorf("%d of %d: %+v is not in order within [0, 1]", c.K, c.N, got)
		}
	}
	if got := Wilson(0, 0); !math.IsNaN(got.Mean) || got.Low != 0 || got.High != 1 {
		t.Errorf("without trials: %+v, want all of [0, 1]", got)
	}
}

// The interval of two accuracies that differ much reaches beyond 0 and 1, where
// no accuracy is.
func TestWithin(t *testing.T) {
	whole, err := MeanInterval([]float64{.6838, .7494})
	if err != nil {
		t.Fatal(err)
	}
	if got := whole.Within(0, 1); got.High != 1 || got.Low != whole.Low || got.Mean != whole.Mean || !(whole.High > 1) {
		t.Errorf("%+v within [0, 1] is %+v", whole, got)
	}
}
