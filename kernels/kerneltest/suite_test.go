package kerneltest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// faulty is a backend whose only op is ColumnSum, with a fault to find.
type faulty struct {
	name string
	// sum computes one column from the tensor and what follows it.
	sum func(x []float32, rows, cols, c int) float32
	// after may spoil the buffers.
	after func(p *faultyProgram)
}

type faultyProgram struct {
	faulty
	op      kernels.ColumnSum
	buffers [][]float32
	runs    int
}

func (f faulty) Name() string { return f.name }
func (f faulty) Close() error { return nil }
func (f faulty) Compile(p *kernels.Plan) (kernels.Program, error) {
	program := &faultyProgram{faulty: f, op: p.Sections[0].Ops[0].(kernels.ColumnSum)}
	for _, b := range p.Buffers {
		program.buffers = append(program.buffers, make([]float32, b.Len))
	}
	return program, nil
}

func (p *faultyProgram) Run(string, int) error {
	p.runs++
	x, y := p.buffers[p.op.X.Buffer][p.op.X.Offset:], p.buffers[p.op.Y.Buffer][p.op.Y.Offset:]
	rows, cols := p.op.X.Matrix()
	for c := range cols {
		y[c] = p.sum(x, rows, cols, c)
	}
	if p.after != nil {
		p.after(p)
	}
	return nil
}

func (p *faultyProgram) Write(t kernels.Tensor, src []byte) error {
	copy(kernels.AsBytes(p.buffers[t.Buffer][t.Offset:][:t.Len()]), src)
	return nil
}

func (p *faultyProgram) Read(t kernels.Tensor, dst []byte) error {
	copy(dst, kernels.AsBytes(p.buffers[t.Buffer][t.Offset:][:t.Len()]))
	return nil
}

func (p *faultyProgram) Profile(string) ([]kernels.OpTime, error) { return nil, nil }
func (p *faultyProgram) MemoryBytes() int                         { return 1 }
func (p *faultyProgram) Close() error                             { return nil }

func sound(x []float32, rows, cols, c int) float32 {
	sum := 0.0
	for r := range rows {
		sum += float64(x[r*cols+c])
	}
	return float32(sum)
}

// A sound backend passes the suite; for the others, the suite names each fault.
func TestFaultsAreFound(t *testing.T) {
	for _, f := range []struct {
		faulty
		want string // part of the error; "" for none
	}{
		{faulty{name: "sound", sum: sound}, ""},
		{faulty{name: "float32 sums", sum: func(x []float32, rows, cols, c int) (sum float32) {
			for r := range rows {
				sum += x[r*cols+c]
			}
			return sum
		}}, ""},
		{faulty{name: "last row lost", sum: func(x []float32, rows, cols, c int) float32 { return sound(x, rows-1, cols, c) }}, "elements are off"},
		{faulty{name: "one row too many", sum: func(x []float32, rows, cols, c int) float32 { return sound(x, rows+1, cols, c) }}, "got NaN"},
		{faulty{name: "last column left out", sum: sound, after: func(p *faultyProgram) {
			p.buffers[p.op.Y.Buffer][p.op.Y.Offset+p.op.Y.Len()-1] = p.buffers[p.op.Y.Buffer][0]
		}}, "got NaN"},
		{faulty{name: "one element too many", sum: sound, after: func(p *faultyProgram) {
			p.buffers[p.op.Y.Buffer][p.op.Y.Offset+p.op.Y.Len()] = 0
		}}, "written after its last element"},
		{faulty{name: "one element too early", sum: sound, after: func(p *faultyProgram) {
			p.buffers[p.op.Y.Buffer][p.op.Y.Offset-1] = 0
		}}, "written before its first element"},
		{faulty{name: "input changed", sum: sound, after: func(p *faultyProgram) {
			p.buffers[p.op.X.Buffer][p.op.X.Offset] = 9
		}}, "an input that the op changed"},
		{faulty{name: "depends on the past", sum: sound, after: func(p *faultyProgram) {
			if p.runs == 2 {
				p.buffers[p.op.Y.Buffer][p.op.Y.Offset] *= 1 + 0x1p-23
			}
		}}, "two runs from the same start differ"},
	} {
		t.Run(f.name, func(t *testing.T) {
			c := ColumnSum{R: 5000, C: 7, Integers: f.name != "float32 sums"}
			_, err := NewSuite(faulty{sum: sound}).check(f.faulty, c, c.Trial())
			switch {
			case f.want == "" && err != nil:
				t.Errorf("a sound backend fails: %v", err)
			case f.want != "" && err == nil:
				t.Error("the fault was not found")
			case f.want != "" && !strings.Contains(err.Error(), f.want):
				t.Errorf("got %q, want an error with %q", err, f.want)
			}
		})
	}
}

// The suite stores results by case name, so names must be unique. Each op of
// the contract has cases.
func TestCaseNames(t *testing.T) {
	seen, kinds := map[string]bool{}, map[string]int{}
	for _, c := range Cases() {
		trial := c.Trial()
		if err := trial.Plan.Check(); err != nil {
			t.Errorf("%s: %v", c, err)
		}
		kind := trial.Op.Kind()
		if seen[kind+"/"+c.String()] {
			t.Errorf("two cases are named %s/%s", kind, c)
		}
		seen[kind+"/"+c.String()] = true
		kinds[kind]++
	}
	for _, op := range opsOfPackage(t) {
		if kinds[op] == 0 {
			t.Errorf("package kernels has %s, but no case tests it: add it to Cases", op)
		}
		delete(kinds, op)
	}
	for kind := range kinds {
		t.Errorf("%s has cases, but package kernels has no such op", kind)
	}
}

// opsOfPackage reads the names of the ops from the source of package kernels:
// the types that have a method Kind.
func opsOfPackage(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv != nil && f.Name.Name == "Kind" {
				ops = append(ops, f.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	if len(ops) == 0 {
		t.Fatal("no op found in the source of package kernels")
	}
	return ops
}

// A single NaN, an infinity and an error just above the bound fail; equal
// infinities and NaN pass.
func TestCompare(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		got, ref, bound float64
		fails           bool
	}{
		{1, 1, 0, false}, {1.25, 1, 0.25, false}, {1.26, 1, 0.25, true}, {nan, 1, 1, true}, {1, nan, 1, true},
		{nan, nan, 0, false}, {inf, inf, 0, false}, {-inf, inf, 1, true}, {inf, 1, 1, true}, {2, 1, nan, true},
	} {
		if _, err := Compare("x", []int{1}, []float64{c.got}, []float64{c.ref}, []float64{c.bound}); (err != nil) != c.fails {
			t.Errorf("Compare(%v, %v ± %v): %v, want failure %t", c.got, c.ref, c.bound, err, c.fails)
		}
	}
}
