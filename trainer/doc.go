// Package trainer trains convolutional networks and puts them to use.
//
// A training takes a [Recipe], a network, a dataset and a backend, and gives back a
// [Model], which classifies pictures, is saved, and is loaded again:
//
//	backend, err := cpuref.Open(cpuref.Options{}) // or vulkan.Open("0", vulkan.Options{})
//	data, err := dataset.OpenFolder(ctx, "pictures", dataset.FolderOptions{})
//	network, err := trainer.BuiltIn("fashioncnn", data.Info)
//	result, err := trainer.Train(ctx, trainer.DefaultRecipe(), network, data, backend, trainer.Options{})
//	err = result.Model.Save("pictures.safetensors")
//	model, err := trainer.Load("pictures.safetensors", backend)
//	photograph, err := picture.Open("photograph.jpg")
//	prediction, err := model.Predict(photograph)
//	fmt.Println(prediction.Best().Class)
//
// The same recipe, network, dataset and backend give the same weights, bit for bit.
//
// [ParseNetwork] reads a network of one's own from YAML, and [model.Network] is a value
// that a program can write down itself. Datasets come from package dataset:
// Fashion-MNIST by dataset.Find and dataset.Load, others by dataset.OpenFolder.
//
// [Train] writes files only if [Options] names a folder; then an interrupted training
// can be resumed. The package prints nothing, reads no environment variables and does
// not choose a backend. Package study adds settings in YAML, experiments and
// comparisons.
package trainer
