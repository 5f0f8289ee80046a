package cpuref

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// samplesPerTask is the number of samples per task of the loss.
const samplesPerTask = 64

// crossEntropy is a compiled [kernels.SoftmaxCrossEntropy].
type crossEntropy struct {
	logits, dlogits, probs []float32 // (N, C); dlogits may be nil; probs nil or the N rows of this run
	labels                 []uint32
	classes                int
	smoothing              float64

	losses  []float64 // one per sample
	correct []bool
	exps    [][]float64 // by worker: exp(z − max z) of a sample
}

func (p *program) softmaxCrossEntropy(op kernels.SoftmaxCrossEntropy) func() error {
	samples, classes := op.Logits.Shape[0], op.Logits.Shape[1]
	x := &crossEntropy{
		logits: p.floats(op.Logits), dlogits: p.floats(op.DLogits), labels: p.words(op.Labels),
		classes: classes, smoothing: float64(op.Smoothing),
		losses: make([]float64, samples), correct: make([]bool, samples),
	}
	for range p.pool.workers {
		x.exps = append(x.exps, make([]float64, classes))
	}
	state, loss, correct := p.words(op.State), p.floats(op.Loss), p.words(op.Correct)
	probs, sampleLosses := p.floats(op.Probs), p.floats(op.SampleLosses)
	task := func(worker, i int) {
		for n := i * samplesPerTask; n < min((i+1)*samplesPerTask, samples); n++ {
			x.sample(n, x.exps[worker])
		}
	}
	return func() error {
		s := kernels.ParseState(state)
		if err := checkLoss(op, s, x.labels); err != nil {
			return err
		}
		if probs != nil {
			x.probs = probs[int(s.Cursor)*classes:]
		}
		p.pool.run((samples+samplesPerTask-1)/samplesPerTask, task)
		sum, hits := 0.0, uint32(0)
		for n, l := range x.losses {
			sum += l
			if sampleLosses != nil {
				sampleLosses[int(s.Cursor)+n] = float32(l)
			}
			if x.correct[n] {
				hits++
			}
		}
		loss[s.Slot], correct[s.Slot] = float32(sum/float64(samples)), hits
		return nil
	}
}

// sample computes all outputs of sample n; exps is scratch.
func (x *crossEntropy) sample(n int, exps []float64) {
	z, label := x.logits[n*x.classes:(n+1)*x.classes], int(x.labels[n])
	best := 0
	for c, v := range z {
		if v > z[best] {
			best = c
		}
	}
	sum := 0.0
	for c, v := range z {
		exps[c] = math.Exp(float64(v) - float64(z[best]))
		sum += exps[c]
	}
	logSum, perSum, perBatch := float64(z[best])+math.Log(sum), 1/sum, 1/float64(len(x.labels))

	loss := 0.0
	for c, v := range z {
		logP := float64(v) - logSum
		q := x.smoothing / float64(x.classes) // target
		if c == label {
			q += 1 - x.smoothing
		}
		if q > 0 { // 0·log 0 counts as 0
			loss -= q * logP
		}
		probability := exps[c] * perSum
		if x.dlogits != nil {
			x.dlogits[n*x.classes+c] = float32((probability - q) * perBatch)
		}
		if x.probs != nil {
			x.probs[n*x.classes+c] = float32(probability)
		}
	}
	x.losses[n], x.correct[n] = loss, best == label
}

// checkLoss returns an error if the state points outside the logs or a label is
// not a class.
func checkLoss(op kernels.SoftmaxCrossEntropy, s kernels.State, labels []uint32) error {
	if int(s.Slot) >= op.Loss.Len() {
		return fmt.Errorf("slot %d is outside Loss, which has %d slots", s.Slot, op.Loss.Len())
	}
	if !op.Probs.Absent() && int(s.Cursor)+len(labels) > op.Probs.Shape[0] {
		return fmt.Errorf("cursor %d and %d samples are outside Probs, which has %d rows",
			s.Cursor, len(labels), op.Probs.Shape[0])
	}
	if !op.SampleLosses.Absent() && int(s.Cursor)+len(labels) > op.SampleLosses.Len() {
		return fmt.Errorf("cursor %d and %d samples are outside SampleLosses, which has %d entries",
			s.Cursor, len(labels), op.SampleLosses.Len())
	}
	for n, label := range labels {
		if int(label) >= op.Logits.Shape[1] {
			return fmt.Errorf("label %d of sample %d is not one of the %d classes", label, n, op.Logits.Shape[1])
		}
	}
	return nil
}
