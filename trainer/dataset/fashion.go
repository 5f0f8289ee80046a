package dataset

// FashionMNIST describes Fashion-MNIST (Xiao, Rasul & Vollgraf, "Fashion-MNIST:
// a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017). The
// classes have the names that its authors gave them.
var FashionMNIST = Info{
	Name: "fashion-mnist",
	Classes: []string{
		"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
		"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
	},
	Shape: Shape{H: 28, W: 28, C: 1},
}
