package trainer

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

func pointer[T any](v T) *T { return &v }

// A transform that is set individually overrides the named augmentation's.
func TestAugmentationSettings(t *testing.T) {
	c := DefaultRecipe()
	c.Augment, c.Rotate, c.Erase = "original", pointer(0.), pointer(.5)
	got := c.augmentation()
	if want := (model.Augmentation{Flip: kernels.FlipRandom, Crop: 4, Erase: .5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []struct {
		change func(c *Recipe)
		say    string
	}{
		{func(c *Recipe) { c.Augment = "heavy" }, "light, none or original"},
		{func(c *Recipe) { c.Rotate = pointer(-1.) }, "rotate is -1"},
		{func(c *Recipe) { c.Flip = pointer("often") }, `flip is "often"`},
		{func(c *Recipe) { c.Crop = pointer(-1) }, "crop is -1"},
		{func(c *Recipe) { c.Erase = pointer(1.5) }, "erase is 1.5"},
	} {
		c := DefaultRecipe()
		bad.change(&c)
		if err := c.Check(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), bad.say) {
			t.Errorf("%v, want a usage error with %q", err, bad.say)
		}
	}
}

// A split without images, or inconsistent, and no version are refused.
func TestAugmentedRefuses(t *testing.T) {
	b := openBackend(t)
	one := dataset.Split{N: 1, Shape: colour.Shape, Images: make([]byte, colour.Len()), Labels: []byte{0}}
	for _, images := range []dataset.Split{{Shape: one.Shape}, {N: 2, Shape: one.Shape, Images: one.Images, Labels: one.Labels}} {
		if _, err := Augmented(b, DefaultRecipe(), images, 1); !errors.Is(err, dataset.ErrBadData) {
			t.Errorf("%d images: %v", images.N, err)
		}
	}
	for _, versions := range []int{0, -1} {
		if _, err := Augmented(b, DefaultRecipe(), one, versions); !errors.Is(err, ErrUsage) {
			t.Errorf("%d versions: %v", versions, err)
		}
	}
}

func TestAugmented(t *testing.T) {
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	shape := dataset.Shape{H: 20, W: 26, C: 3}
	image := make([]byte, shape.Len())
	for i := range image {
		image[i] = byte(1 + i%255)
	}
	versions := func(c Recipe) [][]byte {
		t.Helper()
		two := dataset.Split{N: 2, Shape: shape, Images: slices.Concat(image, image), Labels: []byte{5, 7}}
		seen, err := Augmented(b, c, two, 4)
		if err != nil || seen.N != 8 || seen.Shape != shape || !slices.Equal(seen.Labels, []byte{5, 5, 5, 5, 7, 7, 7, 7}) {
			t.Fatalf("%d versions of %v with labels %v (%v), want 8", seen.N, seen.Shape, seen.Labels, err)
		}
		var list [][]byte
		for i := range seen.N {
			list = append(list, seen.Image(i))
		}
		return list
	}
	c := DefaultRecipe()
	for i, v := range versions(c) {
		if !bytes.Equal(v, image) {
			t.Errorf("augment none changes version %d", i)
		}
	}
	c.Augment = "original"
	first, again := versions(c), versions(c)
	c.Seed++
	other := versions(c)
	for i := range first {
		if bytes.Equal(first[i], image) || !bytes.Equal(first[i], again[i]) || bytes.Equal(first[i], other[i]) {
			t.Errorf("version %d: want it changed, the same again, and another with another seed", i)
		}
	}
	c = DefaultRecipe()
	c.Flip = pointer("alternating")
	mirrored := make([]byte, len(image))
	for i := range image {
		y, x, c := i/shape.C/shape.W, i/shape.C%shape.W, i%shape.C
		mirrored[i] = image[(y*shape.W+shape.W-1-x)*shape.C+c]
	}
	for i, v := range versions(c)[:4] {
		if want := [][]byte{image, mirrored}[i%2]; !bytes.Equal(v, want) && !bytes.Equal(v, [][]byte{mirrored, image}[i%2]) {
			t.Errorf("version %d is neither the image nor its mirror image", i)
		}
		if i > 0 && bytes.Equal(v, versions(c)[i-1]) {
			t.Errorf("versions %d and %d are the same", i-1, i)
		}
	}
}
