package kerneltest

import (
	"fmt"
	"strings"
)

// Report is the outcome of all cases on one backend, by op.
type Report struct {
	Backend string
	Ops     []*OpReport
}

// OpReport is the outcome of an op's cases.
type OpReport struct {
	Kind    string
	Cases   int
	Skipped int
	// Worst is the largest ratio of error to tolerance of any element; more
	// than 1 fails. WorstCase names its case.
	Worst     float64
	WorstCase string
}

// op returns the entry of an op, adding it if it is new.
func (r *Report) op(kind string) *OpReport {
	for _, o := range r.Ops {
		if o.Kind == kind {
			return o
		}
	}
	o := &OpReport{Kind: kind}
	r.Ops = append(r.Ops, o)
	return o
}

func (o *OpReport) add(worst float64, name string) {
	o.Cases++
	if worst > o.Worst {
		o.Worst, o.WorstCase = worst, name
	}
}

// Skipped returns the number of cases left out.
func (r *Report) Skipped() int {
	n := 0
	for _, o := range r.Ops {
		n += o.Skipped
	}
	return n
}

// String formats the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%-26s %6s %8s  %s\n", r.Backend, "op", "cases", "skipped", "worst error/tolerance")
	for _, o := range r.Ops {
		fmt.Fprintf(&b, "%-26s %6d %8d  %-8.3g %s\n", o.Kind, o.Cases, o.Skipped, o.Worst, o.WorstCase)
	}
	return b.String()
}
