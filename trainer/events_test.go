package trainer

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/tensorboardtest"
)

// scalars returns a tag's values by step. Two values of a step are an error.
func scalars(t *testing.T, list []tensorboardtest.Value, tag string) map[int64]float32 {
	t.Helper()
	values := map[int64]float32{}
	for _, v := range list {
		if v.Tag != tag {
			continue
		}
		if _, twice := values[v.Step]; twice {
			t.Errorf("%s: step %d twice", tag, v.Step)
		}
		values[v.Step] = v.Message.GetSimpleValue()
	}
	return values
}

// wantScalars checks that a tag has these values, at these steps, and no others.
func wantScalars(t *testing.T, list []tensorboardtest.Value, tag string, want map[int64]float64) {
	t.Helper()
	got := scalars(t, list, tag)
	if len(got) != len(want) {
		t.Errorf("%s has %d values, want %d", tag, len(got), len(want))
	}
	for step, x := range want {
		if got[step] != float32(x) {
			t.Errorf("%s at step %d is %v, want %v", tag, step, got[step], x)
		}
	}
}

func TestEventsOfARun(t *testing.T) {
	c := quick() // 22 steps per epoch
	c.LogEvery, c.Scheduler = 10, "cosine"
	dir := t.TempDir()
	r, err := train(t, context.Background(), c, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	list := tensorboardtest.Folder(t, dir)
	byEpoch := func(figure func(EpochReport) float64) map[int64]float64 {
		return map[int64]float64{22: figure(r.Epochs[0]), 44: figure(r.Epochs[1])}
	}
	wantScalars(t, list, "loss/train", byEpoch(func(e EpochReport) float64 { return e.TrainLoss }))
	wantScalars(t, list, "accuracy/train", byEpoch(func(e EpochReport) float64 { return e.TrainAccuracy }))
	wantScalars(t, list, "loss/val", byEpoch(func(e EpochReport) float64 { return e.ValLoss }))
	wantScalars(t, list, "accuracy/val", byEpoch(func(e EpochReport) float64 { return e.ValAccuracy }))
	wantScalars(t, list, "learning_rate", byEpoch(func(e EpochReport) float64 { return e.LR }))
	wantScalars(t, list, "images_per_second", byEpoch(func(e EpochReport) float64 { return e.ImagesPerSecond }))
	wantScalars(t, list, "accuracy/test", map[int64]float64{44: r.Metrics.Accuracy})
	wantScalars(t, list, "loss/test", map[int64]float64{44: r.Metrics.Loss})
	wantScalars(t, list, "f1/test", map[int64]float64{44: r.Metrics.Macro.F1})
	losses, rates := map[int64]float64{}, map[int64]float64{}
	for _, line := range strings.Split(strings.TrimSpace(string(readFile(t, dir, StepsFile))), "\n")[1:] {
		var step int64
		var loss, rate float64
		if _, err := fmt.Sscanf(strings.ReplaceAll(line, ",", " "), "%d %g %g", &step, &loss, &rate); err != nil {
			t.Fatal(err)
		}
		losses[step], rates[step] = loss, rate
	}
	if len(losses) != 4 {
		t.Errorf("%d steps are logged, want 4", len(losses))
	}
	wantScalars(t, list, "loss/step", losses)
	wantScalars(t, list, "learning_rate/step", rates)
	wantHistograms(t, list, r.Model)
	wantPictures(t, list, dir)
	wantHyperparameters(t, list, c)
}

// wantHistograms checks the histograms of a logistic regression after two epochs, of
// which the last is the best.
func wantHistograms(t *testing.T, list []tensorboardtest.Value, m *Model) {
	t.Helper()
	for _, p := range m.net.Params {
		tag := strings.Replace(p.Name, ".", "/", 1)
		weights := m.weights.part(m.net, p)
		var steps []int64
		for _, v := range list {
			if v.Tag != tag {
				continue
			}
			steps = append(steps, v.Step)
			h := v.Message.GetHisto()
			if h.GetNum() != float64(len(weights)) {
				t.Errorf("%s: %v values, want %d", tag, h.GetNum(), len(weights))
			}
			if best := int64(22 * m.Origin.Epoch); v.Step == best && (h.GetMin() != float64(slices.Min(weights)) || h.GetMax() != float64(slices.Max(weights))) {
				t.Errorf("%s: from %v to %v, want %v to %v", tag, h.GetMin(), h.GetMax(), slices.Min(weights), slices.Max(weights))
			}
		}
		if !slices.Equal(steps, []int64{22, 44}) {
			t.Errorf("%s: histograms at the steps %v", tag, steps)
		}
	}
}

func wantPictures(t *testing.T, list []tensorboardtest.Value, dir string) {
	t.Helper()
	found := 0
	for _, v := range list {
		if p := v.Message.GetImage(); p != nil {
			found++
			if string(p.EncodedImageString) != string(readFile(t, dir, v.Tag+".png")) || v.Step != 44 {
				t.Errorf("the picture %s at step %d is not the run's", v.Tag, v.Step)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d pictures, want the confusion matrix and the samples", found)
	}
}

// The dropout that a program sets is a hyperparameter.
func TestHyperparameters(t *testing.T) {
	c := quick()
	n, err := BuiltIn("fashioncnn", dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	run := &training{session: &session{net: &model.Net{Config: model.Config{Network: n}}}, recipe: c.Recipe.Resolved(), data: dataset.FashionMNIST,
		options: Options{Settings: args{Model: "fashioncnn", Dropout: new(.5), Recipe: c.Recipe.Resolved()}, InitFrom: "runs/first"}}
	h, err := run.hyperparameters()
	if err != nil {
		t.Fatal(err)
	}
	if h["model"] != "fashioncnn" || h["dataset"] != "fashion-mnist" || h["dropout"] != .5 || h["init"] != "runs/first" {
		t.Errorf("%v", h)
	}
}

func wantHyperparameters(t *testing.T, list []tensorboardtest.Value, c config) {
	t.Helper()
	var found []string
	for _, v := range list {
		name, ok := strings.CutPrefix(v.Tag, "_hparams_/")
		if !ok {
			continue
		}
		found = append(found, name)
		if start := v.HParams(t).GetSessionStartInfo(); start != nil {
			h := start.Hparams
			if h["model"].GetStringValue() != "logistic" || h["lr"].GetNumberValue() != c.LR || h["scheduler"].GetStringValue() != "cosine" ||
				h["epochs"].GetNumberValue() != 2 || h["flip"].GetStringValue() != "none" || h["rotate"] == nil || h["dataset"].GetStringValue() != "fashion-mnist" ||
				h["images"].GetStringValue() != "28×28×1" || len(h) != len(recipeSettings)+4 {
				t.Errorf("hyperparameters %v, want the recipe's and the model", h)
			}
		}
	}
	if want := []string{"session_start_info", "session_end_info"}; !slices.Equal(found, want) {
		t.Errorf("%v, want %v", found, want)
	}
}

// curves describes everything in a folder's event files that must not depend on how
// often the run was interrupted, in TensorBoard's order.
func curves(t *testing.T, dir string) []string {
	t.Helper()
	var list, hyperparameters []string
	for _, v := range tensorboardtest.Folder(t, dir) {
		switch {
		case v.Tag == imagesPerSecondTag:
			list = append(list, fmt.Sprint(v.Step, v.Tag))
		case strings.HasPrefix(v.Tag, "_hparams_/"): // with the times of start and end
			hyperparameters = append(hyperparameters, v.Tag)
		default:
			list = append(list, fmt.Sprint(v.Step, v.Message))
		}
	}
	return append(list, hyperparameters...)
}

func wantSameCurves(t *testing.T, what, dir string, want []string) {
	t.Helper()
	got := curves(t, dir)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("%s: %d events, want %d; event %d differs", what, len(got), len(want), i)
			return
		}
	}
}

// A run that is killed at any point while a file is written, and resumed, has the
// events of a run that was never killed, each once.
func TestEventsOfKilledRuns(t *testing.T) {
	c := quick()
	c.Epochs, c.MaxSteps, c.LogEvery = 3, 40, 3
	whole := t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	want := curves(t, whole)
	files := map[int]int{}
	for point := 0; ; point++ {
		dir := t.TempDir()
		path, was := killed(t, point, c, Options{NoPictures: true, Dir: dir})
		if !was {
			break
		}
		if _, err := os.Stat(filepath.Join(dir, MetricsFile)); err != nil { // otherwise nothing more was to be written
			tearEvents(t, dir)
		}
		_, err := os.Stat(filepath.Join(dir, ArgsFile))
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: err == nil}); err != nil {
			t.Errorf("killed at point %d, %s: %v", point, path, err)
			continue
		}
		wantSameCurves(t, fmt.Sprintf("killed at point %d, %s", point, filepath.Base(path)), dir, want)
		paths, _ := filepath.Glob(filepath.Join(dir, "events.*"))
		files[len(paths)]++
	}
	if files[1] == 0 || files[2] == 0 || len(files) != 2 {
		t.Errorf("numbers of files: %v, want 1 where nothing could be kept, else 2", files)
	}
}

