package kerneltest

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Replay runs a section of a plan op by op on backend and on reference. Before
// each op, everything it reads is copied from the reference, so that an error
// comes from the op itself; after it, what it wrote is compared within its
// [Bounds]. initialise fills the buffers of the reference's program.
func Replay(t *testing.T, plan *kernels.Plan, section string, backend, reference kernels.Backend,
	initialise func(kernels.Program) error) *Report {
	t.Helper()
	steps, ops := stepwise(plan, section)
	var programs [3]kernels.Program
	for i, b := range []kernels.Backend{backend, reference, reference} {
		p, err := b.Compile(steps)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		programs[i] = p
	}
	r := &replay{backend: programs[0], reference: programs[1], absolute: programs[2]}
	if err := initialise(r.reference); err != nil {
		t.Fatal(err)
	}
	report := &Report{Backend: backend.Name()}
	for i, op := range ops {
		name := fmt.Sprintf("op %d", i)
		worst, err := r.step(name, op, winogradOutputs(backend, op))
		if err != nil {
			t.Errorf("%s, %s (%s): %v", section, name, op.Kind(), err)
		}
		report.op(op.Kind()).add(worst, fmt.Sprintf("%s, %s", section, name))
	}
	return report
}

// stepwise returns a plan of the same buffers with a section for each op of
// the given section: "op 0", "op 1", …
func stepwise(plan *kernels.Plan, section string) (*kernels.Plan, []kernels.Op) {
	ops := plan.Find(section).Ops
	steps := &kernels.Plan{Buffers: plan.Buffers}
	for i, op := range ops {
		steps.Section(fmt.Sprintf("op %d", i)).Add(op)
	}
	return steps, ops
}

// replay is one plan on the backend under test, on the reference, and on the
// reference with absolute values.
type replay struct{ backend, reference, absolute kernels.Program }

// step runs one op on all three and compares; winograd is as in [Results].
func (r *replay) step(section string, op kernels.Op, winograd int) (worst float64, err error) {
	results := &Results{Steps: 1, Winograd: winograd}
	if results.In, err = r.spread(op); err != nil {
		return 0, err
	}
	for _, p := range []kernels.Program{r.backend, r.reference, r.absolute} {
		if err := p.Run(section, 1); err != nil {
			return 0, err
		}
	}
	if results.Ref, err = operands(r.reference, op, changed); err != nil {
		return 0, err
	}
	if results.Abs, err = operands(r.absolute, op, changed); err != nil {
		return 0, err
	}
	got, err := operands(r.backend, op, kernels.Write)
	if err != nil {
		return 0, err
	}
	return compareOutputs(op, got, results, nil)
}

// spread copies what the op reads from the reference to the other two programs,
// unchanged and without signs, and returns it.
func (r *replay) spread(op kernels.Op) (map[string][]float64, error) {
	values := map[string][]float64{}
	for _, o := range op.Operands() {
		if o.Access&kernels.Read == 0 || o.Tensor.Absent() {
			continue
		}
		raw := make([]byte, o.Tensor.Bytes())
		if err := r.reference.Read(o.Tensor, raw); err != nil {
			return nil, err
		}
		values[o.Name] = decode(o, raw)
		if err := r.backend.Write(o.Tensor, raw); err != nil {
			return nil, err
		}
		if o.Tensor.Type == kernels.Float32 {
			clearSigns(raw)
		}
		if err := r.absolute.Write(o.Tensor, raw); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// clearSigns makes float32 numbers positive.
func clearSigns(raw []byte) {
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:])&^(1<<31))
	}
}

// operands reads the operands of an op that have the given access.
func operands(p kernels.Program, op kernels.Op, access kernels.Access) (map[string][]float64, error) {
	values := map[string][]float64{}
	for _, o := range op.Operands() {
		if o.Access&access == 0 || o.Tensor.Absent() {
			continue
		}
		raw := make([]byte, o.Tensor.Bytes())
		if err := p.Read(o.Tensor, raw); err != nil {
			return nil, err
		}
		values[o.Name] = decode(o, raw)
	}
	return values, nil
}
