package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/shaders/internal/manifest"
)

// Opcodes, decorations and enumerants of SPIR-V that reflection uses (SPIR-V
// specification, section 3).
const (
	spirvMagic = 0x07230203

	opName              = 5
	opMemberName        = 6
	opTypeBool          = 20
	opTypeInt           = 21
	opTypeFloat         = 22
	opTypeSampledImage  = 27
	opTypeStruct        = 30
	opTypePointer       = 32
	opSpecConstantTrue  = 48
	opSpecConstantFalse = 49
	opSpecConstant      = 50
	opVariable          = 59
	opDecorate          = 71
	opMemberDecorate    = 72

	decorationSpecID      = 1
	decorationArrayStride = 6
	decorationBinding     = 33
	decorationOffset      = 35

	storagePushConstant = 9
)

// module is what reflection needs of a SPIR-V module, by id.
type module struct {
	names       map[uint32]string
	memberNames map[[2]uint32]string // by struct and member
	offsets     map[[2]uint32]uint32 // in bytes, likewise
	scalars     map[uint32]string    // types: bool, uint or float
	members     map[uint32][]uint32  // structs: types of their members
	pointees    map[uint32]uint32    // pointer types: what they point to
	variables   map[uint32]uint32    // their types
	constants   map[uint32]uint32    // specialisation constants: their types
	specIDs     map[uint32]int
	bindings    map[uint32]int
	strides     map[uint32]int  // of array types, in bytes
	textures    map[uint32]bool // types
	push        uint32          // struct of push constants, 0 for none
}

// parse reads a module.
func parse(code []byte) (*module, error) {
	if len(code) < 20 || len(code)%4 != 0 || binary.LittleEndian.Uint32(code) != spirvMagic {
		return nil, errors.New("not little-endian SPIR-V")
	}
	words := make([]uint32, len(code)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(code[4*i:])
	}
	m := &module{names: map[uint32]string{}, memberNames: map[[2]uint32]string{}, offsets: map[[2]uint32]uint32{}, scalars: map[uint32]string{},
		members: map[uint32][]uint32{}, pointees: map[uint32]uint32{}, variables: map[uint32]uint32{},
		constants: map[uint32]uint32{}, specIDs: map[uint32]int{}, bindings: map[uint32]int{}, strides: map[uint32]int{}, textures: map[uint32]bool{}}
	for i := 5; i < len(words); {
		n, op := int(words[i]>>16), words[i]&0xffff
		if n == 0 || i+n > len(words) {
			return nil, errors.New("the SPIR-V is truncated")
		}
		m.add(op, words[i+1:i+n])
		i += n
	}
	return m, nil
}

// add takes in one instruction.
func (m *module) add(op uint32, arg []uint32) {
	switch op {
	case opName:
		if m.names[arg[0]] == "" { // not the name of a constant that equals this one
			m.names[arg[0]] = text(arg[1:])
		}
	case opMemberName:
		m.memberNames[[2]uint32{arg[0], arg[1]}] = text(arg[2:])
	case opDecorate:
		switch arg[1] {
		case decorationBinding:
			m.bindings[arg[0]] = int(arg[2])
		case decorationArrayStride:
			m.strides[arg[0]] = int(arg[2])
		case decorationSpecID:
			m.specIDs[arg[0]] = int(arg[2])
		}
	case opMemberDecorate:
		if arg[2] == decorationOffset {
			m.offsets[[2]uint32{arg[0], arg[1]}] = arg[3]
		}
	case opTypeBool:
		m.scalars[arg[0]] = "bool"
	case opTypeInt:
		if arg[1] == 32 && arg[2] == 0 {
			m.scalars[arg[0]] = "uint"
		}
	case opTypeFloat:
		if arg[1] == 32 {
			m.scalars[arg[0]] = "float"
		}
	case opTypeSampledImage:
		m.textures[arg[0]] = true
	case opTypeStruct:
		m.members[arg[0]] = arg[1:]
	case opTypePointer:
		m.pointees[arg[0]] = arg[2]
	case opSpecConstantTrue, opSpecConstantFalse, opSpecConstant:
		m.constants[arg[1]] = arg[0]
	case opVariable:
		m.variables[arg[1]] = arg[0]
		if arg[2] == storagePushConstant {
			m.push = m.pointees[arg[0]]
		}
	}
}

