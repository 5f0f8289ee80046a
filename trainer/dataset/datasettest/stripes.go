package datasettest

import "github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"

// Stripes returns a dataset like Fashion-MNIST that is the same everywhere and easy to
// learn; see [StripesOf].
func Stripes(n int) *dataset.Dataset { return StripesOf(dataset.FashionMNIST, n) }

// StripesOf returns a dataset of the given classes and image shape, with n training
// and n test images. Each shows a stripe whose height tells its class, of which there
// may be as many as an image has rows. Stripes are white on grey images; on colour
// images they are red, green or blue, class by class.
func StripesOf(d dataset.Info, n int) *dataset.Dataset {
	return &dataset.Dataset{Info: d, Train: stripes(d, n), Test: stripes(d, n)}
}

func stripes(d dataset.Info, n int) dataset.Split {
	s := dataset.Split{N: n, Shape: d.Shape, Images: make([]byte, n*d.Len()), Labels: make([]byte, n)}
	classes := len(d.Classes)
	thick := max(1, d.H/(classes+2))
	for i := range n {
		class := i % classes
		s.Labels[i] = byte(class)
		top := (d.H-thick*classes)/2 + thick*class
		stripe := s.Image(i)[top*d.W*d.C:][:thick*d.W*d.C]
		for j := class % d.C; j < len(stripe); j += d.C {
			stripe[j] = 255
		}
	}
	return s
}
