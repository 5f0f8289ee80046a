package trainer

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Pruning leaves out of each epoch images that the network already knows, after Qin et
// al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning" (ICLR
// 2024): the images with high losses are always trained on, the others at random. Unlike
// in the paper, all epochs have the same number of images, so that schedules know the
// number of steps, and the easy ones among them do not count for more, which measurements
// did not support (trainer/study/presets/fast.yaml). Devices that round differently may
// choose different images.

// hardShare is the share of the images, those with the highest losses, that no epoch
// leaves out; mostPruned leaves room for them.
const (
	hardShare  = .2
	mostPruned = .7
)

// perEpoch returns how many of n training images each epoch trains on.
func (r *Recipe) perEpoch(n int) int { return max(1, n-int(math.Round(r.Prune*float64(n)))) }

// sampleLosses holds the loss of each training image when it was last trained on, by its
// index among the resident images. It is nil if no images are left out.
type sampleLosses []float32

// newSampleLosses returns the losses of n images, infinite: until an image is first
// trained on, it counts as one of the hardest.
func newSampleLosses(n int) sampleLosses {
	losses := make(sampleLosses, n)
	for i := range losses {
		losses[i] = float32(math.Inf(1))
	}
	return losses
}

// check returns an error that names the first NaN. Negative losses are allowed: rounding
// can take a loss near 0 below it.
func (l sampleLosses) check() error {
	for i, loss := range l {
		if math.IsNaN(float64(loss)) {
			return fmt.Errorf("the loss of image %d is %v", i, loss)
		}
	}
	return nil
}

// choose returns n of the images, in ascending order: the hardest, and others at random.
func (l sampleLosses) choose(images []uint32, n int, seed uint64, epoch int) []uint32 {
	random := rand.New(newPhiloxSource(kernels.PurposePrune, seed, epoch))
	shuffle := func(s []uint32) { random.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) }
	list := slices.Clone(images)
	shuffle(list) // images with the same loss have the same chance
	slices.SortStableFunc(list, func(a, b uint32) int { return cmp.Compare(l[b], l[a]) })
	hard := min(n, int(hardShare*float64(len(list))))
	shuffle(list[hard:])
	slices.Sort(list[:n])
	return list[:n]
}

// chosen returns the images of an epoch, in ascending order.
func (t *training) chosen(epoch int) []uint32 {
	if t.sampleLosses == nil {
		return t.train
	}
	return t.sampleLosses.choose(t.train, t.perEpoch, t.recipe.Seed, epoch)
}

// keepLosses keeps the losses of the epoch's images, by which the next epochs choose.
func (t *training) keepLosses() error {
	if t.sampleLosses == nil {
		return nil
	}
	losses := make([]float32, len(t.order))
	if err := t.prog.Read(t.net.Train.SampleLosses, kernels.AsBytes(losses)); err != nil {
		return err
	}
	for i, image := range t.order {
		t.sampleLosses[image] = losses[i]
	}
	return nil
}
