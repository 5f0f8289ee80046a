// Package datasettest provides Fashion-MNIST to tests: a small part that is always
// there, and the whole dataset if the machine has it.
package datasettest

import (
	"embed"
	"os"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

//go:generate go run generate.go

// The sizes of the parts in Subset.
const (
	SubsetTrain = 1280 // the first training images
	SubsetTest  = 200  // the first test images
)

//go:embed testdata
var testdata embed.FS

// Subset returns the first 1,280 training images and the first 200 test images.
// Its hashes are not those of the whole dataset and its folder is temporary, so SHA256
// and Dir are empty.
func Subset(tb testing.TB) *dataset.Dataset {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.CopyFS(dir, testdata); err != nil {
		tb.Fatal(err)
	}
	d, err := dataset.OpenFolder(tb.Context(), dir+"/testdata", dataset.FolderOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	d.Info, d.SHA256, d.Dir = dataset.FashionMNIST, nil, ""
	return d
}

// Full returns the whole dataset, from $FMNIST_DATA if that is set. If the machine does
// not have it, the test is skipped, or fails if FMNIST_REQUIRE_DATA=1.
func Full(tb testing.TB) *dataset.Dataset {
	tb.Helper()
	loc, err := dataset.Find(dataset.Search{Dir: os.Getenv("FMNIST_DATA"), Source: "$FMNIST_DATA", Cache: dataset.DefaultCacheDir()})
	if err != nil {
		if os.Getenv("FMNIST_REQUIRE_DATA") == "1" {
			tb.Fatal(err)
		}
		tb.Skipf("needs the whole dataset: %v", err)
	}
	d, err := dataset.Load(loc)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
