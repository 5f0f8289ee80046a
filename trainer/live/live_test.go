package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// small is a training of a second.
func small(out string) study.Config {
	c := study.DefaultConfig()
	c.Model, c.Epochs, c.SelectOn, c.Out, c.Name, c.LogEvery = "alternative", 3, "test", out, "small", 1
	return c
}

// train trains into a folder and reports to the hub.
func train(t *testing.T, ctx context.Context, c study.Config, progress trainer.Progress, resume bool) (*trainer.Result, error) {
	t.Helper()
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	return study.Train(ctx, c, datasettest.Subset(t), backend, trainer.Options{Dir: filepath.Join(c.Out, c.Name), Progress: progress, Resume: resume, NoPictures: true,
		Environment: trainer.Environment{Device: "a device"}})
}

// collect receives events until the channel is closed.
func collect(t *testing.T, history []Event, next <-chan Event) []Event {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case e, ok := <-next:
			if !ok {
				return history
			}
			history = append(history, e)
		case <-deadline:
			t.Fatalf("the channel is still open after %d events", len(history))
		}
	}
}

func epochsOf(list []Event) (epochs []*Epoch) {
	for _, e := range list {
		if e.Epoch != nil {
			epochs = append(epochs, e.Epoch)
		}
	}
	return epochs
}

func reports(list []Event) (reports []trainer.EpochReport) {
	for _, e := range epochsOf(list) {
		reports = append(reports, e.Report)
	}
	return reports
}

// A subscriber from the beginning sees a whole training: its start, its steps, each
// epoch with the predictions of its weights, and its end. One who comes later sees the
// same curves.
func TestHub(t *testing.T) {
	c := small(t.TempDir())
	hub := NewHub(filepath.Join(c.Out, c.Name), "a device")
	history, next, cancel := hub.Subscribe()
	defer cancel()
	received := make(chan []Event)
	go func() {
		for e := range next {
			history = append(history, e)
		}
		received <- history
	}()
	result, err := train(t, t.Context(), c, hub, false)
	if err != nil {
		t.Fatal(err)
	}
	hub.End(result, nil)
	all := <-received
	first, last := all[0].Start, all[len(all)-1].End
	if first == nil || first.Network != "alternative" || first.Parameters != 215_466 || first.Device != "a device" || first.Epochs != 3 || first.StepsPerEpoch != 20 ||
		first.Steps != 60 || first.SelectImages != datasettest.SubsetTest || len(first.Classes) != 10 || first.Shape != [3]int{28, 28, 1} || len(first.Layers) == 0 {
		t.Errorf("the start is %+v", first)
	}
	if last == nil || last.State != Finished || last.Metrics != result.Metrics {
		t.Errorf("the end is %+v", last)
	}
	if got := reports(all); !reflect.DeepEqual(got, result.Epochs) {
		t.Errorf("the epochs are %+v, want %+v", got, result.Epochs)
	}
	checkEvaluations(t, epochsOf(all), result)
	checkSteps(t, all, result)

	later, next, cancel := hub.Subscribe()
	defer cancel()
	later = collect(t, later, next)
	if got := reports(later); !reflect.DeepEqual(got, result.Epochs) {
		t.Errorf("later, the epochs are %+v, want %+v", got, result.Epochs)
	}
	for i, e := range epochsOf(later) {
		if whole := i == len(result.Epochs)-1; (e.ConfusionMatrix != nil) != whole || (e.Samples != nil) != whole {
			t.Errorf("later, epoch %d has the matrix %v and %d samples, want them of the last epoch alone", i+1, e.ConfusionMatrix, len(e.Samples))
		}
	}
}

