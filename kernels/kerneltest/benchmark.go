package kerneltest

import (
	"errors"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Benchmark measures every op on the shapes of the three models' layers at
// batch size 64, in GFLOP/s and in GB/s (see [kernels.Traffic]).
func Benchmark(b *testing.B, backend kernels.Backend) {
	for _, c := range modelLayers() {
		trial := c.Trial()
		b.Run(trial.Op.Kind()+"/"+c.String(), func(b *testing.B) { benchmark(b, backend, c, trial) })
	}
}

func benchmark(b *testing.B, backend kernels.Backend, c Case, trial *Trial) {
	// Only the op itself: the state does not advance, so any number of runs
	// stays in the first slot.
	trial.Plan.Find(sectionName).Ops = []kernels.Op{trial.Op}
	program, err := backend.Compile(&trial.Plan)
	if lacking := (*kernels.PrecisionError)(nil); errors.As(err, &lacking) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer program.Close()
	for i, content := range trial.contents(c.String()) {
		if err := program.Write(trial.whole(i), content); err != nil {
			b.Fatal(err)
		}
	}
	if err := program.Run(sectionName, 1); err != nil { // warm up
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := program.Run(sectionName, b.N); err != nil {
		b.Fatal(err)
	}
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)*float64(trial.Op.FLOPs())/seconds/1e9, "GFLOP/s")
	b.ReportMetric(float64(b.N)*float64(kernels.Traffic(trial.Op))/seconds/1e9, "GB/s")
}

// modelLayers are the ops of a training step of the three models at batch size
// 64, fused and single, and the inference forms of batch-norm.
func modelLayers() []Case {
	const batch = 64
	var cases []Case
	for _, c := range modelConvs(batch) {
		cases = append(cases, ConvForward{Conv: c, Bias: true}, ConvForward{Conv: c, Bias: true, Statistics: true},
			ConvBackwardInput{c}, ConvBackwardWeight{c, false}, ConvBackwardWeight{c, true},
			ColumnSum{R: c.N * c.H * c.W, C: c.O})
		mixed := c
		mixed.Precision = kernels.Mixed
		cases = append(cases, ConvForward{Conv: mixed, Bias: true, Statistics: true}, ConvBackwardInput{mixed}, ConvBackwardWeight{mixed, true})
		bn := BatchNorm{Shape: c.y(), Std: 1}
		cases = append(cases, BatchNormForward{bn, false}, BatchNormInference{bn}, BatchNormBackward{bn},
			ReLUForward{c.y(), true}, ReLUBackward{c.y(), true}, GELUForward{c.y(), false}, GELUBackward{c.y(), true},
			SiLUForward{c.y(), false}, SiLUBackward{c.y(), true}, Add{c.y(), true, "A"})
	}
	for i, c := range modelFused(batch) {
		cases = append(cases, ConvBatchNormInference{modelConvs(batch)[i], true, true, c.Size})
		cases = append(cases, BatchNormReLUPoolForward{c}, BatchNormReLUPoolInference{c}, BatchNormReLUPoolBackward{c, true, false})
	}
	for _, c := range modelPools(batch) {
		cases = append(cases, MaxPoolForward{c, "mixed", false}, MaxPoolBackward{c, false})
	}
	for _, c := range modelGEMMs(batch) {
		cases = append(cases, c)
		c.Precision = kernels.Mixed
		cases = append(cases, c)
	}
	dropout := Dropout{N: batch, U: 256, P: 0.25, Seed: 42}
	return append(cases,
		DropoutForward{dropout}, DropoutBackward{dropout}, ReLUDropoutForward{dropout}, ReLUDropoutBackward{dropout},
		SoftmaxCrossEntropy{N: batch, C: 10, Values: "normal", DLogits: true},
		Adam{Len: 1701632, Steps: 1}, SGD{Len: 1701632, Momentum: 0.9, Steps: 1},
		MuonMomentum{Len: 256 * 6272, Momentum: .95}, MuonNormalize{N: 256}, NewtonSchulz{N: 256}, MuonStep{Len: 256 * 6272, Steps: 1},
		EMA{Len: 1701632, Decay: 0.999, Steps: 1},
		Gather{M: batch, H: 28, W: 28, N: batch, Entries: batch}, // only the images that it reads, since GB/s counts them all
		Fill{Len: 1701632},
		AdvanceState{Start: kernels.NewState(42, 0, 0.9, 0.999), Batch: batch, Beta1: 0.9, Beta2: 0.999, Times: 1},
	)
}
