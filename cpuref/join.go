package cpuref

import (
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// An element-wise op that reads the result of the op before it is joined to that: it
// processes each part of the result right after it was computed, in the cache. The
// bits are the same.

// compileJoined compiles the first op, with as many of the following ops as join it.
func (p *program) compileJoined(ops []kernels.Op) ([]step, error) {
	bodies := p.followers(ops)
	if len(bodies) > 0 {
		p.joined = func(from, to int) {
			for _, body := range bodies {
				body(from, to)
			}
		}
	}
	run, err := p.compile(ops[0])
	if err != nil {
		return nil, err
	}
	steps := []step{{op: ops[0], run: run}}
	for i := range bodies {
		steps = append(steps, step{op: ops[1+i], run: func() error { return nil }, joined: true})
	}
	return steps, nil
}

// takeJoined returns what to do with the elements [from, to) of the result of the op
// that is being compiled once they are computed, or nil. Ops that have a result call it.
func (p *program) takeJoined() func(from, to int) {
	joined := p.joined
	p.joined = nil
	return joined
}

// followers returns the bodies of the ops that join the first one.
func (p *program) followers(ops []kernels.Op) (bodies []func(from, to int)) {
	result := resultOf(ops[0])
	for i, next := range ops[1:] {
		depends := func(op kernels.Op) bool { return !independent(op, next) }
		if result.Absent() || slices.ContainsFunc(ops[:i+1], depends) {
			break
		}
		switch op := next.(type) {
		case kernels.Add:
			if !same(op.A, result) && !same(op.B, result) {
				return bodies
			}
			bodies = append(bodies, p.addPart(op))
		case kernels.ReLUBackward:
			if !same(op.DY, result) {
				return bodies
			}
			bodies = append(bodies, p.reluBackwardPart(op))
		default:
			return bodies
		}
		result = resultOf(next)
	}
	return bodies
}

// resultOf returns the result of an op that others can join.
func resultOf(op kernels.Op) kernels.Tensor {
	switch op := op.(type) {
	case kernels.Add:
		return op.Y
	case kernels.ReLUBackward:
		return op.DX
	case kernels.BatchNormForward:
		return op.Y
	case kernels.BatchNormInference:
		return op.Y
	case kernels.ConvBatchNormInference:
		return op.Y
	case kernels.ConvBackwardInput:
		return op.DX
	}
	return kernels.Tensor{}
}

// independent reports whether op and next have no tensor but op's result that one of
// them writes.
func independent(op, next kernels.Op) bool {
	result := resultOf(op)
	return !slices.ContainsFunc(op.Operands(), func(o kernels.Operand) bool {
		return !o.Tensor.Absent() && !same(o.Tensor, result) &&
			slices.ContainsFunc(next.Operands(), func(n kernels.Operand) bool {
				return !n.Tensor.Absent() && n.Tensor.Buffer == o.Tensor.Buffer && (o.Access|n.Access) != kernels.Read
			})
	})
}

// same reports whether two tensors have the same elements.
func same(a, b kernels.Tensor) bool {
	return a.Buffer == b.Buffer && a.Offset == b.Offset && a.Len() == b.Len()
}
