package bench

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(c.x); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.x, got, c.want)
		}
	}
}

// Shares add up to 1, and the figures of a result are consistent.
func TestSession(t *testing.T) {
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	network, err := trainer.BuiltIn("logistic", dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	for _, infer := range []bool{false, true} {
		o := Options{Network: network, Batch: 16, Infer: infer, Rounds: 1, Seconds: .01}
		if infer {
			o.Started = time.Now().Add(-time.Millisecond)
		}
		s, err := Open(b, o)
		if err != nil {
			t.Fatal(err)
		}
		round, err := s.Round()
		if err != nil {
			t.Fatal(err)
		}
		ops, err := s.Profile()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Result([]Round{round}, ops)
		speed, sum := r.ImagesPerSecond, 0.
		for _, op := range r.Ops {
			sum += op.Share
		}
		if !(math.Abs(sum-1) <= 1e-9) || !(speed > 0) || !(math.Abs(r.StepMillis*speed-16e3) <= 1e-6*16e3) {
			t.Errorf("infer %v: shares add up to %v, %v images/s, %v ms per step", infer, sum, speed, r.StepMillis)
		}
		if CPUTime() > 0 && !(r.HostCores > 0) { // the CPU computes
			t.Errorf("infer %v: %v of the host's cores busy", infer, r.HostCores)
		}
		if l := r.Latency; (l != nil) != infer || infer && !(0 < l.Median && l.Median <= l.P99) {
			t.Errorf("infer %v: latency %+v", infer, l)
		}
		checkStartUp(t, r.StartUp, o.Started)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// checkStartUp checks that there are stages if a start was given, and that they
// are parts of the time since then.
func checkStartUp(t *testing.T, u *StartUp, started time.Time) {
	t.Helper()
	if u == nil || started.IsZero() {
		if (u == nil) != started.IsZero() {
			t.Errorf("start-up %v from a start at %v", u, started)
		}
		return
	}
	sum := 0.
	for _, stage := range []float64{u.Backend, u.Images, u.Program, u.Upload, u.Step} {
		if !(stage > 0) {
			t.Errorf("a stage took no time: %+v", *u)
		}
		sum += stage
	}
	if !(u.Backend >= 1) {
		t.Errorf("opening took %v ms from a start 1 ms before Open", u.Backend)
	}
	if now := 1e3 * time.Since(started).Seconds(); !(math.Abs(u.Total-sum) <= 1e-9*sum) || !(u.Total < now) || u.PipelineCache != "" {
		t.Errorf("stages of %v ms within %v: %+v", sum, now, *u)
	}
}

// Each measurement's median is over the rounds that have it.
func TestSummarise(t *testing.T) {
	got := Summarise([]Round{{3, &Latency{1, 9}}, {1, &Latency{3, 7}}, {2, &Latency{2, 8}}})
	if want := (Summary{2, []float64{3, 1, 2}, &Latency{2, 8}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Summarise([]Round{{ImagesPerSecond: 3}}); got.Latency != nil || got.ImagesPerSecond != 3 {
		t.Errorf("without latencies: %+v", got)
	}
}

// small is a backend with memory for plans of so many bytes.
type small struct {
	kernels.Backend
	bytes int64
}

func (s small) Fits(p *kernels.Plan) error {
	if int64(p.Bytes()) > s.bytes {
		return errors.New("too little memory")
	}
	return nil
}

func (s small) Compile(p *kernels.Plan) (kernels.Program, error) {
	if err := s.Fits(p); err != nil {
		return nil, err
	}
	return s.Backend.Compile(p)
}

// A batch that is too large is told with one that is not.
func TestBatchThatFits(t *testing.T) {
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	network, err := trainer.BuiltIn("fashioncnn", dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	for _, infer := range []bool{false, true} {
		o := Options{Network: network, Batch: 100, Infer: infer, Rounds: 1, Seconds: .01}
		s := newSession(b, o)
		if err := s.build(); err != nil {
			t.Fatal(err)
		}
		limited := small{b, int64(s.net.Plan.Bytes())}
		o.Batch = 1000
		_, err := Open(limited, o)
		tooLarge, ok := errors.AsType[*trainer.BatchError](err)
		if !ok || tooLarge.Wanted != 1000 || tooLarge.Fit < 64 || tooLarge.Fit > 100 {
			t.Fatalf("%v, want a batch of about 100", err)
		}
		o.Batch = tooLarge.Fit
		fitting, err := Open(limited, o)
		if err != nil {
			t.Fatal(err)
		}
		fitting.Close()
	}
}
