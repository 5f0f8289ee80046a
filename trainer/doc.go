// Package trainer trains and evaluates the project's networks on Fashion-MNIST
// with any [kernels.Backend]: it resolves a run's settings ([Config]), drives
// the epochs ([Train]), and writes the files of a run folder.
//
// It never names a backend; the command line chooses one and hands it in, and
// so can a Go program:
//
//	backend, err := cpuref.Open(cpuref.Options{})
//	...
//	result, err := trainer.Train(ctx, trainer.DefaultConfig(), backend, data, trainer.Options{Dir: "runs/first"})
package trainer
