// Package manifest records how the committed SPIR-V was compiled.
package manifest

// Manifest describes all modules and their compiler.
type Manifest struct {
	Compiler string   `json:"compiler"` // first line of the compiler's --version
	Flags    []string `json:"flags"`
	Modules  []Module `json:"modules"` // sorted by name
}

// Module describes one SPIR-V module.
type Module struct {
	Name          string `json:"name"`           // of the source without ".comp"
	SourceSHA256  string `json:"source_sha256"`  // of the source and its includes
	SPIRVSHA256   string `json:"spirv_sha256"`   // of the compiled module
	Bindings      int    `json:"bindings"`       // storage buffers, numbered from 0
	PushBytes     int    `json:"push_bytes"`     // of push constants
	SpecConstants int    `json:"spec_constants"` // numbered from 0; constant 0 is the number of threads per workgroup
}
