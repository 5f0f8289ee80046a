// Package trainer trains and evaluates the project's networks on Fashion-MNIST
// with any [kernels.Backend]: it resolves a run's settings ([Config]), drives
// the epochs ([Train]), and writes the files of a run folder.
//
// The package does not choose a backend: the command line, or your Go program,
// opens one and passes it in:
//
//	backend, err := cpuref.Open(cpuref.Options{})
//	...
//	location, err := dataset.Find("")
//	...
//	data, err := dataset.Load(location)
//	...
//	result, err := trainer.Train(ctx, trainer.DefaultConfig(), backend, data, trainer.Options{Dir: "runs/first"})
//
// To continue a training that ended early, because its context was cancelled or
// the power failed, pass Options{Dir: "runs/first", Resume: true}.
package trainer
