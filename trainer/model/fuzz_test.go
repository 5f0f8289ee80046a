package model

import (
	"math"
	"testing"
)

// FuzzParseYAML checks that a network that is accepted can be written, read again and
// built within the limits.
func FuzzParseYAML(f *testing.F) {
	for _, name := range Names() {
		n, _ := Zoo(name, Shape{H: 28, W: 28, C: 1}, make([]string, 10))
		text, err := n.YAML()
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(text))
	}
	f.Add([]byte(residualNet))
	f.Add([]byte("layers: &a [residual: {body: *a}]"))
	f.Add([]byte("layers: [conv: {out: 65536, kernel: 4096, padding: 4095}, linear: {out: 2147483648}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := parse(string(text))
		if err != nil {
			return
		}
		written, err := n.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(written)
		if err != nil {
			t.Fatalf("%v: cannot read what was written:\n%s", err, written)
		}
		if second, err := again.YAML(); err != nil || second != written {
			t.Fatalf("%v: written\n%s\nand again\n%s", err, written, second)
		}
		net, err := Build(Config{Network: n, Optimizer: DefaultAdam(), Images: 2, TrainBatches: []int{2}, TrainImages: 2, EvalBatches: []int{1}, EvalImages: 1})
		if err != nil {
			t.Fatalf("%v: a network that is accepted cannot be built:\n%s", err, written)
		}
		if n := net.Plan.Bytes(); n < 0 || n > math.MaxInt/2 || net.ParameterCount() > maxParameters {
			t.Errorf("%d bytes, %d parameters", n, net.ParameterCount())
		}
	})
}
