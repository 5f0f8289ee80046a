package trainer

import (
	"bytes"
	"context"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// allPictures are those of a network with convolutions.
var allPictures = []string{CurvesPicture, MatrixPicture, ROCPicture, ReliabilityPicture, ClassF1Picture,
	SamplesPicture, MisclassifiedPicture, FiltersPicture, GradCAMPicture}

// A run of one step, which has hardly learnt anything, and an evaluation have all
// their pictures, each of a size that suits a page. The CAM changes only one of
// them.
func TestPictures(t *testing.T) {
	c, dir := small(), t.TempDir()
	c.Epochs, c.MaxSteps = 1, 1
	if _, err := train(t, context.Background(), c, Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	evaluation := t.TempDir()
	if err := evaluate(t, dir).Write(evaluation, GradCAM); err != nil {
		t.Fatal(err)
	}
	for _, name := range allPictures {
		run := readFile(t, dir, name)
		if config, err := png.DecodeConfig(bytes.NewReader(run)); err != nil || config.Width < 1000 {
			t.Errorf("%s is %d pixels wide (%v)", name, config.Width, err)
		}
		if len(run) > 300_000 {
			t.Errorf("%s has %d bytes, want at most 300,000", name, len(run))
		}
		if name == CurvesPicture {
			if _, err := os.Stat(filepath.Join(evaluation, name)); err == nil {
				t.Error("an evaluation has curves")
			}
			continue
		}
		if same := bytes.Equal(run, readFile(t, evaluation, name)); same == (name == GradCAMPicture) {
			t.Errorf("%s of the run, and by Grad-CAM of its evaluation: same %v", name, same)
		}
	}
}

// A network without convolutions has every picture except GradCAMPicture.
func TestPicturesWithoutConvolutions(t *testing.T) {
	c, dir := small(), t.TempDir()
	c.Model, c.Epochs = "logistic", 1
	if _, err := train(t, context.Background(), c, Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	found, err := fs.Glob(os.DirFS(dir), "*.png")
	if err != nil || len(found) != len(allPictures)-1 {
		t.Errorf("pictures %v (%v), want all but %s", found, err, GradCAMPicture)
	}
}

// Of many classes, the first that have a right image are explained, wherever they are.
func TestFirstRight(t *testing.T) {
	const classes = 70
	labels := []byte{60, 3, 60, 2}
	for class := range byte(classes) {
		if class >= 35 {
			labels = append(labels, class)
		}
	}
	probs := make([]float32, len(labels)*classes)
	for i, label := range labels {
		probs[i*classes+int(label)] = 1
	}
	probs[1*classes+50] = 2 // the image of class 3 is taken for one of class 50
	c := classified{model: &Model{Network: model.Network{Classes: make([]string, classes)}}, test: dataset.Split{N: len(labels), Labels: labels}, probs: probs}
	var want []int // images of class 2 and of the 29 classes 35 to 63, 60's being the very first
	for i := range 30 {
		want = append(want, i+3)
	}
	want[26] = 0
	if got := c.firstRight(); !slices.Equal(got, want) {
		t.Errorf("images %v, want %v", got, want)
	}
}
