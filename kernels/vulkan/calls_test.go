//go:build cgo

package vulkan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever calls a shader names all that it takes: a constant or a buffer that is
// new in a shader would otherwise be silently zero here.
func TestCallsNameEverything(t *testing.T) {
	fields := shaderFields(t)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		ast.Inspect(parse(t, set, path), func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			name := shaderStruct(literal.Type)
			given := map[string]bool{}
			for _, e := range literal.Elts {
				if pair, ok := e.(*ast.KeyValueExpr); ok {
					if field, ok := pair.Key.(*ast.Ident); ok { // not the key of a map
						given[field.Name] = true
					}
				}
			}
			for _, field := range fields[name] {
				called[name] = true
				if !given[field] {
					t.Errorf("%v: shaders.%s without %s", set.Position(literal.Pos()), name, field)
				}
			}
			return true
		})
	}
	for name := range fields {
		if !called[name] && name != "AvgPoolBackwardSpec" { // converted from the other direction's
			t.Errorf("no shaders.%s was found", name)
		}
	}
}

// shaderFields returns the fields of the structs in shaders/interface.go.
func shaderFields(t *testing.T) map[string][]string {
	fields := map[string][]string{}
	ast.Inspect(parse(t, token.NewFileSet(), filepath.Join("..", "..", "shaders", "interface.go")), func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			if len(f.Names) > 0 {
				fields[spec.Name.Name] = append(fields[spec.Name.Name], f.Names[0].Name)
				continue
			}
			embedded := f.Type
			if generic, ok := embedded.(*ast.IndexExpr); ok {
				embedded = generic.X
			}
			fields[spec.Name.Name] = append(fields[spec.Name.Name], embedded.(*ast.Ident).Name)
		}
		return false
	})
	if len(fields) < 50 {
		t.Fatalf("only %d structs in interface.go", len(fields))
	}
	return fields
}

// shaderStruct returns the name of a type of package shaders, "" for others.
func shaderStruct(typ ast.Expr) string {
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	selector, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if from, ok := selector.X.(*ast.Ident); !ok || from.Name != "shaders" {
		return ""
	}
	return selector.Sel.Name
}

func parse(t *testing.T, set *token.FileSet, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
