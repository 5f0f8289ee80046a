package datasettest

import "github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"

// Stripes returns a dataset that is the same everywhere and easy to learn: n
// training and n test images, each of a white stripe whose height is its class.
func Stripes(n int) *dataset.Dataset {
	return &dataset.Dataset{Info: dataset.FashionMNIST, Train: stripes(n), Test: stripes(n)}
}

func stripes(n int) dataset.Split {
	f := dataset.FashionMNIST
	s := dataset.Split{N: n, Shape: f.Shape, Images: make([]byte, n*f.Len()), Labels: make([]byte, n)}
	for i := range n {
		class := i % len(f.Classes)
		s.Labels[i] = byte(class)
		stripe := s.Image(i)[(4+2*class)*f.W:][:2*f.W]
		for j := range stripe {
			stripe[j] = 255
		}
	}
	return s
}
