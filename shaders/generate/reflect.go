package main

import (
	"encoding/binary"
	"errors"

	"github.com/fmnist-gpu/fmnist-gpu/shaders/internal/manifest"
)

// Opcodes, decorations and enumerants of SPIR-V that reflection uses (SPIR-V
// specification, section 3).
const (
	spirvMagic = 0x07230203

	opTypeInt     = 21
	opTypeFloat   = 22
	opTypeStruct  = 30
	opTypePointer = 32
	opVariable    = 59
	opDecorate    = 71

	decorationSpecID  = 1
	decorationBinding = 33

	storagePushConstant = 9
)

// reflectModule counts the bindings, bytes of push constants and specialisation
// constants of a module. Every push constant must be a 4-byte scalar.
func reflectModule(code []byte) (manifest.Module, error) {
	var m manifest.Module
	if len(code) < 20 || len(code)%4 != 0 || binary.LittleEndian.Uint32(code) != spirvMagic {
		return m, errors.New("not little-endian SPIR-V")
	}
	words := make([]uint32, len(code)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(code[4*i:])
	}
	scalar := map[uint32]bool{}
	members := map[uint32][]uint32{} // struct: types of its members
	pointee := map[uint32]uint32{}
	for i := 5; i < len(words); {
		n, op := int(words[i]>>16), words[i]&0xffff
		if n == 0 || i+n > len(words) {
			return m, errors.New("the SPIR-V is truncated")
		}
		arg := words[i+1 : i+n]
		switch op {
		case opDecorate:
			switch arg[1] {
			case decorationBinding:
				m.Bindings = max(m.Bindings, int(arg[2])+1)
			case decorationSpecID:
				m.SpecConstants = max(m.SpecConstants, int(arg[2])+1)
			}
		case opTypeInt, opTypeFloat:
			scalar[arg[0]] = arg[1] == 32
		case opTypeStruct:
			members[arg[0]] = arg[1:]
		case opTypePointer:
			pointee[arg[0]] = arg[2]
		case opVariable:
			if arg[2] != storagePushConstant {
				break
			}
			for _, t := range members[pointee[arg[0]]] {
				if !scalar[t] {
					return m, errors.New("a push constant is not a 4-byte scalar")
				}
				m.PushBytes += 4
			}
		}
		i += n
	}
	return m, nil
}
