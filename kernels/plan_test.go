package kernels

import (
	"strings"
	"testing"
)

// Vulkan counts the offset of a storage buffer in bytes, so tensors of every
// type start at a multiple of Alignment bytes, and Check refuses others.
func TestAlignmentIsInBytes(t *testing.T) {
	for _, typ := range []DType{Float32, Uint32, Uint8} {
		var p Plan
		arena := p.Arena("arena", typ)
		end := 0
		for _, n := range []int{1, 63, 64, 65, 255, 256, 257} {
			v := arena.Tensor(n)
			if v.Offset*typ.Size()%Alignment != 0 || v.Offset < end || v.Offset-end > Alignment/typ.Size() {
				t.Errorf("%v: %d elements start at %d, after %d", typ, n, v.Offset, end)
			}
			end = v.Offset + n
		}
		if all := arena.All(); all.Bytes()%Alignment != 0 || all.Len() < end {
			t.Errorf("%v: the arena has %d bytes for %d elements", typ, all.Bytes(), end)
		}
	}
}

func TestCheckRefusesMisalignedTensors(t *testing.T) {
	var p Plan
	x, images := p.Tensor("x", Float32, 512), p.Tensor("images", Uint8, 2*256)
	labels, order := p.Tensor("labels", Uint8, 2), p.Tensor("order", Uint32, 2)
	state, table := p.Tensor("state", Uint32, StateWords), p.Tensor("table", Float32, 1, 256)
	y := p.Tensor("y", Uint32, 1)
	op := Gather{Images: images, Labels: labels, Order: order, State: state, Table: table, X: x, Y: y}
	op.X.Shape, op.Images.Shape = []int{1, 16, 16, 1}, []int{1, 16, 16, 1}
	op.Labels.Shape = []int{1}
	for offset, fits := range map[int]bool{0: true, 256: true, 64: false, 1: false} {
		op.Images.Offset = offset
		p.Sections = []*Section{{Name: "s", Ops: []Op{op}}}
		err := p.Check()
		if fits && err != nil || !fits && (err == nil || !strings.Contains(err.Error(), "Images") || !strings.Contains(err.Error(), "256")) {
			t.Errorf("images at byte %d: %v", offset, err)
		}
	}
}
