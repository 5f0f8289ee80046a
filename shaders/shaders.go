// Package shaders holds the project's shaders: GLSL sources, and their SPIR-V,
// embedded so that users need no shader compiler.
//
// For each compute shader there is a function that takes its specialisation constants, its
// push constants and its buffers by name, and returns them in the shader's order
// as a [Call].
//
// Two buffers of a call may be the same memory, as where an op works in place, but their
// declarations do not say so (SPIR-V's Aliased). So no invocation may read through one what
// another, or it itself, has written through the other.
//
// After changing a source run go generate, which needs glslc, and for the variants for
// matrix units a glslc of 2025.3 or later, named by the variable GLSLC_UNITS; the tests of
// package generate fail until then.
package shaders

import (
	"embed"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/fmnist-gpu/fmnist-gpu/shaders/internal/manifest"
)

//go:generate go run ./generate

//go:embed spv
var spv embed.FS

// What shaders ask of a device at most. Vulkan guarantees as many bytes; package gpu
// refuses devices that have fewer bindings (gpu.MinStorageBuffers).
const (
	MaxBindings  = 8
	MaxPushBytes = 128
)

// Module is one compiled shader.
type Module struct {
	Name      string
	SPIRV     []byte
	Buffers   []Buffer // storage buffers and textures, in the order of [Call].Buffers
	Bindings  int      // of those; they are numbered from 0
	PushBytes int      // of push constants, with the buffers' offsets
}

// Buffer is how a module takes a buffer. Devices limit the number of bindings, so
// buffers that no inner loop reads may share one: it spans all of them, and after the
// other push constants follow their offsets in it, in elements, as 32-bit words in the
// order of the buffers.
type Buffer struct {
	Binding int
	Shared  bool // the binding has several buffers
	Stride  int  // bytes per element
}

var load = sync.OnceValues(loadModules)

func loadModules() (map[string]Module, error) {
	text, err := spv.ReadFile("spv/manifest.json")
	if err != nil {
		return nil, fmt.Errorf("embedded shaders: %w", err)
	}
	var m manifest.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("embedded shaders: manifest: %w", err)
	}
	modules := map[string]Module{}
	for _, e := range m.Modules {
		code, err := spv.ReadFile("spv/" + e.Name + ".spv")
		if err != nil {
			return nil, fmt.Errorf("embedded shaders: %w", err)
		}
		modules[e.Name] = Module{Name: e.Name, SPIRV: code, Buffers: buffersOf(e.Interface), Bindings: e.Bindings(),
			PushBytes: 4 * len(e.Push)}
	}
	return modules, nil
}

func buffersOf(f manifest.Interface) []Buffer {
	var all []Buffer
	for _, b := range f.Buffers {
		all = append(all, Buffer{Binding: b.Binding, Stride: b.Stride})
	}
	for _, i := range f.Shared() {
		all[i].Shared = true
	}
	return all
}

// Get returns the module compiled from name.comp, or from the file name if that is a
// vertex or fragment shader.
func Get(name string) (Module, error) {
	modules, err := load()
	if err != nil {
		return Module{}, err
	}
	m, ok := modules[name]
	if !ok {
		return Module{}, fmt.Errorf("embedded shaders: no shader %q", name)
	}
	return m, nil
}
