package oracle

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// softmaxCrossEntropy works sample by sample, on logits less their maximum:
//
//	log p[c] = (z[c] − max) − log Σ_k exp(z[k] − max)
func softmaxCrossEntropy(m *memory, op kernels.SoftmaxCrossEntropy) error {
	logits, labels, s := m.floats(op.Logits), m.words(op.Labels), m.state(op.State)
	dlogits, probs, sampleLosses := m.floats(op.DLogits), m.floats(op.Probs), m.floats(op.SampleLosses)
	samples, classes := op.Logits.Shape[0], op.Logits.Shape[1]
	if err := checkLossState(op, s); err != nil {
		return err
	}
	sum, correct := 0.0, uint32(0)
	for n := range samples {
		loss := 0.0
		z, label := logits[n*classes:(n+1)*classes], int(labels[n])
		if label >= classes {
			return fmt.Errorf("label %d of sample %d is not one of the %d classes", label, n, classes)
		}
		logSum := logSumExp(z)
		if argmax(z) == label {
			correct++
		}
		for c := range classes {
			logP := float64(z[c]) - logSum
			q := float64(op.Smoothing) / float64(classes)
			if c == label {
				q += 1 - float64(op.Smoothing)
			}
			if q > 0 { // an infinitely unlikely class of weight 0 adds 0
				loss -= q * logP
			}
			p := math.Exp(logP)
			if dlogits != nil {
				dlogits[n*classes+c] = float32((p - q) / float64(samples))
			}
			if probs != nil {
				probs[(int(s.Cursor)+n)*classes+c] = float32(p)
			}
		}
		sum += loss
		if sampleLosses != nil {
			sampleLosses[int(s.Cursor)+n] = float32(loss)
		}
	}
	m.floats(op.Loss)[s.Slot] = float32(sum / float64(samples))
	m.words(op.Correct)[s.Slot] = correct
	return nil
}

// checkLossState returns an error if the state points outside the logs.
func checkLossState(op kernels.SoftmaxCrossEntropy, s kernels.State) error {
	if int(s.Slot) >= op.Loss.Len() {
		return fmt.Errorf("slot %d is outside Loss, which has %d slots", s.Slot, op.Loss.Len())
	}
	if !op.Probs.Absent() && int(s.Cursor)+op.Logits.Shape[0] > op.Probs.Shape[0] {
		return fmt.Errorf("cursor %d and %d samples are outside Probs, which has %d rows",
			s.Cursor, op.Logits.Shape[0], op.Probs.Shape[0])
	}
	if !op.SampleLosses.Absent() && int(s.Cursor)+op.Logits.Shape[0] > op.SampleLosses.Len() {
		return fmt.Errorf("cursor %d and %d samples are outside SampleLosses, which has %d entries",
			s.Cursor, op.Logits.Shape[0], op.SampleLosses.Len())
	}
	return nil
}

// logSumExp returns log Σ exp(z) without overflow.
func logSumExp(z []float32) float64 {
	largest := float64(z[argmax(z)])
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(float64(v) - largest)
	}
	return largest + math.Log(sum)
}

// argmax returns the position of the first largest element.
func argmax(z []float32) int {
	best := 0
	for i, v := range z {
		if v > z[best] {
			best = i
		}
	}
	return best
}
