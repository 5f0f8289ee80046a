package shaders

import "testing"

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
		if m.Bindings < 1 || m.SpecConstants < 1 {
			t.Errorf("%s: %d bindings, %d constants: want a buffer and a number of threads", name, m.Bindings, m.SpecConstants)
		}
	}
	if _, err := Get("no_such_shader"); err == nil {
		t.Error("Get found a module that does not exist")
	}
}
