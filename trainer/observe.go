package trainer

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Observer is a [Progress] that also sees what the network says of each image that is
// evaluated after an epoch.
type Observer interface {
	Progress
	// Evaluated is called after an epoch's evaluation, before Epoch.
	Evaluated(Evaluated)
}

// Evaluated holds the predictions of an epoch's weights for the images that select the
// best epoch, in the same order each time.
type Evaluated struct {
	Labels        []byte    // (N)
	Probabilities []float32 // (N, classes)
	// Images reads images (H, W, C), by their places in Labels, back from the device.
	// It must be called before Evaluated returns.
	Images func(places []int) ([][]byte, error)
}

// observe tells an observer of the evaluation that has just run.
func (t *training) observe() error {
	o, wanted := t.options.Progress.(Observer)
	if !wanted {
		return nil
	}
	n := len(t.selected)
	e := Evaluated{Labels: make([]byte, n), Probabilities: make([]float32, n*len(t.data.Classes)), Images: t.selectedImages}
	for i, image := range t.selected {
		e.Labels[i] = t.classes[image]
	}
	if err := t.prog.Read(t.net.Probs.First(n), kernels.AsBytes(e.Probabilities)); err != nil {
		return err
	}
	o.Evaluated(e)
	return nil
}

// selectedImages reads some of the images that are evaluated after each epoch.
func (t *training) selectedImages(places []int) ([][]byte, error) {
	var list [][]byte
	for _, place := range places {
		one := t.net.Images
		one.Offset += int(t.selected[place]) * t.data.Len()
		one.Shape = append([]int{1}, one.Shape[1:]...)
		pixels := make([]byte, t.data.Len())
		if err := t.prog.Read(one, pixels); err != nil {
			return nil, err
		}
		list = append(list, pixels)
	}
	return list, nil
}
