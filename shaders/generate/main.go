// Command generate compiles the shaders in the current folder with glslc into
// spv/, and writes spv/manifest.json and, for the host, what each shader takes as
// Go types, interface.go. Run it with go generate ./shaders.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/shaders/internal/manifest"
)

// flags are the arguments of glslc, except those for input and output.
var flags = []string{"-O", "--target-env=vulkan1.1", "-I", "include"}

// unitsFlags are further arguments for the modules for matrix units, by the suffix of
// their name.
var unitsFlags = map[string][]string{
	"_bf16": {"-DFACTOR=bfloat16_t"},
	"_fp16": {"-DFACTOR=float16_t", "-DSCALED"},
}

// unitsCompiler is the environment variable that names a glslc of 2025.3 or later,
// which knows the extensions for matrix units, if the one in the path is older.
const unitsCompiler = "GLSLC_UNITS"

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate compiles the sources in dir into dir/spv and dir/interface.go.
func generate(dir string) error {
	m, code, err := build(dir)
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "spv")
	if err := os.RemoveAll(out); err != nil { // also removes the modules of deleted sources
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, words := range code {
		if err := os.WriteFile(filepath.Join(out, name+".spv"), words, 0o644); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "manifest.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	source, err := render(dir, m.Modules)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "interface.go"), source, 0o644)
}

// build compiles every source in dir and returns the manifest, and the SPIR-V by
// name.
func build(dir string) (*manifest.Manifest, map[string][]byte, error) {
	compiler, err := compilerVersion("glslc")
	if err != nil {
		return nil, nil, err
	}
	forUnits, err := compilerVersion(unitsGLSLC())
	if err != nil {
		return nil, nil, err
	}
	names, err := modules(dir)
	if err != nil {
		return nil, nil, err
	}
	m := &manifest.Manifest{Compiler: compiler, Flags: flags, UnitsCompiler: forUnits}
	code := map[string][]byte{}
	for _, name := range names {
		e, words, err := buildModule(dir, name)
		if err != nil {
			return nil, nil, err
		}
		m.Modules, code[name] = append(m.Modules, e), words
	}
	return m, code, nil
}

// unitsGLSLC is the compiler of the modules for matrix units.
func unitsGLSLC() string { return cmp.Or(os.Getenv(unitsCompiler), "glslc") }

// buildModule compiles a module.
func buildModule(dir, name string) (m manifest.Module, code []byte, err error) {
	m.Name = name
	source, more := sourceOf(name)
	if more == nil {
		code, err = compile(dir, "glslc", source, flags...)
	} else if code, err = compile(dir, unitsGLSLC(), source, append(slices.Clone(flags), more...)...); err != nil {
		err = fmt.Errorf("%w\nset %s to a glslc of 2025.3 or later, which knows matrix units", err, unitsCompiler)
	}
	if err != nil {
		return m, nil, err
	}
	m.SPIRVSHA256 = hash(code)
	if m.Interface, err = interfaceOf(dir, name, code); err != nil {
		return m, nil, fmt.Errorf("%s: %w", name, err)
	}
	m.SourceSHA256, err = sourceHash(dir, name)
	return m, code, err
}

// modules returns the names of the modules in dir: of compute shaders without their
// extension, of the others with it.
func modules(dir string) ([]string, error) {
	var names []string
	for _, extension := range []string{".comp", ".vert", ".frag"} {
		sources, err := filepath.Glob(filepath.Join(dir, "*"+extension))
		if err != nil {
			return nil, err
		}
		for _, path := range sources {
			names = append(names, strings.TrimSuffix(filepath.Base(path), ".comp"))
		}
	}
	for _, name := range names {
		units := false
		err := eachSource(dir, name, func(file string, _ []byte) { units = units || file == "matrix_units.glsl" })
		if err != nil {
			return nil, err
		}
		for suffix := range unitsFlags {
			if units {
				names = append(names, name+suffix)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// sourceOf returns the module that a module for matrix units is a variant of, and its
// further flags; for other modules their own name.
func sourceOf(name string) (source string, more []string) {
	for suffix, more := range unitsFlags {
		if source, ok := strings.CutSuffix(name, suffix); ok {
			return source, more
		}
	}
	return name, nil
}

// sourceFile returns the name of a module's source.
func sourceFile(name string) string {
	if name, _ = sourceOf(name); isCompute(name) {
		return name + ".comp"
	}
	return name
}

func isCompute(name string) bool { return filepath.Ext(name) == "" }

// compilerVersion returns the first line of a glslc's --version, which names the
// release.
func compilerVersion(compiler string) (string, error) {
	text, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w (install the package glslc)", compiler, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line, nil
}

// interfaceOf returns what a shader takes. Its names come from another
// compilation, because glslc strips them when it optimises. A variant for matrix units
// takes what its source's other module does.
func interfaceOf(dir, name string, optimised []byte) (manifest.Interface, error) {
	name, _ = sourceOf(name)
	named, err := compile(dir, "glslc", name, append(slices.Clone(flags), "-O0")...)
	if err != nil {
		return manifest.Interface{}, err
	}
	f, err := reflectModule(named)
	if err != nil {
		return f, err
	}
	for kind, list := range map[string][]string{"constant": f.Constants, "push constant": f.Push, "buffer or texture": f.Declarations()} {
		for i, declaration := range list {
			if _, id, _ := strings.Cut(declaration, " "); id == "" {
				return f, fmt.Errorf("%s %d is missing or has no name", kind, i)
			}
		}
	}
	if err := orderShared(f); err != nil {
		return f, err
	}
	return f, conforms(optimised, f)
}

func compile(dir, compiler, name string, flags ...string) ([]byte, error) {
	cmd := exec.Command(compiler, append(slices.Clone(flags), "-o", "-", sourceFile(name))...)
	cmd.Dir = dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("glslc %s: %w\n%s", sourceFile(name), err, problems.String())
	}
	return out.Bytes(), nil
}

var includeLine = regexp.MustCompile(`(?m)^#include "([^"]+)"`)

// sourceHash returns the hash of a source followed by all files that it includes,
// directly or not, each once, in order of appearance.
func sourceHash(dir, name string) (string, error) {
	h := sha256.New()
	err := eachSource(dir, name, func(_ string, text []byte) { h.Write(text) })
	return hex.EncodeToString(h.Sum(nil)), err
}

// eachSource calls do with the name and the text of a source and of the files that
// it includes, in that order.
func eachSource(dir, name string, do func(name string, text []byte)) error {
	seen := map[string]bool{}
	var add func(path string) error
	add = func(path string) error {
		if seen[path] {
			return nil
		}
		seen[path] = true
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) // a checkout may convert line endings
		do(filepath.Base(path), text)
		for _, inc := range includeLine.FindAllSubmatch(text, -1) {
			if err := add(filepath.Join(dir, "include", string(inc[1]))); err != nil {
				return err
			}
		}
		return nil
	}
	return add(filepath.Join(dir, sourceFile(name)))
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
