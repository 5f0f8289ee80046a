// Package trainer trains and evaluates the project's networks on Fashion-MNIST
// with any [kernels.Backend]: it resolves a run's settings ([Config]), drives
// the epochs ([Train]), and writes the files of a run folder.
//
// It never names a backend; the command line chooses one and passes it in, and
// a Go program does the same:
//
//	backend, err := cpuref.Open(cpuref.Options{})
//	...
//	location, err := dataset.Find("")
//	...
//	data, err := dataset.Load(location)
//	...
//	result, err := trainer.Train(ctx, trainer.DefaultConfig(), backend, data, trainer.Options{Dir: "runs/first"})
//
// A training that ends early, by its context or by a power cut, continues with
// Options{Dir: "runs/first", Resume: true}.
package trainer
