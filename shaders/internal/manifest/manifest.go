// Package manifest holds the record of how the committed SPIR-V was made.
package manifest

// Manifest describes all modules and what compiled them.
type Manifest struct {
	Compiler string   `json:"compiler"` // first line of the compiler's --version
	Flags    []string `json:"flags"`
	Modules  []Module `json:"modules"` // sorted by name
}

// Module describes one SPIR-V module.
type Module struct {
	Name          string `json:"name"`           // of the source without ".comp"
	SourceSHA256  string `json:"source_sha256"`  // of the source and the includes it reaches
	SPIRVSHA256   string `json:"spirv_sha256"`   //
	Bindings      int    `json:"bindings"`       // storage buffers, numbered from 0
	PushBytes     int    `json:"push_bytes"`     // of push constants
	SpecConstants int    `json:"spec_constants"` // numbered from 0; 0 is the workgroup's number of threads
}
