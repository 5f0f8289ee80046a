package cpuref

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// compile returns the function that runs op.
func (p *program) compile(op kernels.Op) (func() error, error) {
	if err := p.backend.checkPrecision(op); err != nil {
		return nil, err
	}
	switch op := op.(type) {
	case kernels.ConvForward:
		return p.convForward(op), nil
	case kernels.ConvBatchNormInference:
		return p.convBatchNormInference(op), nil
	case kernels.ConvBackwardInput:
		return p.convBackwardInput(op), nil
	case kernels.ConvBackwardWeight:
		return p.convBackwardWeight(op), nil
	case kernels.GEMM:
		return p.gemm(op), nil
	case kernels.BatchNormForward:
		return p.batchNormForward(op), nil
	case kernels.BatchNormInference:
		return p.batchNormInference(op), nil
	case kernels.BatchNormBackward:
		return p.batchNormBackward(op), nil
	case kernels.BatchNormReLUPoolForward:
		return p.batchNormReLUPoolForward(op), nil
	case kernels.BatchNormReLUPoolInference:
		return p.batchNormReLUPoolInference(op), nil
	case kernels.BatchNormReLUPoolBackward:
		return p.batchNormReLUPoolBackward(op), nil
	case kernels.ReLUForward:
		return p.reluForward(op), nil
	case kernels.ReLUBackward:
		return p.reluBackward(op), nil
	case kernels.GELUForward:
		return p.geluForward(op), nil
	case kernels.GELUBackward:
		return p.geluBackward(op), nil
	case kernels.SiLUForward:
		return p.siluForward(op), nil
	case kernels.SiLUBackward:
		return p.siluBackward(op), nil
	case kernels.Add:
		return p.add(op), nil
	case kernels.AvgPoolForward:
		return p.avgPoolForward(op), nil
	case kernels.AvgPoolBackward:
		return p.avgPoolBackward(op), nil
	case kernels.MaxPoolForward:
		return p.maxPoolForward(op), nil
	case kernels.MaxPoolBackward:
		return p.maxPoolBackward(op), nil
	case kernels.DropoutForward:
		return p.dropout(op.X, op.Y, op.State, op.P, op.Layer, false), nil
	case kernels.DropoutBackward: // the same mask and scale, applied to the gradient
		return p.dropout(op.DY, op.DX, op.State, op.P, op.Layer, false), nil
	case kernels.ReLUDropoutForward:
		return p.reluDropoutForward(op), nil
	case kernels.ReLUDropoutBackward:
		return p.reluDropoutBackward(op), nil
	case kernels.SoftmaxCrossEntropy:
		return p.softmaxCrossEntropy(op), nil
	case kernels.Adam:
		return p.adam(op), nil
	case kernels.SGD:
		return p.sgd(op), nil
	case kernels.MuonMomentum:
		return p.muonMomentum(op), nil
	case kernels.MuonNormalize:
		return p.muonNormalize(op), nil
	case kernels.NewtonSchulz:
		return p.newtonSchulz(op), nil
	case kernels.MuonStep:
		return p.muonStep(op), nil
	case kernels.EMA:
		return p.ema(op), nil
	case kernels.AdvanceState:
		return p.advanceState(op), nil
	case kernels.Gather:
		return p.gather(op), nil
	case kernels.ColumnSum:
		return p.columnSum(op), nil
	case kernels.Fill:
		return p.fill(op), nil
	}
	return nil, fmt.Errorf("the CPU backend does not implement it")
}

// elementsPerTask is the number of elements per task of an element-wise op:
// enough to outweigh the cost of scheduling, few enough to stay in a core's
// cache.
const elementsPerTask = 1 << 14

// elementwise returns the function that runs body on n elements in parallel
// parts.
func (p *program) elementwise(n int, body func(from, to int)) func() error {
	tasks := (n + elementsPerTask - 1) / elementsPerTask
	joined := p.takeJoined()
	task := func(_, i int) {
		from, to := i*elementsPerTask, min((i+1)*elementsPerTask, n)
		body(from, to)
		if joined != nil {
			joined(from, to)
		}
	}
	return func() error {
		p.pool.run(tasks, task)
		return nil
	}
}
