package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/shaders/internal/manifest"
)

const dir = ".." // the folder of the sources

func readManifest(t *testing.T) manifest.Manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "spv", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The committed SPIR-V belongs to the committed sources. This needs no compiler.
func TestCommittedModulesAreFresh(t *testing.T) {
	m := readManifest(t)
	sources, err := modules(dir)
	if err != nil || len(sources) == 0 || len(sources) != len(m.Modules) {
		t.Fatalf("%d sources, %d modules in the manifest (%v): run go generate ./shaders", len(sources), len(m.Modules), err)
	}
	for _, e := range m.Modules {
		want, err := sourceHash(dir, e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if e.SourceSHA256 != want {
			t.Errorf("%s or an include has changed: run go generate ./shaders", sourceFile(e.Name))
		}
		code, err := os.ReadFile(filepath.Join(dir, "spv", e.Name+".spv"))
		if err != nil {
			t.Fatal(err)
		}
		if hash(code) != e.SPIRVSHA256 {
			t.Errorf("spv/%s.spv does not match the manifest: run go generate ./shaders", e.Name)
		}
		if err := conforms(code, e.Interface); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "spv"))
	if err != nil || len(files) != len(m.Modules)+1 {
		t.Errorf("spv/ holds %d files, want the manifest and %d modules (%v)", len(files), len(m.Modules), err)
	}
}

// The committed Go types are those of the committed modules. This needs no
// compiler.
func TestInterfaceIsFresh(t *testing.T) {
	want, err := render(dir, readManifest(t).Modules)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "interface.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Error("interface.go does not match the manifest: run go generate ./shaders")
	}
}

