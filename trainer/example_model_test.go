package trainer_test

import (
	"context"
	"fmt"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// pictures writes a folder of pictures, one folder for each class, and returns its
// path.
func pictures() string {
	dir, err := os.MkdirTemp("", "pictures")
	if err != nil {
		log.Fatal(err)
	}
	d := datasettest.Stripes(200)
	for i := range d.Train.N {
		class := filepath.Join(dir, "class "+fmt.Sprint(d.Train.Labels[i]))
		if err := os.MkdirAll(class, 0o777); err != nil {
			log.Fatal(err)
		}
		f, err := os.Create(filepath.Join(class, fmt.Sprintf("%03d.png", i)))
		if err != nil {
			log.Fatal(err)
		}
		if err := png.Encode(f, d.Train.Picture(i)); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
	return dir
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Train on pictures of one's own, save the model, load it, and classify a picture.
func Example() {
	ctx, folder := context.Background(), pictures()
	defer os.RemoveAll(folder)

	backend, err := cpuref.Open(cpuref.Options{}) // or vulkan.Open("0", vulkan.Options{})
	check(err)
	data, err := dataset.OpenFolder(ctx, folder, dataset.FolderOptions{})
	check(err)
	network, err := trainer.BuiltIn("fashioncnn", data.Info)
	check(err)
	recipe := trainer.DefaultRecipe()
	recipe.Epochs, recipe.BatchSize = 2, 16
	result, err := trainer.Train(ctx, recipe, network, data, backend, trainer.Options{})
	check(err)
	file := filepath.Join(folder, "pictures.safetensors")
	check(result.Model.Save(file))
	trained, err := trainer.Load(file, backend)
	check(err)
	photograph, err := picture.Open(filepath.Join(folder, "class 7", "007.png"))
	check(err)
	prediction, err := trained.Predict(photograph)
	check(err)
	fmt.Println(prediction.Best().Class)
	// Output: class 7
}

// A network of one's own, with a residual block, read from YAML.
func ExampleParseNetwork() {
	network, err := trainer.ParseNetwork("small.yaml", []byte(`
layers:
  - conv: {out: 16, kernel: 3, stride: 2, padding: 1}
  - residual:
      body: [{conv: {out: 16, kernel: 3, padding: 1}}, batchnorm]
  - relu
  - avgpool: global
  - flatten
  - linear: {out: classes}
`), dataset.FashionMNIST)
	check(err)
	layers, err := network.Summary()
	check(err)
	for _, l := range layers {
		fmt.Println(l.Name, l.Output, l.Parameters)
	}

	_, err = trainer.ParseNetwork("wrong.yaml", []byte("layers:\n  - conv: {out: 16, kernel: 31}\n"), dataset.FashionMNIST)
	fmt.Println(err)
	// Output:
	// conv1 [14 14 16] 160
	// residual1.conv1 [14 14 16] 2320
	// residual1.bn1 [14 14 16] 32
	// residual1 [14 14 16] 0
	// relu1 [14 14 16] 0
	// avgpool1 [1 1 16] 0
	// flatten1 [16] 0
	// fc1 [10] 170
	// wrong.yaml: line 2: layer conv1 (input 28×28×1): a kernel of 31 does not fit with padding 0: use at most 28, or more padding
}

// A network as a value, and the test set's metrics.
func ExampleModel_Evaluate() {
	backend, err := cpuref.Open(cpuref.Options{})
	check(err)
	data := datasettest.Stripes(400)
	network := model.Network{
		Name:    "two layers",
		Input:   model.Shape{H: data.H, W: data.W, C: data.C},
		Classes: data.Classes,
		Layers: []model.Layer{model.Flatten{}, model.Linear{Out: 32}, model.Activation{Function: model.SiLU},
			model.Linear{Out: model.AsClasses}},
	}
	recipe := trainer.DefaultRecipe()
	recipe.Epochs, recipe.BatchSize = 3, 20
	result, err := trainer.Train(context.Background(), recipe, network, data, backend, trainer.Options{})
	check(err)
	evaluation, err := result.Model.Evaluate(context.Background(), data.Test)
	check(err)
	fmt.Printf("accuracy %.0f %%, %d parameters\n", 100*evaluation.Metrics.Accuracy, evaluation.Metrics.Parameters)
	// Output: accuracy 100 %, 25450 parameters
}
