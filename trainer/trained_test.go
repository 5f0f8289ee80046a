package trainer

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// colour describes a dataset that has nothing in common with Fashion-MNIST.
var colour = dataset.Info{Name: "flags", Classes: []string{"high", "middle", "low"}, Shape: dataset.Shape{H: 20, W: 26, C: 3}}

// onColour returns a training on 120 colour images, and its dataset.
func onColour() (config, *dataset.Dataset) {
	c := defaultConfig()
	c.Model, c.Epochs, c.BatchSize = "alternative", 2, 20
	return c, datasettest.StripesOf(colour, 120)
}

// trained returns the model of a training on colour images.
func trained(t *testing.T) (*Model, *dataset.Dataset) {
	t.Helper()
	c, data := onColour()
	r, err := trainOn(t, t.Context(), c, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Model, data
}

// pictures returns the images of a split as pictures.
func pictures(s dataset.Split) []image.Image {
	var list []image.Image
	for i := range s.N {
		list = append(list, s.Picture(i))
	}
	return list
}

// Colour images that are not square and have other classes than Fashion-MNIST's are
// trained on, evaluated, classified and explained like any others.
func TestColourFromTrainingToPrediction(t *testing.T) {
	c, data := onColour()
	dir := filepath.Join(t.TempDir(), "run")
	run, err := trainOn(t, t.Context(), c, data, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	wantWholeRun(t, dir)
	m, err := Load(dir, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Network; n.Name != "alternative" || imageShape(n) != colour.Shape || !slices.Equal(n.Classes, colour.Classes) {
		t.Errorf("loaded %s for images of %v and the classes %v", n.Name, n.Input, n.Classes)
	}
	if m.Origin != run.Model.Origin || m.Origin.Protocol != "val" || m.Origin.Seed != 42 || m.Origin.Epoch != run.BestEpoch {
		t.Errorf("origin %+v, want %+v", m.Origin, run.Model.Origin)
	}
	e, err := m.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := e.Metrics, run.Metrics; a.Accuracy != 1 || a.Accuracy != b.Accuracy || a.Loss != b.Loss || a.Macro != b.Macro || a.Protocol != b.Protocol || !reflect.DeepEqual(a.ConfusionMatrix, b.ConfusionMatrix) {
		t.Errorf("evaluated: %+v, the run had %+v", e.Metrics, run.Metrics)
	}
	if in := m.Input(data.Train.Picture(1), picture.InvertAuto); !slices.Equal(in, data.Train.Image(1)) {
		t.Error("the input made of a training picture is not the training image")
	}
	list, err := m.PredictBatch(pictures(data.Train))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range list {
		label := int(data.Train.Labels[i])
		if best := p.Best(); len(p) != 3 || best.Label != label || best.Class != colour.Classes[label] {
			t.Fatalf("image %d: %+v, want %s", i, p, colour.Classes[label])
		}
	}
	heated, err := m.Explain(data.Test.Image(0), 0, HiResCAM)
	if err != nil || heated.Bounds().Dx()*colour.H != heated.Bounds().Dy()*colour.W {
		t.Errorf("explained: %v (%v), want an image of the same proportions", heated.Bounds(), err)
	}
}

// wantWholeRun checks that a finished run has all its files, and no others.
func wantWholeRun(t *testing.T, dir string) {
	t.Helper()
	want := append([]string{ArgsFile, MetricsFile, PredictionsFile, mistakesFile, ResultsFile, BestWeights, LastWeights, stateFile, "checkpoint/tensors-12.bin"}, allPictures...)
	var got []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(path, "events.out.tfevents.") {
			got = append(got, path)
		}
		return err
	})
	slices.Sort(want)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the run has %v (%v), want %v", got, err, want)
	}
}

