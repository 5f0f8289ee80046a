package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fmnist-gpu/fmnist-gpu/"

// allowed lists, for each part of the project, the parts that its packages
// may import. Packages from elsewhere are checked below.
var allowed = map[string][]string{
	"kernels":            {},
	"kernels/kerneltest": {"kernels"},
	"kernels/vulkan":     {"kernels", "gpu", "shaders"},
	"gpu":                {},
	"shaders":            {},
	"cpuref":             {"kernels"},
	"trainer":            {"kernels"},
	// A program that looks at the shaders of whole networks.
	"kernels/vulkan/report": {"kernels", "kernels/vulkan", "gpu", "shaders", "trainer"},
}

// part returns the part of the project that a package belongs to: the longest
// entry of allowed that its path starts with.
func part(path string) string {
	best := ""
	for p := range allowed {
		if (path == p || strings.HasPrefix(path, p+"/")) && len(p) > len(best) {
			best = p
		}
	}
	return best
}

// The arrows of the design: training code knows no backend, backends know no
// training code, and only gpu knows Vulkan.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	checked := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], module)
		if strings.HasPrefix(from, "cmd/") {
			continue // the command may import all
		}
		if part(from) == "" {
			t.Errorf("package %s is not in a part that this test knows", from)
			continue
		}
		checked++
		for _, imported := range fields[1:] {
			checkImport(t, from, imported)
		}
	}
	if checked < 10 {
		t.Errorf("only %d packages were checked", checked)
	}
}

func checkImport(t *testing.T, from, imported string) {
	t.Helper()
	if to, ours := strings.CutPrefix(imported, module); ours {
		if p := part(to); p != part(from) && !slices.Contains(allowed[part(from)], p) {
			t.Errorf("%s imports %s", from, to)
		}
		return
	}
	if strings.HasPrefix(imported, "github.com/vulkan-go/") && part(from) != "gpu" {
		t.Errorf("%s imports %s, which only gpu may", from, imported)
	}
	if strings.HasPrefix(imported, "github.com/go-gl/") {
		t.Errorf("%s imports %s, which only the window may", from, imported)
	}
	if imported == "C" && part(from) != "gpu" {
		t.Errorf("%s uses cgo", from)
	}
	if first, _, _ := strings.Cut(imported, "/"); part(from) == "kernels" && strings.Contains(first, ".") {
		t.Errorf("%s imports %s, but the contract uses the standard library alone", from, imported)
	}
}

// licences are the licences of modules, with words that are only in their texts.
var licences = map[string]string{
	"MIT": "Permission is hereby granted, free of charge", "BSD-2-Clause": "Redistribution and use in source and binary forms",
	"BSD-3-Clause": "Neither the name", "Apache-2.0": "Apache License", "Unlicense": "free and unencumbered", "OFL-1.1": "SIL OPEN FONT LICENSE",
	"CC-BY-4.0": "Creative Commons Attribution 4.0", "FTL": "FreeType License",
}

// dependencies.md lists the modules of go.mod, no others, with their licences and what
// each is for.
func TestDependencyList(t *testing.T) {
	text, err := os.ReadFile("dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{} // licences
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]*\\S) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = strings.Split(m[2], ", ")
	}
	if rows := strings.Count(string(text), "\n| `"); rows != len(listed) {
		t.Errorf("%d of %d rows are a module, a licence and a reason, each once", len(listed), rows)
	}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct{ Require []struct{ Path string } }
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if listed[r.Path] == nil {
			t.Errorf("%s is not in dependencies.md", r.Path)
			continue
		}
		checkLicences(t, r.Path, listed[r.Path])
		delete(listed, r.Path)
	}
	for path := range listed {
		t.Errorf("%s is in dependencies.md, but not in go.mod", path)
	}
}

// checkLicences looks for the licences in a module's files, if it has been downloaded.
func checkLicences(t *testing.T, module string, names []string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, e := range entries {
		if !strings.Contains(strings.ToLower(e.Name()), "licen") || e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all += strings.Join(strings.Fields(string(text)), " ")
	}
	for _, name := range names {
		if words := licences[name]; words == "" || !strings.Contains(all, words) {
			t.Errorf("%s is not a licence of %s", name, module)
		}
	}
	if slices.Contains(names, "BSD-2-Clause") && strings.Contains(all, licences["BSD-3-Clause"]) {
		t.Errorf("%s has BSD-3-Clause", module)
	}
}

