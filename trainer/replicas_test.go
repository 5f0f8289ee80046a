package trainer

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// onTiny returns the recipe of a training of four epochs of 6 steps, with all that
// depends on the seed, its network and its dataset.
func onTiny(t testing.TB) (Recipe, model.Network, *dataset.Dataset) {
	t.Helper()
	tiny := dataset.Info{Name: "tiny", Classes: []string{"high", "middle", "low"}, Shape: dataset.Shape{H: 8, W: 6, C: 1}}
	n, err := ParseNetwork("tiny.yaml", []byte("layers: [conv: {out: 4, kernel: 3, padding: 1}, batchnorm, relu, maxpool: 2, flatten, linear: {out: 16}, relu, dropout: 0.3, linear: {out: classes}]"), tiny)
	if err != nil {
		t.Fatal(err)
	}
	r := DefaultRecipe()
	r.Epochs, r.BatchSize, r.LR, r.Augment, r.Erase, r.Patience = 4, 20, .01, "original", new(.25), 0
	return r, n, datasettest.StripesOf(tiny, 120) // of which 111 are trained on
}

// seeded returns replicas with consecutive seeds, each with a folder.
func seeded(r Recipe, dirs []string) []Replica {
	var list []Replica
	for i, dir := range dirs {
		r.Seed = uint64(42 + i)
		list = append(list, Replica{r, Options{Dir: dir, LogEvery: 1, NoPictures: true}})
	}
	return list
}

// folders returns the names of n new folders.
func folders(t *testing.T, n int) []string {
	var dirs []string
	out := t.TempDir()
	for i := range n {
		dirs = append(dirs, filepath.Join(out, fmt.Sprint(i)))
	}
	return dirs
}

// wantSameRun checks that two runs have the same results, all but durations and memory.
func wantSameRun(t *testing.T, got, want string) {
	t.Helper()
	have, wanted := files(t, got), files(t, want)
	for _, list := range []map[string]string{have, wanted} {
		delete(list, ArgsFile) // says how many trained together
	}
	wantSameFolder(t, filepath.Base(got), have, wanted)
	if a, b := untimedResults(t, got), untimedResults(t, want); !reflect.DeepEqual(a, b) {
		t.Errorf("%s: results %v, want %v", filepath.Base(got), a, b)
	}
	if a, b := untimedMetrics(t, got), untimedMetrics(t, want); !reflect.DeepEqual(a, b) {
		t.Errorf("%s: metrics %v, want %v", filepath.Base(got), a, b)
	}
}

