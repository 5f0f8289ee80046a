package shaders

import "encoding/binary"

// Call is a shader with all that it takes, each in the shader's own order. T
// stands for a buffer; what that is, is the caller's business.
type Call[T any] struct {
	Shader  string   // name of the module
	Spec    []uint32 // specialisation constants after constant 0
	Push    []byte   // without the offsets of buffers that share a binding
	Buffers []T
}

// bytesOf returns push constants as the device reads them.
func bytesOf(words ...uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
