// Package manifest records how the committed SPIR-V was compiled, and what each
// module takes.
package manifest

// Manifest describes all modules and their compiler.
type Manifest struct {
	Compiler string   `json:"compiler"` // first line of the compiler's --version
	Flags    []string `json:"flags"`
	Modules  []Module `json:"modules"` // sorted by name
}

// Module describes one SPIR-V module.
type Module struct {
	Name         string `json:"name"`          // of the source, without ".comp"
	SourceSHA256 string `json:"source_sha256"` // of the source and its includes
	SPIRVSHA256  string `json:"spirv_sha256"`  // of the compiled module
	Interface
}

// Interface is what a shader takes, as GLSL declares it: "uint BM", "buffer A".
type Interface struct {
	Constants []string `json:"constants"` // specialisation constants by number; constant 0 of a compute shader is the number of threads per workgroup
	Push      []string `json:"push"`      // push constants of 4 bytes each
	Buffers   []string `json:"buffers"`   // and textures, by binding
}
