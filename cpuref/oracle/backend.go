package oracle

import (
	"fmt"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// New returns the oracle.
func New() kernels.Backend { return backend{} }

type backend struct{}

func (backend) Name() string { return "oracle (float64 loops)" }
func (backend) Close() error { return nil }

// Compile checks the plan and allocates its buffers, zeroed.
func (backend) Compile(p *kernels.Plan) (kernels.Program, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	return &program{plan: p, memory: newMemory(p.Buffers)}, nil
}

// program interprets a plan; there is nothing to prepare.
type program struct {
	memory
	plan *kernels.Plan
}

func (p *program) Run(section string, times int) error {
	s := p.plan.Find(section)
	if s == nil {
		return fmt.Errorf("the plan has no section %q", section)
	}
	for range times {
		for i, op := range s.Ops {
			if err := p.execute(op); err != nil {
				return fmt.Errorf("section %q, op %d (%s): %w", section, i, op.Kind(), err)
			}
		}
	}
	return nil
}

func (p *program) Profile(section string) ([]kernels.OpTime, error) {
	s := p.plan.Find(section)
	if s == nil {
		return nil, fmt.Errorf("the plan has no section %q", section)
	}
	times := make([]kernels.OpTime, len(s.Ops))
	for i, op := range s.Ops {
		start := time.Now()
		if err := p.execute(op); err != nil {
			return nil, fmt.Errorf("section %q, op %d (%s): %w", section, i, op.Kind(), err)
		}
		times[i] = kernels.OpTime{Op: op, Nanoseconds: time.Since(start).Nanoseconds()}
	}
	return times, nil
}

func (p *program) MemoryBytes() int { return p.plan.Bytes() }
func (p *program) Close() error     { return nil }

// execute runs one op. An error means that the contents of a buffer break the
// op's contract, such as a label that is not a class.
func (p *program) execute(op kernels.Op) error {
	m := &p.memory
	switch op := op.(type) {
	case kernels.ConvForward:
		convForward(m, op)
	case kernels.ConvBatchNormInference:
		convBatchNormInference(m, op)
	case kernels.ConvBackwardInput:
		convBackwardInput(m, op)
	case kernels.ConvBackwardWeight:
		convBackwardWeight(m, op)
	case kernels.GEMM:
		gemm(m, op)
	case kernels.BatchNormForward:
		batchNormForward(m, op)
	case kernels.BatchNormInference:
		batchNormInference(m, op)
	case kernels.BatchNormBackward:
		batchNormBackward(m, op)
	case kernels.BatchNormReLUPoolForward:
		batchNormReLUPoolForward(m, op)
	case kernels.BatchNormReLUPoolInference:
		batchNormReLUPoolInference(m, op)
	case kernels.BatchNormReLUPoolBackward:
		return batchNormReLUPoolBackward(m, op)
	case kernels.ReLUForward:
		reluForward(m, op)
	case kernels.ReLUBackward:
		reluBackward(m, op)
	case kernels.GELUForward:
		geluForward(m, op)
	case kernels.GELUBackward:
		geluBackward(m, op)
	case kernels.SiLUForward:
		siluForward(m, op)
	case kernels.SiLUBackward:
		siluBackward(m, op)
	case kernels.Add:
		add(m, op)
	case kernels.AvgPoolForward:
		avgPoolForward(m, op)
	case kernels.AvgPoolBackward:
		avgPoolBackward(m, op)
	case kernels.MaxPoolForward:
		maxPoolForward(m, op)
	case kernels.MaxPoolBackward:
		return maxPoolBackward(m, op)
	case kernels.DropoutForward:
		dropoutForward(m, op)
	case kernels.DropoutBackward:
		dropoutBackward(m, op)
	case kernels.ReLUDropoutForward:
		reluDropoutForward(m, op)
	case kernels.ReLUDropoutBackward:
		reluDropoutBackward(m, op)
	case kernels.SoftmaxCrossEntropy:
		return softmaxCrossEntropy(m, op)
	case kernels.Adam:
		return adam(m, op)
	case kernels.SGD:
		return sgd(m, op)
	case kernels.MuonMomentum:
		muonMomentum(m, op)
	case kernels.MuonNormalize:
		muonNormalize(m, op)
	case kernels.NewtonSchulz:
		newtonSchulz(m, op)
	case kernels.MuonStep:
		return muonStep(m, op)
	case kernels.EMA:
		ema(m, op)
	case kernels.AdvanceState:
		advanceState(m, op)
	case kernels.Gather:
		return gather(m, op)
	case kernels.ColumnSum:
		columnSum(m, op)
	case kernels.Fill:
		fill(m, op)
	default:
		return fmt.Errorf("the oracle does not implement this op")
	}
	return nil
}
