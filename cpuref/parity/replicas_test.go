package parity

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// smallLayers are of networks that a device soon compiles; -short trains the first.
var smallLayers = []string{
	"layers: [flatten, linear: {out: classes}]",
	"layers: [conv: {out: 4, kernel: 3, padding: 1}, batchnorm, relu, maxpool: 2, flatten, linear: {out: 16}, relu, dropout: 0.3, linear: {out: classes}]",
}

// interrupter cancels a context after an epoch.
type interrupter struct{ cancel context.CancelFunc }

func (interrupter) Start(trainer.Summary)       {}
func (interrupter) Step(trainer.StepReport)     {}
func (i interrupter) Epoch(trainer.EpochReport) { i.cancel() }

// Replicas that train at once, and are interrupted and resumed, are bit for bit the
// trainings of their seeds alone, on Vulkan as on the CPU (for which the tests of
// package trainer try more).
func TestReplicasAreTheirTrainingsAlone(t *testing.T) {
	tiny := dataset.Info{Name: "tiny", Classes: []string{"high", "middle", "low"}, Shape: dataset.Shape{H: 8, W: 6, C: 1}}
	data := datasettest.StripesOf(tiny, 120)
	r := trainer.DefaultRecipe()
	r.Epochs, r.BatchSize, r.LR, r.Augment, r.Patience = 3, 20, .01, "original", 0
	r.Optimizer, r.Warmup, r.EMA = "muon", 1.5, .9
	b := openVulkan(t)
	for _, layers := range smallLayers {
		n, err := trainer.ParseNetwork("small.yaml", []byte(layers), tiny)
		if err != nil {
			t.Fatal(err)
		}
		var alone, together []trainer.Replica
		for seed := range uint64(3) {
			r.Seed = seed
			o := trainer.Options{Dir: filepath.Join(t.TempDir(), "alone"), LogEvery: 1}
			alone = append(alone, trainer.Replica{Recipe: r, Options: o})
			o.Dir = filepath.Join(t.TempDir(), "together")
			together = append(together, trainer.Replica{Recipe: r, Options: o})
			if _, err := trainer.Train(t.Context(), r, n, data, b, alone[seed].Options); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		together[0].Options.Progress = interrupter{cancel}
		if _, err := trainer.TrainReplicas(ctx, together, n, data, b); !errors.Is(err, trainer.ErrInterrupted) {
			t.Fatalf("interrupted: %v", err)
		}
		for i := range together {
			together[i].Options.Resume, together[i].Options.Progress = true, nil
		}
		if _, err := trainer.TrainReplicas(t.Context(), together, n, data, b); err != nil {
			t.Fatal(err)
		}
		for i := range alone {
			wantSameRun(t, together[i].Options.Dir, alone[i].Options.Dir)
		}
		if testing.Short() {
			break
		}
	}
}

// wantSameRun checks that two runs have the same weights, predictions, losses and
// accuracies.
func wantSameRun(t *testing.T, got, want string) {
	t.Helper()
	read := func(dir, name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, name := range []string{trainer.BestWeights, trainer.LastWeights, trainer.PredictionsFile, trainer.StepsFile} {
		if !bytes.Equal(read(got, name), read(want, name)) {
			t.Errorf("%s of a replica differs", name)
		}
	}
	epochs := func(dir string) [][]string {
		rows, err := csv.NewReader(bytes.NewReader(read(dir, trainer.ResultsFile))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			rows[i] = append(row[:5:5], row[7]) // without the durations
		}
		return rows
	}
	if a, b := epochs(got), epochs(want); !reflect.DeepEqual(a, b) {
		t.Errorf("results of a replica: %v, alone %v", a, b)
	}
}

// BenchmarkReplicas measures a training step of one and of several replicas at once,
// and the time to compile their program once the device has its pipelines: what a
// device gains where one network leaves it idle, and loses to more dispatches where it
// does not. -short leaves out all but the smallest network.
func BenchmarkReplicas(b *testing.B) {
	device := openVulkan(b)
	for _, name := range []string{"logistic", "alternative", "fashioncnn"} {
		for _, replicas := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, replicas), func(b *testing.B) { benchmarkReplicas(b, device, name, replicas) })
		}
		if testing.Short() {
			break
		}
	}
}

func benchmarkReplicas(b *testing.B, device kernels.Backend, name string, replicas int) {
	const batch, steps = 64, 128
	images, labels := synthetic(batch * steps)
	network, _ := model.Zoo(name, model.Shape{H: 28, W: 28, C: 1}, make([]string, 10))
	nets, err := model.BuildReplicas(model.Config{Network: network, Optimizer: model.DefaultAdam(),
		Images: batch * steps, TrainBatches: []int{batch}, TrainImages: batch * steps}, replicas)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	program, err := device.Compile(nets[0].Plan)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(1e3*time.Since(start).Seconds(), "compile-ms")
	defer program.Close()
	begin := func() {
		for _, net := range nets {
			if err := initialise(net, program, images, labels); err != nil {
				b.Fatal(err)
			}
		}
	}
	begin()
	if err := program.Run(model.TrainSection(batch), 1); err != nil { // warms up
		b.Fatal(err)
	}
	for done := 0; done < b.N; done += steps {
		b.StopTimer()
		begin()
		b.StartTimer()
		if err := program.Run(model.TrainSection(batch), min(steps, b.N-done)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(replicas*batch*b.N)/b.Elapsed().Seconds(), "images/s")
}
