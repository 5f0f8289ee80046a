package source

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live/web"
)

func openBackend(t *testing.T) kernels.Backend {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// train trains a small network for two epochs into a folder.
func train(t *testing.T, dir string, b kernels.Backend, data *dataset.Dataset, p trainer.Progress) {
	t.Helper()
	if err := tryTrain(t.Context(), dir, b, data, p); err != nil {
		t.Fatal(err)
	}
}

// tryTrain is train for a goroutine of its own, which cannot end the test.
func tryTrain(ctx context.Context, dir string, b kernels.Backend, data *dataset.Dataset, p trainer.Progress) error {
	r := trainer.DefaultRecipe()
	r.Epochs = 2
	n, err := trainer.BuiltIn("alternative", data.Info)
	if err != nil {
		return err
	}
	result, err := trainer.Train(ctx, r, n, data, b, trainer.Options{Dir: dir, Progress: p, LogEvery: 1, NoPictures: true})
	if hub, ok := p.(*live.Hub); ok {
		hub.End(result, err)
	}
	return err
}

// await returns the first state that is as it should be.
func await(t *testing.T, s *Source, what string, ok func(State) bool) State {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if state := s.State(); ok(state) {
			return state
		}
	}
	t.Fatalf("%s does not come; notes: %q", what, s.State().Notes)
	return State{}
}

func finished(s State) bool {
	return s.End != nil && s.End.Metrics != nil && s.Inside.Epoch == 2 && s.Inside.Activations != nil && s.Confusion != nil
}

// A finished run's folder has everything, and samples can be stepped through in a circle.
func TestFolder(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "experiment", "run")
	data, b := datasettest.Subset(t), openBackend(t)
	train(t, dir, b, data, nil)
	if newest, err := NewestRun(root); err != nil || newest != dir {
		t.Errorf("the newest run is %s (%v), want %s", newest, err, dir)
	}
	if _, err := NewestRun(t.TempDir()); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("a folder without runs: %v", err)
	}
	s, err := Open(t.Context(), Options{Dir: dir, Backend: b,
		Images: func(context.Context, string) (dataset.Split, error) { return data.Test, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	state := await(t, s, "everything", finished)
	if len(state.Epochs) != 2 || len(state.Steps) != 2*19 || state.Run != "run" || state.Start.Parameters == 0 {
		t.Errorf("%d epochs, %d steps, run %q, %+v", len(state.Epochs), len(state.Steps), state.Run, state.Start)
	}
	in := state.Inside
	if in.Samples != data.Test.N || in.Sample != 0 || in.FilterShape != [4]int{16, 5, 5, 1} || len(in.Probabilities) != 10 {
		t.Errorf("sample %d of %d, filters %v", in.Sample, in.Samples, in.FilterShape)
	}
	for _, step := range []struct{ by, want int }{{1, 1}, {-2, data.Test.N - 1}, {1, 0}} {
		s.Move(step.by)
		now := await(t, s, "the sample", func(x State) bool { return x.Inside.Sample == step.want })
		if now.Inside.Version == in.Version || !reflect.DeepEqual(now.Inside.Pixels, data.Test.Image(step.want)) {
			t.Errorf("sample %d has other pixels, or the version stays", step.want)
		}
	}
	resumeTo(t, 3, dir, b, data)
	await(t, s, "the run that is resumed", func(x State) bool { return len(x.Epochs) == 3 && x.End != nil && x.Inside.Epoch == 3 })
}

// resumeTo trains a run further.
func resumeTo(t *testing.T, epochs int, dir string, b kernels.Backend, data *dataset.Dataset) {
	t.Helper()
	r := trainer.DefaultRecipe()
	r.Epochs = epochs
	n, err := trainer.BuiltIn("alternative", data.Info)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trainer.Train(t.Context(), r, n, data, b, trainer.Options{Dir: dir, Resume: true, LogEvery: 1, NoPictures: true}); err != nil {
		t.Fatal(err)
	}
}

// A training is followed from its server while it runs: steps, matrix, and its weights'
// activations of samples, which are its own if there is no dataset.
func TestAttach(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "run")
	data, b := datasettest.Subset(t), openBackend(t)
	hub := live.NewHub(dir, "a device")
	server, err := web.New(web.Options{Folder: root, Hub: hub, Run: "run"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	page := httptest.NewServer(server)
	defer page.Close()
	trained := make(chan error, 1)
	go func() { trained <- tryTrain(t.Context(), dir, b, data, hub) }()
	defer func() {
		if err := <-trained; err != nil {
			t.Errorf("the training: %v", err)
		}
	}()
	events, found := "", ""
	for end := time.Now().Add(60 * time.Second); found == "" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if events, found, err = Attach(t.Context(), page.URL+"/"); err != nil {
			t.Fatal(err)
		}
	}
	if found != dir {
		t.Fatalf("the run is in %q, want %s", found, dir)
	}
	s, err := Open(t.Context(), Options{Dir: found, URL: events, Backend: openBackend(t),
		Images: func(context.Context, string) (dataset.Split, error) {
			return dataset.Split{}, errors.New("no dataset")
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	state := await(t, s, "everything", finished)
	if len(state.Epochs) != 2 || len(state.Steps) == 0 || state.Start.Device != "a device" || state.Step != nil {
		t.Errorf("%d epochs, %d steps, %+v", len(state.Epochs), len(state.Steps), state.Start)
	}
	if state.Inside.Samples != 20 || len(state.Notes) != 1 || state.Notes[0] != "no samples: no dataset" {
		t.Errorf("%d samples, notes %q", state.Inside.Samples, state.Notes)
	}
}

// The test images of a dataset that has changed since are not those of the run.
func TestChangedDataset(t *testing.T) {
	dir := t.TempDir()
	data := datasettest.Subset(t)
	data.SHA256 = map[string]string{"train-images-idx3-ubyte": "other"}
	train(t, dir, openBackend(t), data, nil)
	text, err := os.ReadFile(filepath.Join(dir, trainer.ArgsFile))
	if err != nil {
		t.Fatal(err)
	}
	settings := "dataset: fashion-mnist\n" // as fmnist-gpu writes it
	if err := os.WriteFile(filepath.Join(dir, trainer.ArgsFile), append([]byte(settings), text...), 0o666); err != nil {
		t.Fatal(err)
	}
	if images, err := TestImages(t.Context(), dir, ""); images.N != 0 || !errors.Is(err, dataset.ErrBadData) || !strings.Contains(err.Error(), "differs from the dataset of") {
		t.Errorf("the test images of another dataset: %v", err)
	}
}

// What is wrong with an address or a folder is an error.
func TestErrors(t *testing.T) {
	for _, address := range []string{"", "http://", "127.0.0.1:1"} {
		if _, _, err := Attach(t.Context(), address); err == nil {
			t.Errorf("attached to %q", address)
		}
	}
	if _, err := Open(t.Context(), Options{Dir: t.TempDir()}); err == nil {
		t.Error("an empty folder is a run")
	}
}
