package trainer

import (
	"bytes"
	"context"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
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