// text decodes a string.
func text(words []uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// reflectModule returns the interface of a module, with "" for constants and
// buffers that it does not have. Of an optimised module the names are missing.
func reflectModule(code []byte) (manifest.Interface, error) {
	var f manifest.Interface
	m, err := parse(code)
	if err != nil {
		return f, err
	}
	for id, at := range m.specIDs {
		value, err := m.value(m.constants[id], m.names[id])
		if err != nil {
			return f, fmt.Errorf("constant %d: %w", at, err)
		}
		if f.Constants = grow(f.Constants, at); len(value) > len(f.Constants[at]) { // two can share a number; one has a name
			f.Constants[at] = value
		}
	}
	for id, at := range m.bindings {
		typ := m.pointees[m.variables[id]]
		b := manifest.Buffer{Declaration: "buffer " + m.names[typ], Binding: at}
		if m.textures[typ] {
			b.Declaration = "texture " + m.names[id]
		} else if array := m.members[typ]; len(array) > 0 {
			b.Stride = m.strides[array[0]]
		}
		f.Buffers = append(f.Buffers, b)
	}
	slices.SortFunc(f.Buffers, func(a, b manifest.Buffer) int {
		return cmp.Or(a.Binding-b.Binding, cmp.Compare(a.Declaration, b.Declaration))
	})
	for i, t := range m.members[m.push] {
		member := [2]uint32{m.push, uint32(i)}
		value, err := m.value(t, m.memberNames[member])
		if err != nil {
			return f, fmt.Errorf("push constant %d: %w", i, err)
		}
		if m.offsets[member] != uint32(4*i) {
			return f, fmt.Errorf("push constant %d is at byte %d", i, m.offsets[member])
		}
		f.Push = append(f.Push, value)
	}
	return f, nil
}

// value returns the declaration of a scalar.
func (m *module) value(typ uint32, name string) (string, error) {
	if m.scalars[typ] == "" {
		return "", fmt.Errorf("%s is not a bool, uint or float", name)
	}
	return m.scalars[typ] + " " + name, nil
}

// grow returns list with an element at position at.
func grow(list []string, at int) []string {
	for len(list) <= at {
		list = append(list, "")
	}
	return list
}

// offsetSuffix marks the push constant with the offset of a buffer in its binding.
const offsetSuffix = "_at"

// orderShared orders the buffers that share a binding like the push constants with
// their offsets, and returns an error unless those are the last push constants, in
// the order of the buffers.
func orderShared(f manifest.Interface) error {
	place := map[string]int{} // of a buffer's offset, by the buffer's name
	for i, p := range f.Push {
		if name, ok := strings.CutSuffix(p, offsetSuffix); ok {
			place["buffer"+strings.TrimPrefix(plain(name), "uint")] = i
		}
	}
	shared := f.Shared()
	slices.SortFunc(f.Buffers, func(a, b manifest.Buffer) int {
		return cmp.Or(a.Binding-b.Binding, place[plain(a.Declaration)]-place[plain(b.Declaration)])
	})
	next := len(f.Push) - len(shared)
	for _, i := range f.Shared() {
		b := f.Buffers[i]
		if at, ok := place[plain(b.Declaration)]; !ok || at != next {
			return fmt.Errorf("%s shares binding %d: want its offset as push constant %d", b.Declaration, b.Binding, next)
		}
		next++
	}
	return nil
}

// plain returns a name without what the cases of names differ in.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", " ", "").Replace(name))
}

// conforms returns an error unless an optimised module has the interface f, but
// for names and for what it does not use.
func conforms(code []byte, f manifest.Interface) error {
	got, err := reflectModule(code)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name      string
		got, want []string
	}{{"constants", got.Constants, f.Constants}, {"push constants", got.Push, f.Push}} {
		same := len(part.got) <= len(part.want) && (part.name != "push constants" || len(part.got) == len(part.want))
		for i := 0; same && i < len(part.got); i++ {
			same = strings.HasPrefix(part.want[i], part.got[i])
		}
		if !same {
			return fmt.Errorf("the SPIR-V has the %s %q, the manifest %q", part.name, part.got, part.want)
		}
	}
	for _, b := range got.Buffers {
		if !slices.ContainsFunc(f.Buffers, func(want manifest.Buffer) bool {
			return b.Binding == want.Binding && b.Stride == want.Stride && strings.HasPrefix(want.Declaration, b.Declaration)
		}) {
			return fmt.Errorf("the SPIR-V has a buffer at binding %d with a stride of %d, the manifest %v", b.Binding, b.Stride, f.Buffers)
		}
	}
	return nil
}
