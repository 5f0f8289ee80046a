package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// config is a training with a built-in network and the options that tests vary.
type config struct {
	Recipe
	Model    string
	Dropout  *float64 // nil for the network's own
	InitFrom string
	LogEvery int
}

func defaultConfig() config { return config{Recipe: DefaultRecipe(), Model: "fashioncnn"} }

// small returns a training on the subset of 1,280 images: per epoch, 21 steps of
// 60 images and one of 20.
func small() config {
	c := defaultConfig()
	c.Model, c.Epochs, c.BatchSize, c.SelectOn, c.LogEvery = "alternative", 3, 60, "test", 1
	return c
}

// network builds the network for the images and classes of a dataset.
func (c config) network(t *testing.T, d dataset.Info) model.Network {
	t.Helper()
	n, err := BuiltIn(c.Model, d)
	if err != nil {
		t.Fatal(err)
	}
	if c.Dropout != nil {
		n = n.WithDropout(*c.Dropout)
	}
	return n
}

func openBackend(t testing.TB) kernels.Backend {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func train(t *testing.T, ctx context.Context, c config, o Options) (*Result, error) {
	t.Helper()
	return trainOn(t, ctx, c, datasettest.Subset(t), o)
}

func trainOn(t *testing.T, ctx context.Context, c config, data *dataset.Dataset, o Options) (*Result, error) {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	o.InitFrom, o.LogEvery = c.InitFrom, c.LogEvery
	return Train(ctx, c.Recipe, c.network(t, data.Info), data, openBackend(t), o)
}

// evaluate classifies the subset's test images with the best weights of a run.
func evaluate(t *testing.T, dir string) *Evaluation {
	t.Helper()
	m, err := Load(dir, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Evaluate(t.Context(), datasettest.Subset(t).Test)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func readFile(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTrainLearnsAndWritesItsRun(t *testing.T) {
	c, dir := small(), t.TempDir()
	r, err := train(t, context.Background(), c, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Epochs) != 3 || !(r.Epochs[2].TrainLoss < r.Epochs[0].TrainLoss) || !(r.Metrics.Accuracy > .6) {
		t.Errorf("three epochs: %+v, accuracy %v", r.Epochs, r.Metrics.Accuracy)
	}
	if lines := bytes.Count(readFile(t, dir, ResultsFile), []byte("\n")); lines != 4 {
		t.Errorf("results.csv has %d lines, want 4", lines)
	}
	if lines := bytes.Count(readFile(t, dir, StepsFile), []byte("\n")); lines != 1+3*22 {
		t.Errorf("steps.csv has %d lines, want %d", lines, 1+3*22)
	}
	var m metrics.Metrics
	if err := json.Unmarshal(readFile(t, dir, MetricsFile), &m); err != nil {
		t.Fatal(err)
	}
	if m.Protocol != "test" || m.Parameters != 215_466 || m.Accuracy != r.Metrics.Accuracy {
		t.Errorf("metrics.json: %+v", m)
	}
	if lines := bytes.Count(readFile(t, dir, PredictionsFile), []byte("\n")); lines != 1+datasettest.SubsetTest {
		t.Errorf("predictions.csv has %d lines", lines)
	}
}

// Images that lie beside each other are trained on where they are, and stay as they are.
func TestTrainOnLentImages(t *testing.T) {
	c, apart := small(), datasettest.Subset(t)
	c.Epochs = 1
	want, err := trainOn(t, t.Context(), c, apart, Options{})
	if err != nil {
		t.Fatal(err)
	}
	beside := *apart
	all := slices.Concat(apart.Train.Images, apart.Test.Images)
	beside.Train.Images, beside.Test.Images = all[:len(apart.Train.Images)], all[len(apart.Train.Images):]
	if dataset.Adjacent(beside.Train, beside.Val, beside.Test) == nil {
		t.Fatal("the images do not lie beside each other")
	}
	got, err := trainOn(t, t.Context(), c, &beside, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range got.Model.Tensors() {
		if !reflect.DeepEqual(x, want.Model.Tensors()[i]) {
			t.Errorf("%s has other values", x.Name)
		}
	}
	if !bytes.Equal(all, slices.Concat(apart.Train.Images, apart.Test.Images)) {
		t.Error("the images have changed")
	}
}

// The best weights, read back by Evaluate, must give the run's own metrics.
func TestEvaluateGivesTheRunsMetrics(t *testing.T) {
	c, dir := small(), t.TempDir()
	r, err := train(t, context.Background(), c, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	e := evaluate(t, dir)
	if name := e.Model().Network.Name; name != "alternative" || e.Metrics.Accuracy != r.Metrics.Accuracy || e.Metrics.Loss != r.Metrics.Loss {
		t.Errorf("%s: accuracy %v, loss %v; the run had %v, %v", name, e.Metrics.Accuracy, e.Metrics.Loss, r.Metrics.Accuracy, r.Metrics.Loss)
	}
}

// cancelAfter cancels a context at the nth report of steps.
type cancelAfter struct {
	n      int
	cancel context.CancelFunc
}

func (c *cancelAfter) Start(Summary)     {}
func (c *cancelAfter) Epoch(EpochReport) {}
func (c *cancelAfter) Step(StepReport) {
	c.n--
	if c.n == 0 {
		c.cancel()
	}
}

// wantSameFiles checks that two runs' results are the same bits.
func wantSameFiles(t *testing.T, whole, resumed string) {
	t.Helper()
	for _, name := range []string{BestWeights, LastWeights, PredictionsFile, StepsFile} {
		if !bytes.Equal(readFile(t, whole, name), readFile(t, resumed, name)) {
			t.Errorf("%s differs between the whole run and the resumed one", name)
		}
	}
}

// A run that is interrupted in the middle of an epoch and resumed must end
// with the same bits as one that ran through.
func TestResumeIsExact(t *testing.T) {
	c := small()
	c.Dropout, c.Scheduler = new(.25), "onecycle"
	c.Augment, c.Erase, c.Optimizer = "original", new(.25), "adamw" // whose tables are no part of the checkpoint
	c.EMA, c.Prune = .9, .1
	whole, parts := t.TempDir(), t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// One step per submission, so the run ends after step 30, inside the second
	// epoch of 20 steps.
	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1
	_, err := train(t, ctx, c, Options{NoPictures: true, Dir: parts, Progress: &cancelAfter{30, cancel}})
	if !errors.Is(err, ErrInterrupted) {
		t.Fatalf("cancelled: %v, want ErrInterrupted", err)
	}
	if bytes.Count(readFile(t, parts, StepsFile), []byte("\n")) != 31 {
		t.Errorf("the interrupted run logged other than 30 steps:\n%s", readFile(t, parts, StepsFile))
	}
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: parts, Resume: true}); err != nil {
		t.Fatal(err)
	}
	wantSameFiles(t, whole, parts)
}

func TestResumeRefusesDamage(t *testing.T) {
	c := small()
	c.Epochs = 1
	dir := t.TempDir()
	if _, err := train(t, context.Background(), c, Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "checkpoint", "tensors-*.bin"))
	if err != nil || len(files) != 1 {
		t.Fatalf("checkpoint tensors: %v, %v", files, err)
	}
	if err := os.Truncate(files[0], 1000); err != nil {
		t.Fatal(err)
	}
	c.Epochs = 2
	if _, err := train(t, context.Background(), c, Options{Dir: dir, Resume: true}); !errors.Is(err, checkpoint.ErrBadCheckpoint) {
		t.Errorf("truncated tensors: %v", err)
	}
	if _, err := train(t, context.Background(), c, Options{Dir: t.TempDir(), Resume: true}); !errors.Is(err, checkpoint.ErrBadCheckpoint) {
		t.Errorf("no checkpoint: %v", err)
	}
}

// A run continues only on the dataset that it was trained on, wherever that is now.
func TestResumeRefusesAnotherDataset(t *testing.T) {
	c := quick()
	dir := t.TempDir()
	data := datasettest.Subset(t)
	data.SHA256 = map[string]string{"train": "1", "test": "2", "classes": "3"}
	if _, err := trainOn(t, t.Context(), c, data, Options{Dir: dir, NoPictures: true}); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	c.Epochs++
	resume := Options{Dir: dir, Resume: true, NoPictures: true}
	for _, other := range []struct {
		hashes  map[string]string
		changed string
	}{
		{map[string]string{"train": "1", "test": "2", "classes": "4"}, "(changed: classes)"},
		{map[string]string{"train": "0", "test": "0", "classes": "3"}, "(changed: test, train)"},
		{map[string]string{"train": "1", "test": "2", "classes": "3", "val": "5"}, "(changed: val)"},
		{map[string]string{"train": "1", "classes": "3"}, "(changed: test)"},
	} {
		data.SHA256 = other.hashes
		if _, err := trainOn(t, t.Context(), c, data, resume); !errors.Is(err, dataset.ErrBadData) || !strings.Contains(err.Error(), other.changed) {
			t.Errorf("%s: %v", other.changed, err)
		}
	}
	wantSameFolder(t, "refused", files(t, dir), before)
	data.SHA256, data.Dir = map[string]string{"train": "1", "test": "2", "classes": "3"}, "moved"
	if r, err := trainOn(t, t.Context(), c, data, resume); err != nil || len(r.Epochs) != c.Epochs {
		t.Errorf("the same dataset: %v", err)
	}
}

func TestMaxStepsEndsInsideAnEpoch(t *testing.T) {
	c := small()
	c.MaxSteps = 25 // 22 per epoch
	r, err := train(t, context.Background(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Epochs) != 2 || !strings.Contains(r.Stopped, "25 steps") {
		t.Errorf("%d epochs, stopped %q", len(r.Epochs), r.Stopped)
	}
}

// A run that MaxSteps ended inside an epoch continues inside it.
func TestResumeAfterMaxSteps(t *testing.T) {
	c := small()
	c.Scheduler = "none"
	whole, parts := t.TempDir(), t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	short := c
	short.MaxSteps = 30
	if _, err := train(t, context.Background(), short, Options{NoPictures: true, Dir: parts}); err != nil {
		t.Fatal(err)
	}
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: parts, Resume: true}); err != nil {
		t.Fatal(err)
	}
	wantSameFiles(t, whole, parts)
}

// Failing to write a checkpoint is an error, not an interruption, and leaves the
// previous checkpoint unchanged.
func TestFailedSaveIsNotAnInterruption(t *testing.T) {
	c := small()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1
	// The tensors of step 3 cannot replace a folder.
	if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf(tensors, 3), "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := train(t, ctx, c, Options{Dir: dir, Progress: &cancelAfter{3, cancel}})
	if err == nil || errors.Is(err, ErrInterrupted) {
		t.Errorf("error %v, want that of the save", err)
	}
	if _, err := os.Stat(filepath.Join(dir, stateFile)); err == nil {
		t.Error("the state was written without its tensors")
	}
}

func TestPatienceStops(t *testing.T) {
	c := small()
	c.Model, c.Epochs, c.Patience, c.LR = "logistic", 50, 1, 1e-12
	r, err := train(t, context.Background(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Epochs) == 50 || r.BestEpoch != len(r.Epochs)-1 {
		t.Errorf("%d epochs, best %d: want to stop one epoch after the best", len(r.Epochs), r.BestEpoch)
	}
}

func TestDivergenceIsNamed(t *testing.T) {
	c := small()
	c.LR, c.Optimizer = 1000, "sgd"
	_, err := train(t, context.Background(), c, Options{})
	if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "learning rate (lr)") {
		t.Errorf("error %v", err)
	}
}

// With EMA, the weights that a run keeps are the averages, computed here by hand from
// the weights after each step of the same training without it.
func TestEMAByHand(t *testing.T) {
	c := small()
	c.NoEval, c.Epochs = true, 1
	last := func(steps int, ema float64) snapshot {
		t.Helper()
		c.MaxSteps, c.EMA = steps, ema
		r, err := train(t, t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Model.weights
	}
	const steps, decay = 4, .3
	net, err := model.Build(model.Config{Network: c.network(t, dataset.FashionMNIST)})
	if err != nil {
		t.Fatal(err)
	}
	want := [2][]float64{make([]float64, net.Values.Len()), make([]float64, net.Running.Len())}
	for i, p := range net.Params {
		for j, x := range net.Init(i, c.Seed) {
			want[0][p.Tensor.Offset+j] = float64(x)
		}
	}
	for _, p := range net.Stats {
		for j := range p.Tensor.Len() {
			want[1][p.Tensor.Offset+j] = float64(p.Value)
		}
	}
	for step := 1; step <= steps; step++ {
		w := last(step, 0)
		rate := max(1-decay, 9./(10+float64(step)))
		for i, values := range [][]float32{w.values, w.running} {
			for j, x := range values {
				want[i][j] += rate * (float64(x) - want[i][j])
			}
		}
	}
	got := last(steps, decay)
	for i, values := range [][]float32{got.values, got.running} {
		for j, x := range values {
			if !(math.Abs(float64(x)-want[i][j]) <= 1e-6*max(1, math.Abs(want[i][j]))) {
				t.Fatalf("tensor %d, element %d: %v, want %v", i, j, x, want[i][j])
			}
		}
	}
}