// forbidden lists, for packages of the trainer, what they must not depend on, not even
// indirectly: "" is every other package of ours.
var forbidden = map[string][]string{
	"trainer/picture":    {""},
	"trainer/setting":    {""},
	"trainer/statistics": {""},
	"trainer/model":      {"trainer", "trainer/dataset", "trainer/study", "trainer/report", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/dataset":    {"trainer", "trainer/model", "trainer/study", "trainer/report", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer":            {"trainer/study", "trainer/report", "trainer/bench", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/audit":      {"trainer/study", "trainer/report", "trainer/bench", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/study":      {"trainer/report", "trainer/bench", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/report":     {"trainer/bench", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/live":       {"trainer/report", "trainer/bench", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/live/web":   {"trainer/bench", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/export":     {"trainer/study", "trainer/report", "cpuref", "gpu", "kernels/vulkan", "shaders"},
	"trainer/bench":      {"trainer/study", "trainer/report", "cpuref", "gpu", "kernels/vulkan", "shaders"},
}

// The packages of the trainer form layers: pictures below datasets and networks, these
// below the training, and that below studies and reports.
func TestTrainerLayers(t *testing.T) {
	for from, others := range forbidden {
		out, err := exec.Command("go", "list", "-deps", module+from).Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", from, err)
		}
		for path := range strings.Lines(string(out)) {
			to, ours := strings.CutPrefix(strings.TrimSpace(path), module)
			if ours && to != from && (others[0] == "" || slices.Contains(others, to)) {
				t.Errorf("%s depends on %s", from, to)
			}
		}
	}
}

// readsEnvironment lists the packages, outside cmd, that read environment variables, and
// why.
var readsEnvironment = map[string]string{
	"gpu":                          "finds the Vulkan loader's drivers as the loader does",
	"gpu/gputest":                  "is of tests",
	"shaders/generate":             "is a program",
	"trainer/dataset/datasettest":  "is of tests",
	"trainer/internal/browsertest": "is of tests",
}

// namesFlags lists the packages, outside cmd, with texts that look like flags, and why.
var namesFlags = map[string]string{
	"gpu":                   "names a flag of the program vulkaninfo",
	"shaders/generate":      "is a program",
	"trainer/study/slurm":   "names flags of Slurm's commands",
	"trainer/internal/page": "writes custom properties of CSS",
}

var (
	environmentReader = regexp.MustCompile(`^(Getenv|LookupEnv|Environ|ExpandEnv)$`)
	flagName          = regexp.MustCompile(`--[a-z]`)
)

// Libraries read no environment variables and name no flags: that is for commands.
func TestLibrariesKnowNoCommandLine(t *testing.T) {
	environment, flags := map[string]bool{}, map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (name == "cmd" || strings.HasPrefix(e.Name(), ".") && name != "."):
			return fs.SkipDir
		case e.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		scanSource(t, path, filepath.ToSlash(filepath.Dir(name)), environment, flags)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, why := range readsEnvironment {
		if !environment[name] {
			t.Errorf("%s reads no environment variables: it needs no exception (%s)", name, why)
		}
	}
	for name, why := range namesFlags {
		if !flags[name] {
			t.Errorf("%s names no flags: it needs no exception (%s)", name, why)
		}
	}
}

// scanSource looks for environment variables and flags in a file of a package, and adds
// the package where it finds them.
func scanSource(t *testing.T, path, name string, environment, flags map[string]bool) {
	t.Helper()
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			if ok && (of.Name == "os" || of.Name == "syscall") && environmentReader.MatchString(n.Sel.Name) {
				environment[name] = true
				if readsEnvironment[name] == "" {
					t.Errorf("%v: a library reads environment variables", positions.Position(n.Pos()))
				}
			}
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if n.Kind == token.STRING && err == nil && flagName.MatchString(text) {
				flags[name] = true
				if namesFlags[name] == "" {
					t.Errorf("%v: a library names a flag: %s", positions.Position(n.Pos()), n.Value)
				}
			}
		}
		return true
	})
}
