package trainer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// A training on the CPU. Fashion-MNIST itself comes from [dataset.Find] and
// [dataset.Load]; a small made-up dataset takes its place here.
func ExampleTrain() {
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()
	data := datasettest.Stripes(400)

	network, err := trainer.BuiltIn("logistic", data.Info)
	if err != nil {
		log.Fatal(err)
	}
	recipe := trainer.DefaultRecipe()
	recipe.Epochs, recipe.BatchSize = 3, 40

	result, err := trainer.Train(context.Background(), recipe, network, data, backend, trainer.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d epochs, test accuracy %.0f %%\n", len(result.Epochs), 100*result.Metrics.Accuracy)
	// Output: 3 epochs, test accuracy 100 %
}

// A run that is interrupted continues where it was, and a finished one with
// more epochs.
func ExampleTrain_resume() {
	parent, err := os.MkdirTemp("", "runs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()
	data := datasettest.Stripes(400)
	network, err := trainer.BuiltIn("logistic", data.Info)
	if err != nil {
		log.Fatal(err)
	}
	recipe := trainer.DefaultRecipe()
	recipe.Epochs = 3
	options := trainer.Options{Dir: filepath.Join(parent, "first")} // Train creates it

	ctx, cancel := context.WithCancel(context.Background())
	options.Progress = stopper{cancel}
	_, err = trainer.Train(ctx, recipe, network, data, backend, options)
	fmt.Println("interrupted:", errors.Is(err, trainer.ErrInterrupted))

	options.Resume, options.Progress = true, nil
	for _, epochs := range []int{3, 5} {
		recipe.Epochs = epochs
		result, err := trainer.Train(context.Background(), recipe, network, data, backend, options)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(result.Epochs), "epochs")
	}
	// Output:
	// interrupted: true
	// 3 epochs
	// 5 epochs
}

// stopper is a [trainer.Progress] that interrupts a training after its first
// steps.
type stopper struct{ cancel context.CancelFunc }

func (s stopper) Start(trainer.Summary)     {}
func (s stopper) Step(trainer.StepReport)   { s.cancel() }
func (s stopper) Epoch(trainer.EpochReport) {}
