// Package manifest records how the committed SPIR-V was compiled, and what each
// module takes.
package manifest

// Manifest describes all modules and their compiler.
type Manifest struct {
	Compiler string   `json:"compiler"` // first line of the compiler's --version
	Flags    []string `json:"flags"`
	Modules  []Module `json:"modules"` // sorted by name

	// UnitsCompiler compiled the modules for matrix units, which the compiler of the
	// others may be too old for.
	UnitsCompiler string `json:"units_compiler"`
}

// Module describes one SPIR-V module.
type Module struct {
	Name         string `json:"name"`          // of the source, without ".comp"; with its suffix if it is for matrix units
	SourceSHA256 string `json:"source_sha256"` // of the source and its includes
	SPIRVSHA256  string `json:"spirv_sha256"`  // of the compiled module
	Interface
}

// Interface is what a shader takes, as GLSL declares it: "uint BM", "buffer A".
type Interface struct {
	Constants []string `json:"constants"` // specialisation constants by number; constant 0 of a compute shader is the number of threads per workgroup
	Push      []string `json:"push"`      // push constants of 4 bytes each
	Buffers   []Buffer `json:"buffers"`   // and textures, by binding
}

// Buffer is a storage buffer or a texture. Buffers may share a binding; the last push
// constants then hold where in it each begins, in elements.
type Buffer struct {
	Declaration string `json:"declaration"`
	Binding     int    `json:"binding"`
	Stride      int    `json:"stride"` // bytes from one element to the next, 0 for a texture
}

// Shared returns which buffers share their binding with others.
func (f Interface) Shared() []int {
	count := map[int]int{}
	for _, b := range f.Buffers {
		count[b.Binding]++
	}
	var shared []int
	for i, b := range f.Buffers {
		if count[b.Binding] > 1 {
			shared = append(shared, i)
		}
	}
	return shared
}

// Bindings returns the number of bindings.
func (f Interface) Bindings() int {
	n := 0
	for _, b := range f.Buffers {
		n = max(n, b.Binding+1)
	}
	return n
}

// Declarations returns those of the buffers.
func (f Interface) Declarations() []string {
	var all []string
	for _, b := range f.Buffers {
		all = append(all, b.Declaration)
	}
	return all
}
