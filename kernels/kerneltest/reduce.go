package kerneltest

import (
	"fmt"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// ColumnSum is a case of [kernels.ColumnSum] over R rows of C columns.
type ColumnSum struct {
	R, C     int
	Integers bool // exact data
}

// Fill is a case of [kernels.Fill].
type Fill struct {
	Len   int
	Value float32
}

// String describes the case.
func (c ColumnSum) String() string {
	if c.Integers {
		return fmt.Sprintf("%dx%d_integers", c.R, c.C)
	}
	return fmt.Sprintf("%dx%d", c.R, c.C)
}

// String describes the case.
func (c Fill) String() string { return fmt.Sprintf("%d_of_%v", c.Len, c.Value) }

// Trial implements [Case].
func (c ColumnSum) Trial() *Trial {
	t := newTrial()
	data := mixed
	if c.Integers {
		data = integers
		t.exact = []string{"Y"}
	}
	return t.run(kernels.ColumnSum{X: t.floats("X", data, c.R, c.C), Y: t.output("Y", c.C)})
}

// Trial implements [Case].
func (c Fill) Trial() *Trial {
	t := newTrial()
	return t.run(kernels.Fill{X: t.output("X", c.Len), Value: c.Value})
}

func reduceCases() []Case {
	var cases []Case
	for _, s := range [][2]int{
		{1, 1}, {1, 10}, {2, 3}, {64, 10}, {63, 17}, {65, 31}, {33, 64}, {100, 65}, {1000, 1}, {1024, 16}, {1025, 129}, {7, 1000},
		{32, 10}, {64, 256}, {64 * 49, 128}, {64 * 196, 64}, {64 * 784, 32},
	} {
		cases = append(cases, ColumnSum{s[0], s[1], false}, ColumnSum{s[0], s[1], true})
	}
	for _, n := range []int{1, 3, 64, 65, 1025, 70000} {
		cases = append(cases, Fill{n, 0}, Fill{n, -1.5})
	}
	return cases
}
