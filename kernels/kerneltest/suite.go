package kerneltest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// bigFLOPs is the work above which -short and -race runs leave a case out.
const bigFLOPs = 1 << 23

// Suite runs the cases on several backends, but only once on the reference. It
// generates a case's inputs again for each backend: keeping them would take
// gigabytes.
type Suite struct {
	reference kernels.Backend
	expected  map[string]*expectation // by op and case
}

// expectation is what the reference leaves in the buffers that a case writes,
// from the case's own inputs and from their absolute values; nil for other
// buffers.
type expectation struct {
	after, absolute [][]byte
}

// NewSuite returns a suite of all cases.
func NewSuite(reference kernels.Backend) *Suite {
	return &Suite{reference: reference, expected: map[string]*expectation{}}
}

// Run tests every case on backend against the reference. It leaves out, and
// logs how many, big cases with -short or the race detector, and cases of a
// precision that the backend lacks. The report holds the worst error by op.
func (s *Suite) Run(t *testing.T, backend kernels.Backend) *Report {
	t.Helper()
	return s.RunSample(t, backend, 1)
}

// RunSample is Run with the first of every oneOf cases of each op, for a driver
// that is slow to compile the shaders of each shape.
func (s *Suite) RunSample(t *testing.T, backend kernels.Backend, oneOf int) *Report {
	t.Helper()
	report := &Report{Backend: backend.Name()}
	mixed := hasMixed(t, backend)
	seen := map[string]int{} // runnable cases of each op
	for _, c := range Cases() {
		trial := c.Trial()
		kind := trial.Op.Kind()
		entry := report.op(kind)
		tooBig := (testing.Short() || RaceEnabled) && trial.Op.FLOPs() > bigFLOPs
		runs := !tooBig && (mixed || kernels.PrecisionOf(trial.Op) != kernels.Mixed)
		if runs {
			seen[kind]++
			runs = seen[kind]%oneOf == 1%oneOf
		}
		if !runs {
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
		t.Logf("%d cases left out: mixed precision if the backend lacks it, big ones with -short or -race, and all but the first of every %d others", n, oneOf)
	}
	return report
}

// hasMixed reports whether backend computes in mixed precision.
func hasMixed(t *testing.T, backend kernels.Backend) bool {
	t.Helper()
	err := kernels.CheckPrecision(backend, kernels.Mixed)
	if lacking := (*kernels.PrecisionError)(nil); err != nil && !errors.As(err, &lacking) {
		t.Fatal(err)
	}
	return err == nil
}

// check runs one case. It returns the largest ratio of error to tolerance, and
// everything that is wrong.
func (s *Suite) check(backend kernels.Backend, c Case, trial *Trial) (worst float64, err error) {
	key := trial.Op.Kind() + "/" + c.String()
	before := trial.contents(key)
	want, err := s.expect(key, trial, before)
	if err != nil {
		return 0, fmt.Errorf("reference: %w", err)
	}
	after, err := trial.execute(backend, before, 2)
	if err != nil {
		return 0, err
	}
	problems := checkUntouched(trial, before, after[0])
	for i := range after[0] {
		if !bytes.Equal(after[0][i], after[1][i]) {
			problems = append(problems, fmt.Errorf("%s: two runs from the same start differ", trial.Plan.Buffers[i].Name))
		}
	}
	for _, op := range trial.ops() {
		r := &Results{In: trial.values(op, kernels.ReadWrite, before), Ref: trial.values(op, changed, want.after),
			Abs: trial.values(op, changed, want.absolute), Steps: trial.steps, Winograd: winogradOutputs(backend, op)}
		ratio, err := compareOutputs(op, trial.values(op, kernels.Write, after[0]), r, trial.exact)
		worst, problems = max(worst, ratio), append(problems, err)
	}
	return worst, errors.Join(problems...)
}

// expect returns the reference's outputs for a case that starts from before.
func (s *Suite) expect(key string, trial *Trial, before [][]byte) (*expectation, error) {
	if e := s.expected[key]; e != nil {
		return e, nil
	}
	e := &expectation{}
	var err error
	if e.after, err = trial.outputs(s.reference, before); err != nil {
		return nil, err
	}
	// The outputs that are not exact have bounds that need no absolute values.
	if trial.exact == nil && Bounds(trial.Op) != nil {
		if e.absolute, err = trial.outputs(s.reference, trial.magnitudes(before)); err != nil {
			return nil, err
		}
	}
	s.expected[key] = e
	return e, nil
}

// checkUntouched returns an error for every fence and every read-only tensor
// that changed.
func checkUntouched(trial *Trial, before, after [][]byte) (problems []error) {
	for i, s := range trial.sources {
		size := s.tensor.Type.Size()
		start, end := s.tensor.Offset*size, (s.tensor.Offset+s.tensor.Len())*size
		if !bytes.Equal(after[i][:start], before[i][:start]) {
			problems = append(problems, fmt.Errorf("%s: written before its first element", s.name))
		}
		if !bytes.Equal(after[i][end:], before[i][end:]) {
			problems = append(problems, fmt.Errorf("%s: written after its last element", s.name))
		}
		if !trial.written(i) && !bytes.Equal(after[i][start:end], before[i][start:end]) {
			problems = append(problems, fmt.Errorf("%s: an input that the op changed", s.name))
		}
	}
	return problems
}
