package kerneltest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// bigFLOPs is the work above which a case is left out of -short and -race runs.
const bigFLOPs = 1 << 23

// Run tests every case on backend against reference and logs what the race
// detector or -short made it leave out. The report holds the worst error by op.
func Run(t *testing.T, backend, reference kernels.Backend) *Report {
	t.Helper()
	return NewSuite(reference).Run(t, backend)
}

// Suite runs the cases on several backends and asks the reference only once.
type Suite struct {
	reference kernels.Backend
	expected  map[string]*expectation // by op and case
}

// expectation is what the reference makes of a case.
type expectation struct {
	before [][]byte
	after  [][]byte
	bounds map[string][]float64 // by operand
}

// NewSuite returns a suite of all cases.
func NewSuite(reference kernels.Backend) *Suite {
	return &Suite{reference: reference, expected: map[string]*expectation{}}
}

// Run tests every case on backend; see the function [Run].
func (s *Suite) Run(t *testing.T, backend kernels.Backend) *Report {
	t.Helper()
	report := &Report{Backend: backend.Name()}
	for _, c := range Cases() {
		trial := c.Trial()
		kind := trial.Op.Kind()
		entry := report.op(kind)
		if (testing.Short() || raceEnabled) && trial.Op.FLOPs() > bigFLOPs {
			entry.Skipped++
			continue
		}
		t.Run(kind+"/"+c.String(), func(t *testing.T) {
			worst, err := s.check(backend, c, trial)
			if err != nil {
				t.Error(err)
			}
			entry.add(worst, c.String())
		})
	}
	t.Run("Program", func(t *testing.T) { testProgram(t, backend) })
	if n := report.Skipped(); n > 0 {
		t.Logf("%d big cases left out (-short or -race)", n)
	}
	return report
}

// check runs one case. It returns the largest error over tolerance, and all
// that is wrong.
func (s *Suite) check(backend kernels.Backend, c Case, trial *Trial) (worst float64, err error) {
	want, err := s.expect(c, trial)
	if err != nil {
		return 0, fmt.Errorf("reference: %w", err)
	}
	after, err := trial.execute(backend, want.before, 2)
	if err != nil {
		return 0, err
	}
	problems := checkUntouched(trial, want.before, after[0])
	for i := range after[0] {
		if !bytes.Equal(after[0][i], after[1][i]) {
			problems = append(problems, fmt.Errorf("%s: two runs from the same start differ", trial.Plan.Buffers[i].Name))
		}
	}
	for _, o := range trial.outputs() {
		got, ref := decode(o, after[0][o.Tensor.Buffer]), decode(o, want.after[o.Tensor.Buffer])
		ratio, err := Compare(o.Name, o.Tensor.Shape, got, ref, want.bounds[o.Name])
		worst, problems = max(worst, ratio), append(problems, err)
	}
	return worst, errors.Join(problems...)
}

// expect returns what the reference makes of a case.
func (s *Suite) expect(c Case, trial *Trial) (*expectation, error) {
	key := trial.Op.Kind() + "/" + c.String()
	if e := s.expected[key]; e != nil {
		return e, nil
	}
	r := &Results{trial: trial, before: trial.contents(key, false)}
	after, err := trial.execute(s.reference, r.before, 1)
	if err != nil {
		return nil, err
	}
	r.after = after[0]
	if len(trial.bounds) > 0 {
		after, err := trial.execute(s.reference, trial.contents(key, true), 1)
		if err != nil {
			return nil, err
		}
		r.absolute = after[0]
	}
	e := &expectation{before: r.before, after: r.after, bounds: map[string][]float64{}}
	for operand, bound := range trial.bounds {
		e.bounds[operand] = bound(r)
	}
	s.expected[key] = e
	return e, nil
}

// checkUntouched returns an error for every fence and every read-only tensor
// that changed.
func checkUntouched(trial *Trial, before, after [][]byte) (problems []error) {
	written := map[int]bool{}
	for _, o := range trial.outputs() {
		written[o.Tensor.Buffer] = true
	}
	for i, s := range trial.sources {
		size := s.tensor.Type.Size()
		start, end := s.tensor.Offset*size, (s.tensor.Offset+s.tensor.Len())*size
		if !bytes.Equal(after[i][:start], before[i][:start]) {
			problems = append(problems, fmt.Errorf("%s: written before its first element", s.name))
		}
		if !bytes.Equal(after[i][end:], before[i][end:]) {
			problems = append(problems, fmt.Errorf("%s: written after its last element", s.name))
		}
		if !written[i] && !bytes.Equal(after[i][start:end], before[i][start:end]) {
			problems = append(problems, fmt.Errorf("%s: an input that the op changed", s.name))
		}
	}
	return problems
}

// Compare returns an error where an element of got differs from ref by more
// than its bound (nil: where it differs at all), and the largest difference
// over bound. Two NaN are equal; one is not.
func Compare(name string, shape []int, got, ref, bound []float64) (worst float64, err error) {
	at, failed := 0, 0
	for i := range ref {
		ratio := errorRatio(got[i], ref[i], bound, i)
		if !(ratio <= 1) {
			failed++
		}
		if ratio > worst {
			worst, at = ratio, i
		}
	}
	if failed == 0 {
		return worst, nil
	}
	allowed := 0.0
	if bound != nil {
		allowed = bound[at]
	}
	return worst, fmt.Errorf("%s: %d of %d elements are off; the worst, %v: got %v, want %v ± %.3g (%.3g times the tolerance)",
		name, failed, len(ref), position(at, shape), got[at], ref[at], allowed, worst)
}

// errorRatio returns |got − ref| / bound[i]: 0 where they are equal, +Inf
// where there is no bound or no number.
func errorRatio(got, ref float64, bound []float64, i int) float64 {
	if got == ref || (math.IsNaN(got) && math.IsNaN(ref)) {
		return 0
	}
	if bound == nil {
		return math.Inf(1)
	}
	ratio := math.Abs(got-ref) / bound[i]
	if math.IsNaN(ratio) {
		return math.Inf(1)
	}
	return ratio
}

// position turns an element's number into its indices: "[3 0 27 31]".
func position(i int, shape []int) string {
	index := make([]int, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		index[axis] = i % shape[axis]
		i /= shape[axis]
	}
	return fmt.Sprint(index)
}