// A manifest that tells of another interface than the SPIR-V has is found out.
func TestConforms(t *testing.T) {
	code, err := os.ReadFile(filepath.Join(dir, "spv", "sgd.spv"))
	if err != nil {
		t.Fatal(err)
	}
	good := func() manifest.Interface {
		return manifest.Interface{Constants: []string{"uint THREADS", "bool WITH_MOMENTUM", "bool NESTEROV", "bool WITH_SHARES"},
			Push: []string{"uint len", "float momentum", "float weight_decay"},
			Buffers: []manifest.Buffer{{Declaration: "buffer Param", Binding: 0, Stride: 16}, {Declaration: "buffer Grad", Binding: 1, Stride: 16},
				{Declaration: "buffer State", Binding: 2, Stride: 4}, {Declaration: "buffer LearningRates", Binding: 3, Stride: 4},
				{Declaration: "buffer M", Binding: 4, Stride: 16}, {Declaration: "buffer Shares", Binding: 5, Stride: 4}}}
	}
	if err := conforms(code, good()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(f *manifest.Interface){
		"constant of another type":      func(f *manifest.Interface) { f.Constants[2] = "uint NESTEROV" },
		"too few constants":             func(f *manifest.Interface) { f.Constants = f.Constants[:2] },
		"push constant of another type": func(f *manifest.Interface) { f.Push[0] = "float len" },
		"too few push constants":        func(f *manifest.Interface) { f.Push = f.Push[:2] },
		"too many push constants":       func(f *manifest.Interface) { f.Push = append(f.Push, "float scale") },
		"too few buffers":               func(f *manifest.Interface) { f.Buffers = f.Buffers[:4] },
		"buffer of another stride":      func(f *manifest.Interface) { f.Buffers[2].Stride = 16 },
		"buffer at another binding":     func(f *manifest.Interface) { f.Buffers[2].Binding = 1 },
	} {
		f := good()
		if change(&f); conforms(code, f) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The last push constants of a shader are the offsets of the buffers that share a
// binding, in their order.
func TestOrderShared(t *testing.T) {
	with := func(push ...string) manifest.Interface {
		return manifest.Interface{Push: push, Buffers: []manifest.Buffer{{Declaration: "buffer A", Binding: 0},
			{Declaration: "buffer DBeta", Binding: 1}, {Declaration: "buffer InvStd", Binding: 1}}}
	}
	f := with("uint len", "uint inv_std_at", "uint dbeta_at")
	if err := orderShared(f); err != nil || f.Buffers[1].Declaration != "buffer InvStd" {
		t.Errorf("%v (%v)", f.Buffers, err)
	}
	for name, f := range map[string]manifest.Interface{
		"one is missing":     with("uint len", "uint dbeta_at"),
		"not the last":       with("uint inv_std_at", "uint dbeta_at", "uint len"),
		"one between":        with("uint inv_std_at", "uint len", "uint dbeta_at"),
		"of an unknown name": with("uint len", "uint inv_std_at", "uint beta_at"),
		"no push constant":   with(),
		"of a lone buffer":   with("uint a_at", "uint inv_std_at"),
	} {
		if orderShared(f) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The same compiler produces the same bytes.
func TestRebuildGivesTheSameBytes(t *testing.T) {
	m := readManifest(t)
	version, err := compilerVersion("glslc")
	if err != nil {
		t.Skip("skipped, no compiler: ", err)
	}
	if version != m.Compiler || !slices.Equal(flags, m.Flags) {
		t.Skipf("skipped: the shaders were compiled by %s; this machine has %s, whose output may differ", m.Compiler, version)
	}
	unitsVersion, err := compilerVersion(unitsGLSLC())
	withUnits := err == nil && unitsVersion == m.UnitsCompiler
	if !withUnits {
		t.Logf("the modules for matrix units are not rebuilt: they were compiled by %s; this machine has %s", m.UnitsCompiler, unitsVersion)
	}
	for _, want := range m.Modules {
		if _, units := sourceOf(want.Name); units != nil && !withUnits {
			continue
		}
		if got, _, err := buildModule(dir, want.Name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the rebuilt %s differs (%v): run go generate ./shaders", want.Name, err)
		}
	}
}

// Every module is valid SPIR-V for Vulkan 1.1 and, unless it is for matrix units,
// requires only the capability Shader, which every device has.
func TestModulesAreCoreVulkan(t *testing.T) {
	const opCapability, capabilityShader = 17, 1
	validator, lookErr := exec.LookPath("spirv-val")
	for _, e := range readManifest(t).Modules {
		path := filepath.Join(dir, "spv", e.Name+".spv")
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, units := sourceOf(e.Name)
		for i := 20; units == nil && i < len(code) && code[i] == opCapability; i += 8 {
			if code[i+4] != capabilityShader {
				t.Errorf("%s requires capability %d", e.Name, code[i+4])
			}
		}
		if lookErr != nil || units != nil && !knowsUnits(t, validator) {
			continue
		}
		if out, err := exec.Command(validator, "--target-env", "vulkan1.1", path).CombinedOutput(); err != nil {
			t.Errorf("spirv-val %s: %v\n%s", e.Name, err, strings.TrimSpace(string(out)))
		}
	}
	if lookErr != nil && os.Getenv("FMNIST_REQUIRE_VULKAN") == "1" {
		t.Error("FMNIST_REQUIRE_VULKAN is 1, but spirv-val is not installed")
	} else if lookErr != nil {
		t.Log("spirv-val is not installed: only the capabilities were checked")
	}
}

// knowsUnits reports whether spirv-val knows the extensions for matrix units with
// bfloat16, as those of 2025.2 and later do.
func knowsUnits(t *testing.T, validator string) bool {
	t.Helper()
	text, err := exec.Command(validator, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(string(text), "SPIRV-Tools v"), " ")
	return version >= "2025.2"
}

func TestReflectRejectsInvalidSPIRV(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(dir, "spv", "relu_forward.spv"))
	if err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string][]byte{"empty": nil, "text": []byte("this is a text of some length"),
		"truncated": good[:24]} {
		if _, err := reflectModule(code); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
