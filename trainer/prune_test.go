package trainer

import (
	"math"
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// The hardest images are always chosen, images that were never trained on first, and of
// the others each now and then.
func TestHardImagesAreChosen(t *testing.T) {
	const n, chosen, epochs = 100, 60, 40
	images := make([]uint32, n)
	losses := newSampleLosses(2 * n)
	for i := range images {
		images[i] = uint32(2 * i)
	}
	random := losses.choose(images, chosen, 1, 0)
	if slices.Equal(random, images[:chosen]) || slices.Equal(random, images[n-chosen:]) {
		t.Errorf("of images that were never trained on, %v are chosen: want a random choice", random)
	}
	for _, i := range images {
		losses[i] = float32(i % 50)
	}
	losses[100] = float32(math.Inf(1))
	times := map[uint32]int{}
	for epoch := range epochs {
		list := losses.choose(images, chosen, 1, epoch)
		if len(list) != chosen || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != chosen {
			t.Fatalf("epoch %d: %v, want %d images in ascending order", epoch, list, chosen)
		}
		if again := losses.choose(images, chosen, 1, epoch); !slices.Equal(list, again) {
			t.Errorf("epoch %d: %v, then %v", epoch, list, again)
		}
		for _, i := range list {
			times[i]++
		}
	}
	for _, i := range images { // 20 are hard: the 16 with losses from 42 to 48, the infinite one, and 3 of the 4 with 40
		hard, maybe := losses[i] > 40, losses[i] == 40
		if hard && times[i] != epochs || !hard && !maybe && (times[i] == 0 || times[i] == epochs) {
			t.Errorf("image %d with the loss %v was chosen in %d of %d epochs", i, losses[i], times[i], epochs)
		}
	}
	if slices.Equal(losses.choose(images, chosen, 1, 0), losses.choose(images, chosen, 2, 0)) {
		t.Error("two seeds choose the same images")
	}
	if one := losses.choose(images[:3], 1, 1, 0); len(one) != 1 {
		t.Errorf("%v of three images, want one", one)
	}
}

// An epoch trains on as many images as the recipe says, and keeps the losses of the steps
// for the images that they trained on.
func TestLossesAreKept(t *testing.T) {
	c := small()
	c.Epochs, c.Prune, c.SelectOn = 2, .4, "test"
	data := datasettest.Subset(t)
	n := c.network(t, data.Info)
	tr, err := newTraining(Replica{c.Recipe, Options{}}, n, data, openBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGroup([]*training{tr}, n, data, tr.backend)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if s := tr.summary(); s.TrainImages != 768 || s.LeftOut != 512 || s.StepsPerEpoch != 13 {
		t.Errorf("%d images, %d left out, %d steps per epoch; want 768, 512, 13", s.TrainImages, s.LeftOut, s.StepsPerEpoch)
	}
	for epoch := range c.Epochs {
		before := slices.Clone(tr.sampleLosses)
		if err := g.epoch(t.Context()); err != nil {
			t.Fatal(err)
		}
		steps, _, err := tr.logs(tr.net.Train, 0, 13)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) != 13 {
			t.Fatalf("%d steps, want 13", len(steps))
		}
		for i, want := range steps {
			batch := tr.order[i*60 : min((i+1)*60, len(tr.order))]
			sum := 0.
			for _, image := range batch {
				sum += float64(tr.sampleLosses[image])
			}
			if mean := sum / float64(len(batch)); !(math.Abs(mean-float64(want)) <= 1e-5*float64(want)) {
				t.Errorf("epoch %d, step %d: the images' losses have the mean %v, want %v", epoch, i, mean, want)
			}
		}
		if len(tr.order) != 768 {
			t.Errorf("epoch %d trained on %d images, want 768", epoch, len(tr.order))
		}
		for i, loss := range tr.sampleLosses {
			if loss != before[i] && !slices.Contains(tr.order, uint32(i)) {
				t.Errorf("epoch %d: the loss of image %d, which was left out, was %v and is %v", epoch, i, before[i], loss)
			}
		}
	}
	if err := tr.sampleLosses.check(); err != nil {
		t.Error(err)
	}
	tr.sampleLosses[7] = -1e-7 // a rounding
	if err := tr.sampleLosses.check(); err != nil {
		t.Error(err)
	}
	tr.sampleLosses[7] = float32(math.NaN())
	if tr.sampleLosses.check() == nil {
		t.Error("check accepts NaN")
	}
}
