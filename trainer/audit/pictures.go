package audit

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// Sizes of the pictures.
const (
	twinsDrawn    = 100 // pairs
	suspectsDrawn = 100
	columns       = 10
)

// TwinsPicture draws the nearest twins side by side, five pairs per row, with their places
// and classes.
func TwinsPicture(d *dataset.Dataset, list []Twins) ([]byte, error) {
	var cells []plots.Cell
	for _, w := range list[:min(twinsDrawn, len(list))] {
		cells = append(cells, cell(d, w.A, ""), cell(d, w.B, fmt.Sprintf("distance %.3f", w.Distance)))
	}
	return plots.Grid{Cells: cells, Columns: columns}.PNG()
}

// SuspectsPicture draws the surest suspects, with their places, their classes and what
// they probably are.
func SuspectsPicture(d *dataset.Dataset, list []Suspect) ([]byte, error) {
	var cells []plots.Cell
	for _, s := range list[:min(suspectsDrawn, len(list))] {
		cells = append(cells, cell(d, s.Image, fmt.Sprintf("likely %s, %.0f\u00a0%%", d.Classes[s.Likely], 100*s.OfLikely)))
	}
	return plots.Grid{Cells: cells, Columns: columns}.PNG()
}

// cell draws an image over its place, its class and a last line.
func cell(d *dataset.Dataset, i Image, last string) plots.Cell {
	from := i.Of(d)
	caption := fmt.Sprintf("%s %d\n%s", i.Split, i.Index, d.Classes[from.Labels[i.Index]])
	if last != "" {
		caption += "\n" + last
	}
	return plots.Cell{Image: from.Picture(i.Index), Caption: caption}
}
