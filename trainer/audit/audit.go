// Package audit questions a dataset: which of its images are nearly the same, above all
// test images that a network has seen in training, and which labels are probably wrong.
package audit

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// Image names an image of a dataset by its split ("train", "val" or "test") and its
// index in it.
type Image struct {
	Split string
	Index int
}

// part is one of a dataset's splits.
type part struct {
	name string
	dataset.Split
}

// parts returns the splits of a dataset that hold images.
func parts(d *dataset.Dataset) []part {
	list := []part{{"train", d.Train}, {"val", d.Val}, {"test", d.Test}}
	return slices.DeleteFunc(list, func(p part) bool { return p.N == 0 })
}

// Of returns the split that holds an image.
func (i Image) Of(d *dataset.Dataset) dataset.Split {
	for _, p := range parts(d) {
		if p.name == i.Split {
			return p.Split
		}
	}
	return dataset.Split{}
}

// file returns the file of an image, or "".
func (i Image) file(d *dataset.Dataset) string {
	if files := i.Of(d).Files; files != nil {
		return files[i.Index]
	}
	return ""
}

// hasFiles reports whether the images of a dataset come from a file each.
func hasFiles(d *dataset.Dataset) bool { return d.Train.Files != nil }

// writeCSV writes rows to path, whole or not at all.
func writeCSV(path string, rows [][]string) error {
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		return err
	}
	return atomicfile.Write(path, b.Bytes())
}

// number formats a fraction for a CSV file.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
