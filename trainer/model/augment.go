package model

import (
	"math"
	"math/rand/v2"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Augmentation says how training images are changed, each time they are seen;
// the transforms and their order are those of [kernels.Augment]. The zero value
// changes nothing.
type Augmentation struct {
	Rotate float64 // uniform in ± so many degrees
	Flip   kernels.Flip
	Crop   int     // pixels of padding around the image that the crop is taken from
	Erase  float64 // probability that a random rectangle is erased
}

// op returns the plan's form of it.
func (a Augmentation) op() kernels.Augment {
	return kernels.Augment{Flip: a.Flip, Crop: a.Crop, Erase: uint32(min(a.Erase*(1<<32), math.MaxUint32))}
}

// rotations returns the table of [kernels.Gather]: angles evenly spread over
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

// erasures returns the table of [kernels.Gather]: rectangles as torchvision's
// RandomErasing draws them by default, .02 to .33 of the area and with an aspect
// ratio of .3 to 3.3, even in its logarithm (Zhong et al., "Random erasing data
// augmentation", 2017). They are always the same.
func erasures() []uint32 {
	r := rand.New(rand.NewPCG(2017, 0))
	table := make([]uint32, 0, kernels.AugmentErasures)
	for len(table) < kernels.AugmentErasures {
		area := Side * Side * (.02 + .31*r.Float64())
		aspect := math.Exp(math.Log(.3) + (math.Log(3.3)-math.Log(.3))*r.Float64())
		h, w := int(math.Round(math.Sqrt(area*aspect))), int(math.Round(math.Sqrt(area/aspect)))
		if h > 0 && w > 0 && h < Side && w < Side {
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

// writeAugmentation writes those tables.
func (n *Net) writeAugmentation(p kernels.Program) error {
	if !n.rotations.Absent() {
		if err := p.Write(n.rotations, kernels.AsBytes(n.Config.Augment.rotations())); err != nil {
			return err
		}
	}
	if n.erasures.Absent() {
		return nil
	}
	return p.Write(n.erasures, kernels.AsBytes(erasures()))
}