func untimedResults(t *testing.T, dir string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(string(readFile(t, dir, ResultsFile)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range rows[0] {
		if name == "seconds" || name == "images_per_second" {
			for _, row := range rows {
				row[i] = ""
			}
		}
	}
	return rows
}

func untimedMetrics(t *testing.T, dir string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(readFile(t, dir, MetricsFile), &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"training_seconds", "images_per_second", "peak_device_memory_bytes", "peak_host_memory_bytes"} {
		if _, ok := m[name]; !ok {
			t.Fatalf("metrics have no %s: %v", name, m)
		}
		delete(m, name)
	}
	return m
}

// trainedAlone trains each replica by itself and returns the folders.
func trainedAlone(t *testing.T, r Recipe, n model.Network, data *dataset.Dataset, replicas int) []string {
	t.Helper()
	dirs := folders(t, replicas)
	for _, one := range seeded(r, dirs) {
		if _, err := Train(t.Context(), one.Recipe, n, data, openBackend(t), one.Options); err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

// Each replica is bit for bit the training of its seed alone, also if all are
// interrupted and one is resumed alone before the others join it.
func TestReplicasAreTheirTrainingsAlone(t *testing.T) {
	r, n, data := onTiny(t)
	r.Optimizer, r.Warmup, r.EMA, r.Prune, r.Epochs = "muon", 1.5, .9, .3, 5
	const replicas = 3
	alone := trainedAlone(t, r, n, data, replicas)
	together := folders(t, replicas)
	outcomes, err := TrainReplicas(t.Context(), seeded(r, together), n, data, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range together {
		wantSameRun(t, dir, alone[i])
		if o := outcomes[i]; o.Err != nil || len(o.Result.Epochs) != r.Epochs || o.Result.Model.Origin.Seed != uint64(42+i) {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	if string(readFile(t, together[0], BestWeights)) == string(readFile(t, together[1], BestWeights)) {
		t.Error("two seeds have the same weights")
	}

	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1 // one step per submission
	parts := folders(t, replicas)
	resumed := seeded(r, parts)
	interrupt := func(list []Replica, steps int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		list[0].Options.Progress = &cancelAfter{steps, cancel}
		if _, err := TrainReplicas(ctx, list, n, data, openBackend(t)); !errors.Is(err, ErrInterrupted) {
			t.Fatalf("cancelled: %v, want ErrInterrupted", err)
		}
		list[0].Options.Progress = nil
		for i := range list {
			list[i].Options.Resume = true
		}
	}
	interrupt(resumed, 8)
	interrupt(resumed, 3)
	interrupt(resumed[1:2], 4)
	if _, err := TrainReplicas(t.Context(), resumed, n, data, openBackend(t)); err != nil {
		t.Fatal(err)
	}
	for i, dir := range parts {
		wantSameRun(t, dir, alone[i])
	}
	outcomes, err = TrainReplicas(t.Context(), resumed, n, data, openBackend(t))
	if err != nil || !outcomes[0].Result.Finished || outcomes[0].Result.Model == nil {
		t.Errorf("resumed once more: %+v, %v", outcomes, err)
	}
}

// Replicas that stop early, or diverge, leave the others what they are alone.
func TestReplicasEndApart(t *testing.T) {
	r, n, data := onTiny(t)
	r.Epochs, r.Patience, r.LR, r.EMA = 12, 2, .001, .5
	const replicas = 4
	alone := trainedAlone(t, r, n, data, replicas)
	dirs := folders(t, replicas+1)
	list := seeded(r, dirs)
	first, err := Load(alone[0], openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range first.weights.values {
		first.weights.values[i] *= 1e30
	}
	huge := filepath.Join(t.TempDir(), "huge.safetensors")
	if err := first.Save(huge); err != nil {
		t.Fatal(err)
	}
	list[replicas].Options.InitFrom = huge
	outcomes, err := TrainReplicas(t.Context(), list, n, data, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[int]bool{}
	for i, dir := range dirs[:replicas] {
		wantSameRun(t, dir, alone[i])
		lengths[len(outcomes[i].Result.Epochs)] = true
		if outcomes[i].Result.Stopped == "" {
			t.Errorf("replica %d ran through", i)
		}
	}
	if len(lengths) < 2 {
		t.Errorf("all replicas stopped after %v epochs: want a difference", lengths)
	}
	if last := outcomes[replicas]; last.Result != nil || !errors.Is(last.Err, ErrDiverged) {
		t.Errorf("from huge weights: %+v, want ErrDiverged", last)
	}
	if _, err := StateOfRun(dirs[replicas]); err != nil {
		t.Error(err)
	}
}

// limited is a backend with little memory.
type limited struct {
	kernels.Backend
	bytes int
}

var errFull = fmt.Errorf("%w: it is full", kernels.ErrOutOfMemory)

func (b limited) Compile(p *kernels.Plan) (kernels.Program, error) {
	if p.Bytes() > b.bytes {
		return nil, errFull
	}
	return b.Backend.Compile(p)
}

// If the device has no room for all replicas, the error says for how many it has.
func TestReplicasThatFit(t *testing.T) {
	r, n, data := onTiny(t)
	p, err := newPartition(r, data)
	if err != nil {
		t.Fatal(err)
	}
	c := modelConfig(r, n, p, nil)
	c.Images = data.Train.N + data.Test.N
	for _, room := range []int{1, 3, 4, 5} {
		nets, err := model.BuildReplicas(c, room)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Rehearse(seeded(r, folders(t, 5)), n, data, limited{openBackend(t), nets[0].Plan.Bytes()})
		if room == 5 {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var few *ReplicasError
		if !errors.As(err, &few) || few.Fit != room || few.Wanted != 5 || !errors.Is(err, errFull) {
			t.Errorf("room for %d: %v", room, err)
		}
	}
	if _, err := Rehearse(seeded(r, folders(t, 5)), n, data, limited{openBackend(t), 1}); !errors.Is(err, errFull) || errors.As(err, new(*ReplicasError)) {
		t.Errorf("room for none: %v", err)
	}
}

// budgeted is a limited backend that tells what fits, but for what it takes to compile.
type budgeted struct {
	limited
	compile int // percent of the plan's bytes in addition
}

func (b budgeted) Fits(p *kernels.Plan) error {
	if p.Bytes() > b.bytes {
		return errFull
	}
	return nil
}

func (b budgeted) Compile(p *kernels.Plan) (kernels.Program, error) {
	if p.Bytes()*(100+b.compile)/100 > b.bytes {
		return nil, errFull
	}
	return b.Backend.Compile(p)
}

// If the device has no room for a batch, the error says for which it has.
func TestBatchThatFits(t *testing.T) {
	r, n, data := onTiny(t)
	p, err := newPartition(r, data)
	if err != nil {
		t.Fatal(err)
	}
	room := func(batch int) int {
		small := r
		small.BatchSize = batch
		c := modelConfig(small, n, p, openBackend(t))
		c.Images = data.Train.N + data.Test.N
		net, err := model.Build(c)
		if err != nil {
			t.Fatal(err)
		}
		return net.Plan.Bytes()
	}
	for _, c := range []struct{ wanted, room, compile, least, most int }{{100, 20, 0, 20, 20}, {100, 99, 0, 64, 64}, {100, 50, 5, 20, 49}, {100, 100, 5, 64, 64}, {9, 1, 0, 1, 8}} {
		r.BatchSize = c.wanted
		_, err := Rehearse(seeded(r, folders(t, 1)), n, data, budgeted{limited{openBackend(t), room(c.room)}, c.compile})
		var batch *BatchError
		if !errors.As(err, &batch) || batch.Wanted != c.wanted || batch.Fit < c.least || batch.Fit > c.most || !errors.Is(err, errFull) {
			t.Errorf("a batch of %d with room for %d: %v", c.wanted, c.room, err)
		}
	}
	if _, err := Rehearse(seeded(r, folders(t, 1)), n, data, budgeted{limited{openBackend(t), 1}, 0}); !errors.Is(err, errFull) || errors.As(err, new(*BatchError)) {
		t.Errorf("room for none: %v", err)
	}
}

// Only the seed may differ.
func TestReplicasOfOneRecipe(t *testing.T) {
	r, n, data := onTiny(t)
	list := seeded(r, folders(t, 2))
	list[1].Recipe.LR = .5
	if _, err := TrainReplicas(t.Context(), list, n, data, openBackend(t)); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "differ in lr (0.01 and 0.5)") {
		t.Errorf("two learning rates: %v", err)
	}
	if _, err := TrainReplicas(t.Context(), nil, n, data, openBackend(t)); !errors.Is(err, ErrUsage) {
		t.Errorf("no replica: %v", err)
	}
	list = seeded(r, folders(t, 1))
	if _, err := TrainReplicas(t.Context(), append(list, list[0]), n, data, openBackend(t)); !errors.Is(err, ErrUsage) {
		t.Errorf("one folder twice: %v", err)
	}
}