// checkEvaluations compares each epoch's predictions with its accuracy, and those of the
// best epoch with the metrics of its weights, which are of the same images here.
func checkEvaluations(t *testing.T, epochs []*Epoch, result *trainer.Result) {
	t.Helper()
	images := datasettest.Subset(t).Test
	for i, e := range epochs {
		right := 0
		for class, row := range e.ConfusionMatrix {
			right += row[class]
		}
		if accuracy := float64(right) / float64(images.N); !(math.Abs(accuracy-e.Report.ValAccuracy) < 1e-9) {
			t.Errorf("epoch %d: the matrix has the accuracy %v, want %v", i+1, accuracy, e.Report.ValAccuracy)
		}
		if len(e.Samples) != mostSamples {
			t.Errorf("epoch %d has %d samples, want %d", i+1, len(e.Samples), mostSamples)
		}
		for _, s := range e.Samples {
			if !bytes.Equal(s.Pixels, images.Image(s.Index)) || s.Label != int(images.Labels[s.Index]) {
				t.Errorf("epoch %d: sample %d is not the test image of that number", i+1, s.Index)
			}
		}
	}
	best := epochs[result.BestEpoch-1]
	if !reflect.DeepEqual(best.ConfusionMatrix, result.Metrics.ConfusionMatrix) {
		t.Errorf("the best epoch's matrix is %v, want that of its weights, %v", best.ConfusionMatrix, result.Metrics.ConfusionMatrix)
	}
	for _, s := range best.Samples {
		p, err := result.Model.Predict(images.Picture(s.Index))
		if err != nil {
			t.Fatal(err)
		}
		if best := p.Best(); metrics.Predicted(s.Probabilities) != best.Label || !(math.Abs(float64(s.Probabilities[best.Label]-best.Probability)) < 1e-4) {
			t.Errorf("sample %d has the probabilities %v, want class %d with %v", s.Index, s.Probabilities, best.Label, best.Probability)
		}
	}
}

// checkSteps checks that the steps count up to the last, and that their losses make up
// each epoch's.
func checkSteps(t *testing.T, all []Event, result *trainer.Result) {
	t.Helper()
	sums := map[int]float64{}
	before := Step{}
	for _, e := range all {
		if e.Step == nil {
			continue
		}
		s := *e.Step
		done := s.ImagesDone
		if s.Epoch == before.Epoch {
			done -= before.ImagesDone
		}
		if s.Step <= before.Step || s.Images != datasettest.SubsetTrain {
			t.Errorf("after step %d comes %+v", before.Step, s)
		}
		sums[s.Epoch] += s.RecentLoss * float64(done)
		before = s
	}
	if before.Step != 60 {
		t.Errorf("the last step is %d, want 60", before.Step)
	}
	for _, e := range result.Epochs {
		if got := sums[e.Epoch] / datasettest.SubsetTrain; !(math.Abs(got-e.TrainLoss) < 1e-6) {
			t.Errorf("the losses of epoch %d have the mean %v, want %v", e.Epoch, got, e.TrainLoss)
		}
	}
}

// The loss of the latest images follows from two means, and the time left from the
// speed.
func TestStep(t *testing.T) {
	hub := NewHub("", "")
	recipe := trainer.DefaultRecipe()
	recipe.Epochs, recipe.BatchSize = 2, 10
	hub.Start(trainer.Summary{Recipe: recipe, TrainImages: 95, StepsPerEpoch: 10, FirstEpoch: 1})
	hub.Step(trainer.StepReport{Epoch: 1, ImagesDone: 30, Images: 95, Loss: 3, NewImages: 30, ImagesPerSecond: 10})
	hub.Step(trainer.StepReport{Epoch: 1, ImagesDone: 95, Images: 95, Loss: 2, NewImages: 65, ImagesPerSecond: 10})
	history, _, cancel := hub.Subscribe()
	defer cancel()
	got := history[2].Step
	if want := (2*95. - 3*30) / 65; !(math.Abs(got.RecentLoss-want) < 1e-12) || got.Step != 10 || !(math.Abs(got.ETASeconds-9.5) < 1e-9) {
		t.Errorf("the second step is %+v, want a recent loss of %v, step 10 and 9.5 s left", got, want)
	}
}

// A subscriber who does not read delays nobody and costs nothing: at last it gets every
// epoch and as many steps as the history keeps, in order.
func TestSlowSubscriber(t *testing.T) {
	hub := NewHub("", "")
	recipe := trainer.DefaultRecipe()
	recipe.Epochs, recipe.BatchSize = 100, 1
	hub.Start(trainer.Summary{Recipe: recipe, TrainImages: 500, StepsPerEpoch: 500, FirstEpoch: 1})
	_, next, cancel := hub.Subscribe()
	defer cancel()
	for epoch := 1; epoch <= 100; epoch++ {
		for image := 1; image <= 500; image++ {
			hub.Step(trainer.StepReport{Epoch: epoch, ImagesDone: image, Images: 500, Loss: 1, NewImages: 1, ImagesPerSecond: 1})
		}
		hub.Epoch(trainer.EpochReport{Epoch: epoch})
	}
	hub.End(nil, errors.New("it burns"))
	if len(hub.steps) > mostSteps {
		t.Errorf("the history has %d steps, want at most %d", len(hub.steps), mostSteps)
	}
	all := collect(t, nil, next)
	steps, last := 0, 0
	for _, e := range all {
		if e.Step != nil {
			if e.Step.Step <= last {
				t.Fatalf("step %d comes after step %d", e.Step.Step, last)
			}
			steps, last = steps+1, e.Step.Step
		}
	}
	if steps < mostSteps/2 || steps > mostSteps+1 || last != 50_000 {
		t.Errorf("there are %d steps up to %d, want about %d up to 50,000", steps, last, mostSteps)
	}
	if got := len(epochsOf(all)); got != 100 {
		t.Errorf("there are %d epochs, want 100", got)
	}
	if end := all[len(all)-1].End; end == nil || end.State != Failed || end.Error != "it burns" {
		t.Errorf("the end is %+v", end)
	}
}