// What would silently give other figures, or another picture, is refused.
func TestEvaluationRefuses(t *testing.T) {
	m, data := trained(t)
	e, err := m.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := e.Without([]int{0, 2}); err != nil || rest.Images != data.Test.N-2 {
		t.Errorf("without two images: %+v (%v)", rest, err)
	}
	for _, indices := range [][]int{{2, 0}, {1, 1}, {-1}, {data.Test.N}} {
		if _, err := e.Without(indices); !errors.Is(err, ErrUsage) {
			t.Errorf("without %v: %v", indices, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "evaluation")
	if err := e.Write(dir, "grad-cam"); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), `"grad-cam": want hirescam or gradcam`) {
		t.Errorf("an unknown method: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
	if _, err := m.Explain(data.Test.Image(0), 0, "grad-cam"); !errors.Is(err, ErrUsage) {
		t.Errorf("an unknown method: %v", err)
	}
}

// Where an evaluation's metrics are, the other files are of the same evaluation: a later one
// that fails leaves none.
func TestEvaluationWrites(t *testing.T) {
	m, data := trained(t)
	e, err := m.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var changed []string
	atomicfile.Failpoint = func(path string) {
		changed = append(changed, filepath.Base(path))
		if _, err := os.Stat(filepath.Join(dir, MetricsFile)); err == nil && filepath.Base(path) != MetricsFile {
			t.Errorf("%s is changed beside the metrics of another evaluation", filepath.Base(path))
		}
	}
	defer func() { atomicfile.Failpoint = nil }()
	for range 2 {
		if err := e.Write(dir, HiResCAM); err != nil {
			t.Fatal(err)
		}
		if changed[len(changed)-1] != MetricsFile {
			t.Errorf("written last: %s", changed[len(changed)-1])
		}
	}
	roc := filepath.Join(dir, ROCPicture)
	if err := errors.Join(os.Remove(roc), os.Mkdir(roc, 0o777)); err != nil {
		t.Fatal(err)
	}
	changed = nil
	if err := e.Write(dir, HiResCAM); err == nil || !strings.Contains(err.Error(), roc) {
		t.Errorf("with a folder in place of a picture: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, MetricsFile)); err == nil || slices.Contains(changed, SamplesPicture) {
		t.Errorf("after an error, the metrics are there (%v), and %v changed", err, changed)
	}
}

// Settings that would make a run impossible to resume, and a folder for two replicas, are
// refused before anything is written.
func TestOptionsRefused(t *testing.T) {
	c, data := onColour()
	n, dir := c.network(t, colour), filepath.Join(t.TempDir(), "run")
	for say, replicas := range map[string][]Replica{
		"does not say the recipe and the network": {{c.Recipe, Options{Dir: dir, Settings: map[string]any{"project": "mine"}}}},
		"Options.Settings does not say":           {{c.Recipe, Options{Dir: dir, Settings: 5}}},
		"says another recipe":                     {{c.Recipe, Options{Dir: dir, Settings: map[string]any{"model": c.Model, "lr": .5}}}},
		"have the same folder":                    {{c.Recipe, Options{Dir: dir}}, {c.Recipe, Options{Dir: dir + "/"}}},
	} {
		if _, err := TrainReplicas(t.Context(), replicas, n, data, openBackend(t)); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), say) {
			t.Errorf("%v, want %q", err, say)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}

func TestExplainRefuses(t *testing.T) {
	m, data := trained(t)
	input := data.Test.Image(0)
	for _, c := range []struct {
		input []byte
		label int
	}{{input[1:], 0}, {nil, 0}, {input, -1}, {input, 3}} {
		if _, err := m.Explain(c.input, c.label, HiResCAM); !errors.Is(err, ErrUsage) {
			t.Errorf("%d bytes and the label %d: %v", len(c.input), c.label, err)
		}
	}
	c, data := onColour()
	c.Model = "logistic"
	r, err := trainOn(t, t.Context(), c, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Model.Explain(input, 0, HiResCAM); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "no convolutions") {
		t.Errorf("logistic: %v", err)
	}
}

// A rehearsal says what the training will be, and fails where that would.
func TestRehearse(t *testing.T) {
	c, data := onColour()
	dir := filepath.Join(t.TempDir(), "run")
	got, err := Rehearse([]Replica{{c.Recipe, Options{Dir: dir}}}, c.network(t, colour), data, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
	p := &start{}
	if _, err := trainOn(t, t.Context(), c, data, Options{Progress: p}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p.Summary) || got.TrainImages != 111 || got.SelectImages != 9 || got.StepsPerEpoch != 6 {
		t.Errorf("%+v, want %+v", got, p.Summary)
	}
	if _, err := Rehearse([]Replica{{c.Recipe, Options{InitFrom: filepath.Join(dir, "none.pth")}}}, c.network(t, colour), data, openBackend(t)); err == nil {
		t.Error("weights that do not exist are no error")
	}
	data.Train.Labels[2] = 1 // of class 2, one image is left
	for i := 8; i < data.Train.N; i += 3 {
		data.Train.Labels[i] = 1
	}
	if _, err := Rehearse([]Replica{{c.Recipe, Options{}}}, c.network(t, colour), data, openBackend(t)); !errors.Is(err, dataset.ErrBadData) || !strings.Contains(err.Error(), fmt.Sprintf("class %q has 1 image", data.Classes[2])) {
		t.Errorf("a class of one image: %v", err)
	}
	c.NoEval = true // needs no held-out images
	if got, err = Rehearse([]Replica{{c.Recipe, Options{}}}, c.network(t, colour), data, openBackend(t)); err != nil || got.TrainImages != 120 || got.SelectImages != 0 {
		t.Errorf("without evaluation: %+v (%v)", got, err)
	}
	data.Shape.C = 4
	if _, err := Rehearse([]Replica{{c.Recipe, Options{}}}, mustNetwork(t, "logistic"), data, openBackend(t)); err == nil {
		t.Error("4 channels are accepted")
	}
}

// A saved model is the same model when it is loaded.
func TestSaveAndLoad(t *testing.T) {
	m, data := trained(t)
	m.Framing = picture.FrameObject
	m.Normalization = model.Normalization{Mean: []float64{.5, .4, 1. / 3}, Std: []float64{.5, .25, .7}}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	for _, wrong := range []string{"", filepath.Join(t.TempDir(), "model.pth"), filepath.Join(t.TempDir(), "model.ONNX")} {
		if err := m.Save(wrong); !errors.Is(err, ErrUsage) {
			t.Errorf("saved as %q: %v", wrong, err)
		}
	}
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	if !sameNetwork(t, got.Network, m.Network) || !reflect.DeepEqual(got.Normalization, m.Normalization) || got.Framing != m.Framing || got.Origin != m.Origin {
		t.Errorf("loaded %+v, %v, %v, %+v", got.Network, got.Normalization, got.Framing, got.Origin)
	}
	if n, err := ReadNetwork(path); err != nil || !sameNetwork(t, n, m.Network) {
		t.Errorf("without weights, %+v, %v", n, err)
	}
	want, err := m.PredictBatch(pictures(data.Test))
	if err != nil {
		t.Fatal(err)
	}
	if list, err := got.PredictBatch(pictures(data.Test)); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("other probabilities than those of the model that was saved (%v)", err)
	}
	for _, c := range []struct {
		normalization model.Normalization
		same          bool
	}{{m.Normalization, true}, {model.DefaultNormalization(3), false}} {
		named, err := LoadAs(path, openBackend(t), m.Network)
		if err != nil {
			t.Fatal(err)
		}
		if c.same && !reflect.DeepEqual(named.Normalization, c.normalization) {
			t.Errorf("loaded as a given network, with the normalization %v", named.Normalization)
		}
		named.Normalization = c.normalization
		if list, err := named.PredictBatch(pictures(data.Test)); err != nil || reflect.DeepEqual(list, want) != c.same {
			t.Errorf("with the normalization %v, the same probabilities: %v, want %v (%v)", c.normalization, !c.same, c.same, err)
		}
	}
}

// sameNetwork reports whether two networks differ in nothing but where they were read.
func sameNetwork(t *testing.T, a, b model.Network) bool {
	t.Helper()
	layers, err1 := a.YAML()
	others, err2 := b.YAML()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return a.Name == b.Name && a.Input == b.Input && slices.Equal(a.Classes, b.Classes) && layers == others
}

// Names in metadata can be anybody's text: they reach the terminal without what it
// would obey.
func TestNamesInMetadata(t *testing.T) {
	m, _ := trained(t)
	m.Network.Name, m.Network.Classes = "a\nb", []string{"é 1", "\x1b[31m", "c\u202ed"}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Network; n.Name != "a\ufffdb" || !slices.Equal(n.Classes, []string{"é 1", "\ufffd[31m", "c\ufffdd"}) {
		t.Errorf("the names are %q and %q", n.Name, n.Classes)
	}
}

// The framing is that of the training's dataset, also on images like Fashion-MNIST's.
func TestFramingOfAModel(t *testing.T) {
	for _, framing := range []picture.Framing{"", picture.FrameCrop, picture.FrameObject} {
		c, data := quick(), datasettest.Stripes(40)
		c.Epochs, data.Framing = 1, framing
		dir := t.TempDir()
		if _, err := trainOn(t, t.Context(), c, data, Options{NoPictures: true, Dir: dir}); err != nil {
			t.Fatal(err)
		}
		want := framing
		if want == "" {
			want = picture.FrameCrop // what the zero value means
		}
		if m, err := Load(dir, openBackend(t)); err != nil || m.Framing != want {
			t.Errorf("%q: loaded with %q (%v)", framing, m.Framing, err)
		}
	}
}

// alike reports whether predictions are the same but for rounding: with few or many images,
// the CPU backend computes a convolution by different algorithms, which differ by some
// 1e-6 of its largest sums.
func alike(a, b []Prediction) bool {
	return slices.EqualFunc(a, b, func(p, q Prediction) bool {
		return slices.EqualFunc(p, q, func(x, y ClassProbability) bool {
			return x.Class == y.Class && x.Label == y.Label && math.Abs(float64(x.Probability-y.Probability)) <= 1e-5
		})
	})
}

// However many pictures are classified at a time, the probabilities are the same but for
// rounding; with two or more at a time they are the same bits.
func TestPredictBatch(t *testing.T) {
	m, data := trained(t)
	images := pictures(data.Test)[:100]
	var want []Prediction
	for _, img := range images {
		p, err := m.Predict(img)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, p)
	}
	all, err := m.PredictBatch(images)
	if err != nil || !alike(all, want) {
		t.Errorf("100 pictures: other probabilities than one by one (%v)", err)
	}
	for _, n := range []int{0, 1, 32, 31, 100, 2} { // the last after larger ones
		expected := all[:n]
		if n == 1 {
			expected = want[:n]
		}
		if got, err := m.PredictBatch(images[:n]); err != nil || len(got) != n || n > 0 && !reflect.DeepEqual(got, expected) {
			t.Errorf("%d pictures: other probabilities than of 100 or, if it is one, alone (%v)", n, err)
		}
	}
	if got, err := m.PredictBatch(images[:33]); err != nil || !alike(got, want[:33]) { // the last one is alone
		t.Errorf("33 pictures: other probabilities than one by one (%v)", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Predict(images[0]); err != nil || !reflect.DeepEqual(got, want[0]) {
		t.Errorf("after Close: %v (%v), want %v", got, err, want[0])
	}
	grey := datasettest.Stripes(2).Test
	if _, err := m.Classify(t.Context(), grey); !errors.Is(err, dataset.ErrBadData) {
		t.Errorf("images of another shape: %v", err)
	}
	if _, err := m.Evaluate(t.Context(), grey); !errors.Is(err, dataset.ErrBadData) {
		t.Errorf("images of another shape, evaluated: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Classify(ctx, data.Test); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := m.Predict(nil); !errors.Is(err, ErrUsage) {
		t.Errorf("no picture: %v", err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	idle, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Predict(images[0]); !errors.Is(err, ErrUsage) {
		t.Errorf("without a backend: %v", err)
	}
}

// A model may be used from any number of goroutines.
func TestModelIsShared(t *testing.T) {
	m, data := trained(t)
	want, err := m.Predict(data.Test.Picture(0))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for range 3 {
				got, err := m.Predict(data.Test.Picture(0))
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("worker %d: %v (%v), want %v", worker, got, err, want)
				}
				list, err := m.PredictBatch(pictures(data.Test)[worker : worker+33])
				if err != nil || list[0].Best().Label != worker%3 {
					t.Errorf("worker %d: %v", worker, err)
				}
			}
			e, err := m.Evaluate(context.Background(), data.Test)
			if err != nil || e.Metrics.Accuracy != 1 {
				t.Errorf("worker %d: %v", worker, err)
			}
			_, explainErr := m.Explain(data.Test.Image(1), 1, GradCAM)
			if err := errors.Join(explainErr, m.Save(filepath.Join(dir, fmt.Sprint(worker, ".safetensors"))), m.Close()); err != nil {
				t.Errorf("worker %d: %v", worker, err)
			}
		})
	}
	group.Wait()
}

// Metadata that cannot be right is refused in one line that names it.
func TestDamagedMetadata(t *testing.T) {
	m, _ := trained(t)
	path := filepath.Join(t.TempDir(), "m.safetensors")
	backend := openBackend(t)
	for _, damage := range []struct{ key, value, say string }{
		{classesKey, `["high", "mid`, `its metadata has the classes "[\"high\", \"mid": want a JSON list of 1 to 256 names`},
		{classesKey, `{"high": 1}`, "its metadata has the classes"},
		{classesKey, `null`, "its metadata has the classes"},
		{classesKey, `[]`, "its metadata has the classes"},
		{classesKey, `["high", "low"]`, "match"},
		{classesKey, `[` + strings.Repeat(`"x",`, dataset.MaxClasses) + `"y"]`, "its metadata has the classes"},
		{imageSizeKey, "20", `its metadata has the image_size 20: want a height and a width, such as "28x28"`},
		{imageSizeKey, "20x26x3", "its metadata has the image_size"},
		{imageSizeKey, "-20x26", "its metadata has the image_size"},
		{imageSizeKey, "0x26", "its metadata has the image_size"},
		{imageSizeKey, "9999x9999", "has an input of 9999×9999×3"},
		{imageSizeKey, "9999999x9999999", "its metadata has the image_size"},
		{imageSizeKey, "99999999999999999999x26", "its metadata has the image_size"},
		{imageSizeKey, "26x20\x1b[31m\n", "its metadata has the image_size"},
		{imageSizeKey, "28x28", "match"},
		{channelsKey, "three", `its metadata has the channels "three": want 1 or 3`},
		{channelsKey, "2", "its metadata has the channels 2: want 1 or 3"},
		{channelsKey, "-3", "its metadata has the channels -3: want 1 or 3"},
		{channelsKey, "1", "the normalization in its metadata has 3 means"},
		{normalizationKey, `{"mean":[0,0,0],"std":[0.5,0,0.5]}`, "the normalization in its metadata"},
		{normalizationKey, `{"mean":[0,0,0],"std":[0.5,1e-60,0.5]}`, "the normalization in its metadata"},
		{normalizationKey, `{"mean":[0,0,0],"std":[0.5,-1,0.5]}`, "the normalization in its metadata"},
		{normalizationKey, `{"mean":[1e300,0,0],"std":[1,1,1]}`, "the normalization in its metadata"},
		{normalizationKey, `{"mean":[0.5],"std":[0.5]}`, "the normalization in its metadata has 1 means and 1 deviations"},
		{normalizationKey, `{"mean":`, "the normalization in its metadata is damaged"},
		{networkKey, "layers: [pool]", "the network in its metadata"},
		{networkKey, "\x1b[31m\nlayers", "the network in its metadata"},
	} {
		about, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		about[damage.key] = damage.value
		if err := checkpoint.Save(path, m.Tensors(), about); err != nil {
			t.Fatal(err)
		}
		_, err = Load(path, backend)
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), damage.say) ||
			!strings.HasPrefix(err.Error(), "checkpoint "+path+": ") || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s %.60q: %v, want an error with %q", damage.key, damage.value, err, damage.say)
		}
	}
}

