package model

import (
	"slices"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Muon updates the weights between the first and the last layer's, and AdamW all other
// parameters, of which it decays the two weights alone.
func TestMuonAndAdamWShareTheParameters(t *testing.T) {
	for _, name := range Names() {
		network, _ := Zoo(name, Shape{H: 28, W: 28, C: 1}, make([]string, 10))
		o := DefaultMuon()
		n, err := Build(Config{Network: network, Optimizer: o, Images: 2, TrainBatches: []int{2}, TrainImages: 2})
		if err != nil {
			t.Fatal(err)
		}
		updates, decays, byMuon := make([]int, n.Values.Len()), make([]float32, n.Values.Len()), make([]bool, n.Values.Len())
		update := func(param kernels.Tensor, decay float32, muon bool) {
			for i := range param.Len() {
				updates[param.Offset+i]++
				decays[param.Offset+i], byMuon[param.Offset+i] = decay, muon
			}
		}
		for _, op := range n.Plan.Find(TrainSection(2)).Ops {
			switch op := op.(type) {
			case kernels.Adam:
				update(op.Param, op.WeightDecay, false)
			case kernels.MuonStep:
				update(op.Param, op.WeightDecay, true)
			}
		}
		isMatrix := func(p Param) bool { return len(p.Layout.Shape) > 1 }
		first := slices.IndexFunc(n.Params, isMatrix)
		for i, p := range n.Params {
			wantMuon := isMatrix(p) && i != first && slices.ContainsFunc(n.Params[i+1:], isMatrix)
			var wantDecay float32
			if isMatrix(p) {
				wantDecay = float32(o.WeightDecay)
			}
			for k := range p.Tensor.Len() {
				at := p.Tensor.Offset + k
				if updates[at] != 1 || decays[at] != wantDecay || byMuon[at] != wantMuon {
					t.Fatalf("%s of %s: %d updates, decay %v, by Muon: %v; want 1, %v, %v", p.Name, name, updates[at], decays[at], byMuon[at], wantDecay, wantMuon)
				}
			}
		}
	}
}
