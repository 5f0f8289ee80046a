package audit

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

func openCPU(t *testing.T) kernels.Backend {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// noise returns a split of random images, smooth enough for some to be alike.
func noise(r *rand.Rand, shape dataset.Shape, n int) dataset.Split {
	s := dataset.Split{N: n, Shape: shape, Images: make([]byte, n*shape.Len()), Labels: make([]byte, n)}
	for i := range n {
		level := 100 + 30*r.Float64()
		for k := range shape.Len() {
			level = max(0, min(255, level+40*r.NormFloat64()))
			s.Images[i*shape.Len()+k] = byte(level)
		}
	}
	return s
}

// standard shifts and scales an image to mean 0 and standard deviation 1.
func standard(pixels []byte) []float64 {
	mean, square := 0., 0.
	z := make([]float64, len(pixels))
	for _, x := range pixels {
		mean += float64(x) / float64(len(pixels))
	}
	for i, x := range pixels {
		z[i] = float64(x) - mean
		square += z[i] * z[i] / float64(len(pixels))
	}
	for i := range z {
		z[i] /= math.Sqrt(square)
	}
	return z
}

// distance is the root mean square difference.
func distance(x, y []float64) float64 {
	sum := 0.
	for i := range x {
		sum += (x[i] - y[i]) * (x[i] - y[i])
	}
	return math.Sqrt(sum / float64(len(x)))
}

// Every pair within the distance is found, over more than one tile, with shapes whose
// blocks are not equal, and no other pair is.
func TestFindTwinsAgainstAllPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	shape := dataset.Shape{H: 5, W: 13, C: 3}
	d := &dataset.Dataset{Info: dataset.Info{Shape: shape}, Train: noise(r, shape, tileSize+50), Test: noise(r, shape, 30), Val: noise(r, shape, 20)}
	const most = .93
	found, err := FindTwins(t.Context(), openCPU(t), d, most, nil)
	if err != nil {
		t.Fatal(err)
	}
	type pair struct{ a, b Image }
	distances := map[pair]float64{}
	for i, w := range found {
		distances[pair{w.A, w.B}] = w.Distance
		if i > 0 && found[i-1].Distance > w.Distance {
			t.Fatal("the twins are not sorted")
		}
	}
	var all []Image
	var standards [][]float64
	for _, p := range parts(d) {
		for i := range p.N {
			all, standards = append(all, Image{p.name, i}), append(standards, standard(p.Image(i)))
		}
	}
	within := 0
	for i, a := range all {
		for j := i + 1; j < len(all); j++ {
			b, want := all[j], distance(standards[i], standards[j])
			if want > most+1e-9 {
				continue // what else was found is counted below
			}
			within++
			got, ok := distances[pair{a, b}]
			if ok != (want <= most) || ok && !(math.Abs(got-want) < 1e-9) {
				t.Fatalf("%v and %v: distance %v, found %v with %v", a, b, want, ok, got)
			}
		}
	}
	if within < 100 || within != len(found) {
		t.Errorf("%d pairs are within the distance and %d found: want the same number, at least 100", within, len(found))
	}
}

// twinned returns a dataset whose test images 1 and 3 have twins in training: the same
// bytes, and the same picture darker and with less contrast. Test image 4 and training
// image 5 are each of one brightness, and test image 5 is the mirror of training image 0.
func twinned() *dataset.Dataset {
	r := rand.New(rand.NewPCG(3, 4))
	shape := dataset.Shape{H: 28, W: 28, C: 1}
	d := &dataset.Dataset{Info: dataset.Info{Classes: []string{"a", "b"}, Shape: shape}, Train: noise(r, shape, 20), Test: noise(r, shape, 6)}
	copy(d.Test.Image(1), d.Train.Image(7))
	for i, x := range d.Train.Image(9) {
		d.Test.Image(3)[i] = 10 + x/2
	}
	for i := range shape.Len() {
		d.Test.Image(4)[i], d.Train.Image(5)[i] = 77, 200
		d.Test.Image(5)[i] = d.Train.Image(0)[i/28*28+27-i%28]
	}
	d.Test.Labels[3] = 1
	return d
}