// Weights of the built-in networks for other images and classes than Fashion-MNIST's
// are recognised by their tensors alone. Those of resnet20 fit images of any size,
// because its last pool is global: it is taken to be for the usual ones.
func TestIdentifyOthers(t *testing.T) {
	letters := make([]string, 26)
	for i := range letters {
		letters[i] = fmt.Sprint(i)
	}
	for _, d := range []dataset.Info{
		{Classes: letters, Shape: dataset.FashionMNIST.Shape},
		{Classes: dataset.FashionMNIST.Classes, Shape: dataset.Shape{H: 32, W: 32, C: 3}},
		{Classes: letters, Shape: dataset.Shape{H: 32, W: 32, C: 3}},
	} {
		for _, name := range model.Names() {
			n, err := BuiltIn(name, d)
			if err != nil {
				t.Fatal(err)
			}
			net, err := model.Build(model.Config{Network: n})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "w.safetensors")
			weights := snapshot{values: make([]float32, net.Values.Len()), running: make([]float32, net.Running.Len())}
			if err := checkpoint.Save(path, weights.tensors(net), nil); err != nil {
				t.Fatal(err)
			}
			m, err := Load(path, nil)
			if err != nil {
				t.Errorf("%s for %v and %d classes: %v", name, d.Shape, len(d.Classes), err)
				continue
			}
			if name == "resnet20" {
				n.Input.H, n.Input.W = 28, 28
			}
			if !reflect.DeepEqual(m.Network, n) || m.Origin.Protocol != "unknown" || len(m.Normalization.Mean) != d.C || (m.Framing == picture.FrameObject) != (d.C == 1) {
				t.Errorf("%s for %v and %d classes is taken for %s for %v and %d classes, %s", name, d.Shape, len(d.Classes), m.Network.Name, m.Network.Input, len(m.Network.Classes), m.Framing)
			}
		}
	}
}

