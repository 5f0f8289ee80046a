// Package shaders holds the project's shaders: GLSL sources, and their SPIR-V,
// embedded so that users need no shader compiler.
//
// For each compute shader there is a function that takes its specialisation constants, its
// push constants and its buffers by name, and returns them in the shader's order
// as a [Call].
//
// After changing a source run go generate, which needs glslc; the tests of
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

// Module is one compiled shader.
type Module struct {
	Name      string
	SPIRV     []byte
	Bindings  int // storage buffers and textures, numbered from 0
	PushBytes int // of push constants
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
		modules[e.Name] = Module{Name: e.Name, SPIRV: code, Bindings: len(e.Buffers),
			PushBytes: 4 * len(e.Push)}
	}
	return modules, nil
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
