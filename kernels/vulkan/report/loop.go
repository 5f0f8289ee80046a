//go:build cgo

package main

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// instructions counts the instructions of a thread's inner loop per step along K,
// by kind.
type instructions struct {
	fma      float64 // multiply-adds
	vector   float64 // other vector arithmetic
	multiply float64 // 32-bit integer multiplications, which take 4 slots
	shared   float64 // loads and stores of shared memory
	memory   float64 // loads and stores of buffers
	waits    float64 // for loads
}

// share returns the share of the issue slots that multiply-adds take. Scalar
// instructions have slots of their own.
func (i instructions) share() float64 {
	return i.fma / (i.fma + i.vector + 4*i.multiply + i.shared + i.memory)
}

var kinds = []struct {
	pattern *regexp.Regexp
	count   func(*instructions) *float64
}{
	{regexp.MustCompile(`^v_(dual_)?(fma|fmac|mac|mad|pk_fma)_(legacy_)?f32`), func(i *instructions) *float64 { return &i.fma }},
	{regexp.MustCompile(`^v_mul_(lo|hi)_[iu]32`), func(i *instructions) *float64 { return &i.multiply }},
	{regexp.MustCompile(`^v_`), func(i *instructions) *float64 { return &i.vector }},
	{regexp.MustCompile(`^ds_`), func(i *instructions) *float64 { return &i.shared }},
	{regexp.MustCompile(`^(buffer|global|flat|scratch)_`), func(i *instructions) *float64 { return &i.memory }},
	{regexp.MustCompile(`^s_waitcnt`), func(i *instructions) *float64 { return &i.waits }},
}

// add counts an instruction as often as it runs per step.
func (i *instructions) add(instruction string, times float64) {
	for _, k := range kinds {
		if k.pattern.MatchString(instruction) {
			*k.count(i) += times
			return
		}
	}
}

var (
	label  = regexp.MustCompile(`^(BB\d+):`)
	branch = regexp.MustCompile(`^s_c?branch\S*\s+(BB\d+)`)
	ends   = regexp.MustCompile(`^s_(branch|endpgm|setpc)`)
	stores = regexp.MustCompile(`^ds_(write|store)`)
)

// block is a basic block of a disassembly.
type block struct {
	label        string
	instructions []string
}

// fmas returns the number of the block's multiply-adds.
func (b block) fmas() float64 {
	var i instructions
	for _, line := range b.instructions {
		i.add(line, 1)
	}
	return i.fma
}

// loop is the blocks of a loop, by their position.
type loop map[int]bool

// errNoLoop: a product's code has no loop over steps that multiplies.
var errNoLoop = errors.New("no loop along K found in the disassembly")

// innerLoop counts the instructions of a product's loop along K per step. A step
// has perStep multiply-adds per thread; a loop within the step repeats until it
// has done them.
func innerLoop(assembly string, perStep int) (instructions, error) {
	blocks := parse(assembly)
	step, within := stepLoop(blocks)
	if step == nil {
		return instructions{}, errNoLoop
	}
	times := 1.0
	if within != nil {
		per := 0.0
		for n := range within {
			per += blocks[n].fmas()
		}
		times = float64(perStep) / per
	}
	var count instructions
	for n := range step {
		for _, line := range blocks[n].instructions {
			if within[n] {
				count.add(line, times)
			} else {
				count.add(line, 1)
			}
		}
	}
	return count, nil
}

// stepLoop returns the loop over steps: the innermost that stages tiles in shared
// memory, around the block with most multiply-adds that lies in such a loop. within
// is the loop inside a step, nil if the driver has unrolled it.
func stepLoop(blocks []block) (step, within loop) {
	loops := loopsOf(blocks)
	var most float64
	for n, b := range blocks {
		fmas := b.fmas()
		if fmas <= most {
			continue
		}
		var inner loop
		for _, l := range loops { // the innermost first
			if l[n] && l.stores(blocks) {
				most, step, within = fmas, l, inner
				break
			}
			if l[n] && inner == nil {
				inner = l
			}
		}
	}
	return step, within
}

// parse splits a disassembly into its blocks.
func parse(assembly string) []block {
	var blocks []block
	for line := range strings.Lines(assembly) {
		if m := label.FindStringSubmatch(line); m != nil {
			blocks = append(blocks, block{label: m[1]})
			continue
		}
		text, _, _ := strings.Cut(line, ";")
		if text = strings.TrimSpace(text); text != "" && len(blocks) > 0 {
			last := &blocks[len(blocks)-1]
			last.instructions = append(last.instructions, text)
		}
	}
	return blocks
}

// loopsOf returns the loops, smaller ones first.
func loopsOf(blocks []block) []loop {
	before := make([][]int, len(blocks)) // blocks from which control goes to a block
	at := map[string]int{}
	for n, b := range blocks {
		at[b.label] = n
	}
	for n, b := range blocks {
		falls := true
		for _, line := range b.instructions {
			if m := branch.FindStringSubmatch(line); m != nil {
				before[at[m[1]]] = append(before[at[m[1]]], n)
			}
			falls = !ends.MatchString(line)
		}
		if falls && n+1 < len(blocks) {
			before[n+1] = append(before[n+1], n)
		}
	}
	var loops []loop
	for header, from := range before {
		l := loop{header: true}
		for _, n := range from {
			if n >= header { // back to the header
				l.reach(n, before)
			}
		}
		if len(l) > 1 || slices.Contains(from, header) {
			loops = append(loops, l)
		}
	}
	slices.SortStableFunc(loops, func(a, b loop) int { return cmp.Compare(len(a), len(b)) })
	return loops
}

// reach adds to the loop a block and all from which control reaches it.
func (l loop) reach(n int, before [][]int) {
	if l[n] {
		return
	}
	l[n] = true
	for _, m := range before[n] {
		l.reach(m, before)
	}
}

// stores reports whether the loop writes shared memory.
func (l loop) stores(blocks []block) bool {
	for n := range l {
		if slices.ContainsFunc(blocks[n].instructions, stores.MatchString) {
			return true
		}
	}
	return false
}