// The dataset's own validation images select the best epoch, and then no training
// images are held out; they leave the test images alone.
func TestValidationImages(t *testing.T) {
	c, data := onColour()
	data.Val = datasettest.StripesOf(colour, 30).Train
	for i := range data.Val.Labels {
		data.Val.Labels[i] = (data.Val.Labels[i] + 1) % 3 // all wrong
	}
	for _, s := range []struct {
		selectOn     string
		selectImages int
		accuracy     float64
	}{{"val", 30, 0}, {"test", 120, 1}} {
		c.SelectOn = s.selectOn
		p, dir := &start{}, t.TempDir()
		r, err := trainOn(t, t.Context(), c, data, Options{NoPictures: true, Dir: dir, Progress: p})
		if err != nil {
			t.Fatal(err)
		}
		if p.TrainImages != 120 || p.SelectImages != s.selectImages {
			t.Errorf("%s: %d images to train on, %d to select on", s.selectOn, p.TrainImages, p.SelectImages)
		}
		if last := r.Epochs[len(r.Epochs)-1]; last.ValAccuracy != s.accuracy || r.Metrics.Accuracy != 1 || r.Metrics.Images != 120 {
			t.Errorf("%s: accuracies %v in the epoch and %v of %d test images", s.selectOn, last.ValAccuracy, r.Metrics.Accuracy, r.Metrics.Images)
		}
		if rows := strings.Split(string(readFile(t, dir, PredictionsFile)), "\n"); !strings.HasPrefix(rows[1], "0,0,0,") {
			t.Errorf("%s: the first prediction is %s", s.selectOn, rows[1])
		}
	}
}

// start keeps a training's summary.
type start struct{ Summary }

func (s *start) Start(x Summary)   { s.Summary = x }
func (s *start) Step(StepReport)   {}
func (s *start) Epoch(EpochReport) {}