// wantFiles writes a list of a dataset of picture files, and checks the end of its header
// and that its first row names a file of the folder.
func wantFiles(t *testing.T, path string, d *dataset.Dataset, write func() error, header, folder string) {
	t.Helper()
	for name, s := range map[string]*dataset.Split{"train": &d.Train, "val": &d.Val, "test": &d.Test} {
		for i := range s.N {
			s.Files = append(s.Files, fmt.Sprintf("%s/%d.png", name, i))
		}
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if !strings.HasSuffix(lines[0], header) || !strings.Contains(lines[1], ","+folder) {
		t.Errorf("the list begins with %q", lines[:2])
	}
}

func TestTwins(t *testing.T) {
	d := twinned()
	found, err := FindTwins(t.Context(), openCPU(t), d, .05, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 || !found[0].Same && !found[1].Same || found[2].A != (Image{"train", 9}) || found[2].Same {
		t.Fatalf("found %+v", found)
	}
	if seen := SeenInTraining(found); !slices.Equal(seen, []int{1, 3, 4}) {
		t.Errorf("test images seen in training: %v", seen)
	}
	path := filepath.Join(t.TempDir(), "twins.csv")
	if err := WriteTwins(path, d, found); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, path, d, func() error { return WriteTwins(path, d, found) }, "distance,same_bytes,file_a,file_b", "train/")
	read, err := ReadTwins(path)
	if err != nil || len(read) != len(found) {
		t.Fatalf("read %v (%v)", read, err)
	}
	for i, w := range read {
		if w.A != found[i].A || w.B != found[i].B || w.Same != found[i].Same || !(math.Abs(w.Distance-found[i].Distance) < 1e-6) {
			t.Errorf("wrote %v, read %v", found[i], w)
		}
	}
	if _, err := TwinsPicture(d, found); err != nil {
		t.Error(err)
	}
	defer func(n int) { maxTwins = n }(maxTwins)
	maxTwins = 2
	if _, err := FindTwins(t.Context(), openCPU(t), d, .05, nil); err == nil || !strings.Contains(err.Error(), "more than 2 pairs") {
		t.Errorf("more twins than can be held: %v", err)
	}
}

func TestReadTwinsErrors(t *testing.T) {
	for _, text := range []string{"", "index,label\n1,2\n", "\x00\xff", "split_a,index_a,label_a,split_b,index_b,label_b,distance,same_bytes\ntrain,x,0,test,1,0,.1,false\n",
		"split_a,index_a,label_a,split_b,index_b,label_b,distance,same_bytes\ntrain,1,0,test,-1,0,.1,false\n",
		"split_a,index_a,label_a,split_b,index_b,label_b,distance,same_bytes\ntrain,1\n"} {
		path := filepath.Join(t.TempDir(), "twins.csv")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if list, err := ReadTwins(path); err == nil {
			t.Errorf("%q is read as %v", text, list)
		}
	}
}

// Worked by hand: the thresholds are the mean probabilities of the own class, .7 and .6.
func TestSuspects(t *testing.T) {
	train := Judged{"train", []byte{0, 0, 0, 1}, []float32{
		.9, .1,
		.9, .1,
		.3, .7, // labelled 0, confidently 1
		.45, .55}}
	test := Judged{"test", []byte{1, 1, 1}, []float32{
		.65, .35, // 0 is more probable, but below its threshold
		.1, .9,
		.4, .6}} // exactly at the threshold of its own class
	want := []Suspect{{Image{"train", 2}, 0, 1, float64(float32(.3)), float64(float32(.7))}}
	if got := Suspects([]Judged{train, test}, 2); !slices.Equal(got, want) {
		t.Errorf("suspects: %+v, want %+v", got, want)
	}
	if got := test.Accuracy(); !(math.Abs(got-2./3) < 1e-9) {
		t.Errorf("accuracy %v, want 2/3", got)
	}
}

// Labels that are changed on purpose are found by networks that have not seen them.
func TestJudge(t *testing.T) {
	backend := openCPU(t)
	info := dataset.Info{Name: "flags", Classes: []string{"high", "middle", "low"}, Shape: dataset.Shape{H: 20, W: 26, C: 3}}
	d := datasettest.StripesOf(info, 240)
	for _, i := range []int{10, 50, 100} {
		d.Train.Labels[i] = (d.Train.Labels[i] + 1) % 3
	}
	recipe := trainer.DefaultRecipe()
	recipe.Epochs, recipe.BatchSize, recipe.NoEval, recipe.SelectOn = 8, 16, true, "test"
	network, err := trainer.BuiltIn("alternative", d.Info)
	if err != nil {
		t.Fatal(err)
	}
	trainings := 0
	judged, err := Judge(t.Context(), d, 3, 42, func(fold int, part *dataset.Dataset) (*trainer.Model, error) {
		trainings++
		if part.Train.N+part.Test.N != d.Train.N || part.Val.N != 0 {
			t.Errorf("fold %d: %d images to train on and %d held out of %d", fold, part.Train.N, part.Test.N, d.Train.N)
		}
		r, err := trainer.Train(t.Context(), recipe, network, part, backend, trainer.Options{})
		if err != nil {
			return nil, err
		}
		return r.Model, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	changed := []int{10, 50, 100}
	order := make([]int, d.Train.N) // images, the least probable label first
	for i := range order {
		order[i] = i
	}
	ofLabel := func(i int) float32 { return judged[0].Probabilities[3*i+int(d.Train.Labels[i])] }
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(ofLabel(a), ofLabel(b)) })
	slices.Sort(order[:3])
	if trainings != 3 || !slices.Equal(order[:3], changed) {
		t.Errorf("%d trainings give the labels of the images %v the least probability, want 3 and %v", trainings, order[:3], changed)
	}
	suspects := Suspects(judged, 3)
	for _, s := range suspects {
		if s.Split == "train" && !slices.Contains(changed, s.Index) {
			t.Errorf("the unchanged image %d is suspected", s.Index)
		}
	}
	if len(suspects) == 0 {
		t.Error("no label is suspected")
	}
	for _, j := range judged {
		for i := range j.Labels {
			sum := 0.
			for _, p := range j.Probabilities[3*i:][:3] {
				sum += float64(p)
			}
			if !(math.Abs(sum-1) < 1e-5) {
				t.Fatalf("%s image %d: probabilities %v", j.Split, i, j.Probabilities[3*i:][:3])
			}
		}
	}
	list := filepath.Join(t.TempDir(), "suspects.csv")
	wantFiles(t, list, d, func() error { return WriteSuspects(list, d, suspects) }, "likely_probability,file", "train/")
	if _, err := SuspectsPicture(d, suspects); err != nil {
		t.Error(err)
	}
}