// A subscriber who leaves is forgotten.
func TestCancel(t *testing.T) {
	hub := NewHub("", "")
	hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe()})
	_, next, cancel := hub.Subscribe()
	cancel()
	cancel()
	if left := collect(t, nil, next); len(left) > 0 {
		t.Errorf("after cancel comes %v", left)
	}
}

// A finished run's folder gives the events of its training.
func TestReplay(t *testing.T) {
	c := small(t.TempDir())
	result, err := train(t, t.Context(), c, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Replay(filepath.Join(c.Out, c.Name))
	if err != nil {
		t.Fatal(err)
	}
	start := all[0].Start
	if start == nil || start.Network != "alternative" || start.Parameters != 215_466 || start.Device != "a device" || start.Epochs != 3 || len(start.Classes) != 10 || start.SelectOn != "test" {
		t.Errorf("the start is %+v", start)
	}
	var steps int
	for _, e := range all {
		if e.Step != nil {
			steps++
		}
		if e.Run != "small" {
			t.Errorf("the run of %+v is %q", e, e.Run)
		}
	}
	if steps != 60 {
		t.Errorf("there are %d steps, want the 60 of steps.csv", steps)
	}
	got := reports(all)
	if len(got) != len(result.Epochs) {
		t.Fatalf("there are %d epochs, want %d", len(got), len(result.Epochs))
	}
	for i, e := range got {
		if want := result.Epochs[i]; e.Epoch != want.Epoch || e.ValAccuracy != want.ValAccuracy || e.Best != want.Best || !(math.Abs(e.TrainLoss-want.TrainLoss) < 1e-6) {
			t.Errorf("epoch %d is %+v, want %+v", i+1, e, want)
		}
	}
	end := all[len(all)-1].End
	if end == nil || end.State != Finished || end.Metrics.Accuracy != result.Metrics.Accuracy {
		t.Errorf("the end is %+v", end)
	}
}

func TestReplayErrors(t *testing.T) {
	if _, err := Replay(t.TempDir()); !errors.Is(err, checkpoint.ErrBadCheckpoint) {
		t.Errorf("of an empty folder: %v, want ErrBadCheckpoint", err)
	}
	c := small(t.TempDir())
	c.Model, c.Epochs = "logistic", 1
	if _, err := train(t, t.Context(), c, nil, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{trainer.MetricsFile, trainer.StepsFile, trainer.ResultsFile, trainer.ArgsFile} {
		path := filepath.Join(c.Out, c.Name, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append([]byte("\"\x00,"), text...), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(filepath.Join(c.Out, c.Name)); err == nil || !bytes.Contains([]byte(err.Error()), []byte(name)) {
			t.Errorf("with a damaged %s: %v, want an error that names it", name, err)
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// A long steps.csv is thinned evenly, and an error in it names the line.
func TestManySteps(t *testing.T) {
	for _, c := range []struct{ rows, stride int }{{mostSteps, 1}, {mostSteps + 1, 2}, {100_000, 64}} {
		var text bytes.Buffer
		text.WriteString("step,loss,lr\n")
		for i := range c.rows {
			fmt.Fprintf(&text, "%d,%d.5,0.1\n", i+1, i+1)
		}
		steps, err := parseSteps(&text)
		if want := (c.rows + c.stride - 1) / c.stride; err != nil || len(steps) != want {
			t.Fatalf("%d steps of %d (%v), want %d", len(steps), c.rows, err, want)
		}
		for i, s := range steps {
			if want := i*c.stride + 1; s.Step != want || s.RecentLoss != float64(want)+.5 {
				t.Fatalf("%d rows: %+v is at %d, want step %d", c.rows, s, i, want)
			}
		}
	}
	if steps, err := parseSteps(strings.NewReader("step,loss,lr\n1,0.5,0.1\n2,NaN,0.1\n3,inf,0.1\n")); err != nil || len(steps) != 1 {
		t.Errorf("losses that JSON cannot hold: %v (%v), want the first step alone", steps, err)
	}
	for _, row := range []string{"x,1,0.1", "3,y,0.1"} {
		if _, err := parseSteps(strings.NewReader("step,loss,lr\n1,0.5,0.1\n" + row + "\n")); err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want an error that names the line", row, err)
		}
	}
}

// stopAfter cancels a training after an epoch.
type stopAfter struct {
	*Hub
	epoch  int
	cancel func()
}

func (s stopAfter) Step(r trainer.StepReport) {
	s.Hub.Step(r)
	if r.Epoch > s.epoch {
		s.cancel()
	}
}

// The hub of a resumed run begins with the epochs and steps that the run had.
func TestResumed(t *testing.T) {
	c := small(t.TempDir())
	dir := filepath.Join(c.Out, c.Name)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := NewHub(dir, "")
	_, err := train(t, ctx, c, stopAfter{first, 1, cancel}, false)
	first.End(nil, err)
	if !errors.Is(err, trainer.ErrInterrupted) {
		t.Fatal(err)
	}
	history, _, cancel := first.Subscribe()
	cancel()
	if end := history[len(history)-1].End; end == nil || end.State != Interrupted {
		t.Errorf("the end is %+v, want interrupted", end)
	}
	hub := NewHub(dir, "")
	result, err := train(t, t.Context(), c, hub, true)
	if err != nil {
		t.Fatal(err)
	}
	history, _, cancel = hub.Subscribe()
	cancel()
	numbers := []int{}
	for _, e := range reports(history) {
		numbers = append(numbers, e.Epoch)
	}
	if fmt.Sprint(numbers) != "[1 2 3]" || len(result.Epochs) != 3 {
		t.Errorf("the epochs are %v, want 1 to 3", numbers)
	}
	steps := 0
	for _, e := range history {
		if e.Step != nil && e.Step.Step <= 20 {
			steps++
		}
	}
	if steps != 20 {
		t.Errorf("there are %d steps of the first epoch, want 20 from steps.csv", steps)
	}
}

// Watch follows a run that is trained elsewhere, to its end.
func TestWatch(t *testing.T) {
	c := small(t.TempDir())
	dir := filepath.Join(c.Out, c.Name)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := train(t, ctx, c, stopAfter{NewHub("", ""), 1, cancel}, false); !errors.Is(err, trainer.ErrInterrupted) {
		t.Fatal(err)
	}
	history, next, err := Watch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(epochsOf(history)); n != 1 {
		t.Fatalf("at first there are %d epochs, want 1", n)
	}
	result, err := train(t, t.Context(), c, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	all := collect(t, history, next)
	numbers := []int{}
	for _, e := range reports(all) {
		numbers = append(numbers, e.Epoch)
	}
	if fmt.Sprint(numbers) != "[1 2 3]" {
		t.Errorf("the epochs are %v, want 1 to 3", numbers)
	}
	if end := all[len(all)-1].End; end == nil || end.Metrics.Accuracy != result.Metrics.Accuracy {
		t.Errorf("the end is %+v, want the run's", end)
	}
}

// A run that starts again is sent again, from its start.
func TestAdded(t *testing.T) {
	start := Event{Type: TypeStart, Start: &Start{}}
	trained := Event{Type: TypeStart, Start: &Start{Parameters: 1}}
	epoch := func(n int) Event {
		return Event{Type: TypeEpoch, Epoch: &Epoch{Report: trainer.EpochReport{Epoch: n}}}
	}
	step := func(n int) Event { return Event{Type: TypeStep, Step: &Step{Step: n}} }
	for name, c := range map[string]struct{ before, now, want []Event }{
		"nothing":     {[]Event{trained, step(1), epoch(1)}, []Event{trained, step(1), epoch(1)}, nil},
		"an epoch":    {[]Event{trained, step(1), epoch(1)}, []Event{trained, step(1), step(2), epoch(1), epoch(2)}, []Event{step(2), epoch(2)}},
		"weights":     {[]Event{start}, []Event{trained, epoch(1)}, []Event{trained, epoch(1)}},
		"a new start": {[]Event{trained, epoch(1), epoch(2)}, []Event{trained, epoch(1)}, []Event{trained, epoch(1)}},
	} {
		if got := added(c.before, c.now); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v is added, want %+v", name, got, c.want)
		}
	}
}
