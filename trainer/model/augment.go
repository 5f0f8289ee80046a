package model

import (
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Augmentation describes the random changes to training images in each epoch;
// [kernels.Augment] defines the transforms and their order. The zero value
// changes nothing.
type Augmentation struct {
	Rotate float64 // largest rotation in degrees; uniform in ±Rotate
	Flip   kernels.Flip
	Crop   int     // pixels of padding on each side before a random crop to the original size
	Erase  float64 // probability of erasing a random rectangle
}

// op returns the augmentation in the form that plans use.
func (a Augmentation) op() kernels.Augment {
	return kernels.Augment{Flip: a.Flip, Crop: a.Crop, Erase: uint32(min(a.Erase*(1<<32), math.MaxUint32))}
}

// rotations returns the table for [kernels.Gather]: angles evenly spaced over
// ±Rotate degrees.
func (a Augmentation) rotations() []uint32 {
	table := make([]uint32, 0, 2*kernels.AugmentRotations)
	for i := range kernels.AugmentRotations {
		share := (float64(i)+.5)/kernels.AugmentRotations*2 - 1
		sin, cos := math.Sincos(a.Rotate * share * math.Pi / 180)
		table = append(table, uint32(int32(math.Round(cos*(1<<16)))), uint32(int32(math.Round(sin*(1<<16)))))
	}
	return table
}

// erasures returns the table for [kernels.Gather]: rectangles for images of the
// given size, drawn as by torchvision's RandomErasing with its defaults, .02 to
// .33 of the area and with an aspect ratio of .3 to 3.3, uniform in its logarithm
// (Zhong et al., "Random erasing data augmentation", 2017). The table is always
// the same. In images so long that hardly any such rectangle fits, rectangles are cut off.
func erasures(height, width int) []uint32 {
	const mostTries = 1000 * kernels.AugmentErasures
	r := rand.New(rand.NewPCG(2017, 0))
	table := make([]uint32, 0, kernels.AugmentErasures)
	for tries := 0; len(table) < kernels.AugmentErasures; tries++ {
		area := float64(height*width) * (.02 + .31*r.Float64())
		aspect := math.Exp(math.Log(.3) + (math.Log(3.3)-math.Log(.3))*r.Float64())
		h, w := int(math.Round(math.Sqrt(area*aspect))), int(math.Round(math.Sqrt(area/aspect)))
		if tries >= mostTries {
			h, w = max(1, min(h, height-1)), max(1, min(w, width-1))
		}
		if h > 0 && w > 0 && h < max(height, 2) && w < max(width, 2) {
			table = append(table, uint32(h)<<16|uint32(w))
		}
	}
	return table
}

// allocateAugmentation adds the tables that the augmentation needs.
func (n *Net) allocateAugmentation() {
	a := n.Config.Augment
	if a.Rotate > 0 {
		n.rotations = n.Plan.Tensor("augment.rotations", kernels.Uint32, kernels.AugmentRotations, 2)
	}
	if a.op().Erase > 0 {
		n.erasures = n.Plan.Tensor("augment.erasures", kernels.Uint32, kernels.AugmentErasures)
	}
}

// WriteTables writes the tables for normalisation, augmentation and weight decay to a
// compiled program.
func (n *Net) WriteTables(p kernels.Program) error {
	if err := p.Write(n.Table, kernels.AsBytes(n.Config.Normalization.Table())); err != nil {
		return err
	}
	if !n.rotations.Absent() {
		if err := p.Write(n.rotations, kernels.AsBytes(n.Config.Augment.rotations())); err != nil {
			return err
		}
	}
	if !n.erasures.Absent() {
		if err := p.Write(n.erasures, kernels.AsBytes(erasures(n.Config.Network.Input.H, n.Config.Network.Input.W))); err != nil {
			return err
		}
	}
	if n.decayShares.Absent() {
		return nil
	}
	return p.Write(n.decayShares, kernels.AsBytes(n.decayTable()))
}