// tearEvents adds half a record to a folder's last event file, as a program leaves it
// that is killed while it writes.
func tearEvents(t *testing.T, dir string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "events.*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		return
	}
	data := readFile(t, paths[len(paths)-1])
	if err := os.WriteFile(paths[len(paths)-1], append(data, data[:20]...), 0o666); err != nil {
		t.Fatal(err)
	}
}

// A run that is interrupted inside an epoch, or gets more steps or epochs after its
// end, has the events of a run that went through.
func TestEventsOfResumedRuns(t *testing.T) {
	c := quick()
	c.Epochs, c.LogEvery = 3, 1
	whole := t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	want := curves(t, whole)
	for name, shorter := range map[string]func(*config){
		"fewer epochs": func(c *config) { c.Epochs = 2 },
		"fewer steps":  func(c *config) { c.MaxSteps = 30 },
	} {
		short, dir := c, t.TempDir()
		shorter(&short)
		if _, err := train(t, context.Background(), short, Options{NoPictures: true, Dir: dir}); err != nil {
			t.Fatal(err)
		}
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
			t.Fatal(err)
		}
		wantSameCurves(t, name, dir, want)
	}
	dir := interruptedRun(t, c)
	if got := scalars(t, tensorboardtest.Folder(t, dir), stepLossTag); len(got) != 30 {
		t.Errorf("the interrupted run has the loss of %d steps, want 30", len(got))
	}
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
		t.Fatal(err)
	}
	wantSameCurves(t, "interrupted", dir, want)
}

// Without evaluations there are no curves of them.
func TestEventsWithoutEvaluation(t *testing.T) {
	c := quick()
	c.NoEval = true
	dir := t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	list := tensorboardtest.Folder(t, dir)
	wantScalars(t, list, valLossTag, nil)
	wantScalars(t, list, valAccuracyTag, nil)
	if n := len(scalars(t, list, trainLossTag)); n != c.Epochs {
		t.Errorf("%d epochs, want %d", n, c.Epochs)
	}
	for _, v := range list {
		if math.IsNaN(float64(v.Message.GetSimpleValue())) {
			t.Errorf("%s is NaN", v.Tag)
		}
	}
}
