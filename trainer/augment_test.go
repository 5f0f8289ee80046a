package trainer

import (
	"bytes"
	"errors"
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
	c := DefaultConfig()
	c.Augment, c.Rotate, c.Erase = "original", pointer(0.), pointer(.5)
	got := c.augmentation()
	if want := (model.Augmentation{Flip: kernels.FlipRandom, Crop: 4, Erase: .5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []struct {
		change func(c *Config)
		say    string
	}{
		{func(c *Config) { c.Augment = "heavy" }, "light, none or original"},
		{func(c *Config) { c.Rotate = pointer(-1.) }, "rotate is -1"},
		{func(c *Config) { c.Flip = pointer("often") }, `flip is "often"`},
		{func(c *Config) { c.Crop = pointer(29) }, "crop is 29"},
		{func(c *Config) { c.Erase = pointer(1.5) }, "erase is 1.5"},
	} {
		c := DefaultConfig()
		bad.change(&c)
		if err := c.Check(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), bad.say) {
			t.Errorf("%v, want a usage error with %q", err, bad.say)
		}
	}
}

func TestAugmented(t *testing.T) {
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	image := make([]byte, dataset.ImageSize*dataset.ImageSize)
	for i := range image {
		image[i] = byte(1 + i%255)
	}
	versions := func(c Config) [][]byte {
		t.Helper()
		v, err := Augmented(b, c, [][]byte{image, image}, 4)
		if err != nil || len(v) != 8 {
			t.Fatalf("%d versions (%v), want 8", len(v), err)
		}
		return v
	}
	c := DefaultConfig()
	for i, v := range versions(c) {
		if !bytes.Equal(v, image) {
			t.Errorf("--augment none changes version %d", i)
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
	c = DefaultConfig()
	c.Flip = pointer("alternating")
	mirrored := make([]byte, len(image))
	for i := range image {
		mirrored[i] = image[i/dataset.ImageSize*dataset.ImageSize+dataset.ImageSize-1-i%dataset.ImageSize]
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
