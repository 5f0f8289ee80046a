package shaders

import (
	"math"
	"reflect"
	"testing"
)

// Every module of the manifest is embedded and starts with SPIR-V's magic
// number.
func TestGet(t *testing.T) {
	modules, err := load()
	if err != nil || len(modules) == 0 {
		t.Fatalf("%d modules (%v)", len(modules), err)
	}
	for name := range modules {
		m, err := Get(name)
		if err != nil || m.Name != name || len(m.SPIRV) < 20 || string(m.SPIRV[:4]) != "\x03\x02\x23\x07" {
			t.Errorf("%s: %q, %d bytes (%v)", name, m.Name, len(m.SPIRV), err)
		}
		if m.Bindings < 1 && name != "view.vert" {
			t.Errorf("%s has no buffer", name)
		}
		if m.Bindings > MaxBindings || m.PushBytes > MaxPushBytes {
			t.Errorf("%s has %d bindings and %d bytes of push constants, want at most %d and %d", name, m.Bindings, m.PushBytes, MaxBindings, MaxPushBytes)
		}
	}
	if _, err := Get("no_such_shader"); err == nil {
		t.Error("Get found a module that does not exist")
	}
}

// A call has everything in the order of sgd.comp, and of the include files of
// conv_backward_input.comp.
func TestCall(t *testing.T) {
	got := SGD(SGDSpec{Nesterov: true}, SGDPush{WeightDecay: .5, Momentum: 2, Len: 7},
		SGDBuffers[string]{M: "m", Param: "param", Grad: "grad", State: "state", LearningRates: "rates", Shares: "shares"})
	want := Call[string]{Shader: "sgd", Spec: []uint32{0, 1, 0}, Push: bytesOf(7, math.Float32bits(2), math.Float32bits(.5)),
		Buffers: []string{"param", "grad", "state", "rates", "m", "shares"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	conv := ConvBackwardInput(ConvBackwardInputSpec{
		MatrixGradientSumsSpec: MatrixGradientSumsSpec{GradientSums: true, BNH: 16, BNW: 17, BNC: 18, BNSize: 19},
		ConvShapeSpec:          ConvShapeSpec{H: 8, W: 9, I: 10, O: 11, KH: 12, KW: 13, Stride: 14, Pad: 15},
		MatrixTileSpec:         MatrixTileSpec{BM: 2, BN: 3, BK: 4, TM: 5, TN: 6, SumSplits: true, WholeK: true, Unroll: 7, Mixed: true, SubgroupSize: 20, SubgroupsM: 21, UnitM: 22, UnitN: 23, UnitK: 24},
	}, ConvBackwardInputPush{}, ConvBackwardInputBuffers[int]{})
	if want := []uint32{2, 3, 4, 5, 6, 1, 0, 1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, 16, 17, 18, 19, 1, 20, 21, 22, 23, 24}; !reflect.DeepEqual(conv.Spec, want) {
		t.Errorf("constants %v, want %v", conv.Spec, want)
	}
}
