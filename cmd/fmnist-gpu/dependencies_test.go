package main

import (
	"os/exec"
	"slices"
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
	if imported == "C" && part(from) != "gpu" {
		t.Errorf("%s uses cgo", from)
	}
	if first, _, _ := strings.Cut(imported, "/"); part(from) == "kernels" && strings.Contains(first, ".") {
		t.Errorf("%s imports %s, but the contract uses the standard library alone", from, imported)
	}
}
