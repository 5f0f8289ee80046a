package main

import (
	"fmt"
	"maps"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
)

// winograd generates the transforms of F(outputs×outputs, taps×taps): each is
// Y = L·X·Lᵀ with one of the algorithm's matrices.
func winograd(v vector, outputs, taps int) {
	m := simd.NewWinogradMatrices(outputs, taps)
	variant := fmt.Sprintf("%dx%d", outputs, taps)
	winogradFilter(v, variant, m.Filter)
	winogradInput(v, variant, m.Input, outputs)
	winogradOutput(v, variant, m.Output)
	winogradNormalize(v, variant, m.Output)
	winogradPool(v, variant, m.Output)
	winogradGradient(v, variant, simd.Transposed(m.Output))
	winogradWeight(v, variant, simd.Transposed(m.Filter))
}

// sandwich generates Y = L·X·Lᵀ, a column at a time. Where two of the algorithm's
// roots differ only in their sign, L has two rows that differ only in the signs of
// some elements, or two such columns, which share sums.
type sandwich struct {
	vector
	l [][]float64
	x func(line reg.GPVirtual, j int) Mem // element j of a row of X
	// next moves a line of X to the next row, and below an address in Y.
	next, below func(r reg.GPVirtual)
	constants   map[float64]reg.VecVirtual // magnitudes of coefficients

	// partial generates a jump to a label if Y has only count rows or columns, as
	// one of the function's parameters says; it may be nil.
	partial func(parameter string, count int, label string)
	finish  func(y reg.VecVirtual) reg.VecVirtual // what is stored for y; it may be nil
	best    []reg.VecVirtual                      // of a pool: the windows' largest elements so far, from top to bottom, or nil
}

// hold fills registers with the matrix's constants, the most frequent ones first, as
// many as fit beside those that the columns need.
func (s *sandwich) hold() {
	uses, order := map[float64]int{}, []float64{}
	for _, row := range s.l {
		for _, c := range row {
			c = math.Abs(c)
			if c == 0 || c == 1 {
				continue
			}
			if uses[c] == 0 {
				order = append(order, c)
			}
			uses[c]++
		}
	}
	slices.SortStableFunc(order, func(a, b float64) int { return uses[b] - uses[a] })
	free := s.registers - len(s.l[0]) - 4 // sum, bias, a constant that is not held, and SSE's product
	for i := range s.l {
		if mirrored(s.l, i) { // two sums, and two columns
			free--
			if s.pairsColumns() {
				free -= len(s.l[0])
			}
			break
		}
	}
	free -= len(s.best)
	s.constants = map[float64]reg.VecVirtual{}
	for _, c := range order[:min(free, len(order))] {
		s.constants[c] = s.constant(c)
	}
}

// constant returns a register filled with c.
func (s *sandwich) constant(c float64) reg.VecVirtual {
	if r := s.constants[c]; r != nil {
		return r
	}
	return s.broadcastInt(U32(math.Float32bits(float32(c))))
}

// pairsColumns reports whether there are registers for two columns of X·Lᵀ.
func (s *sandwich) pairsColumns() bool { return s.registers > 3*len(s.l[0]) }

// mirrored reports whether rows i and i+1 of a matrix differ only in the signs of
// some elements, and are long enough that to share sums saves instructions.
func mirrored(m [][]float64, i int) bool {
	terms, opposite := 0, 0
	if i+1 >= len(m) {
		return false
	}
	for j, v := range m[i] {
		if math.Abs(v) != math.Abs(m[i+1][j]) {
			return false
		}
		if v != 0 {
			terms++
		}
		if v != m[i+1][j] {
			opposite++
		}
	}
	return terms > 2 && opposite > 0
}

// split splits mirrored row i of a matrix into the elements that row i+1 repeats and
// those that it negates.
func split(m [][]float64, i int) (same, opposite []float64) {
	same, opposite = make([]float64, len(m[i])), make([]float64, len(m[i]))
	for j, v := range m[i] {
		if v == m[i+1][j] {
			same[j] = v
		} else {
			opposite[j] = v
		}
	}
	return same, opposite
}

// apply generates the transform from the address of X to that of Y, whose columns
// are a distance apart. It changes column.
func (s *sandwich) apply(x, column, distance reg.GPVirtual) {
	for k := 0; k < len(s.l); k++ {
		if s.pairsColumns() && mirrored(s.l, k) {
			first, second := s.columnPair(x, k)
			s.store(first, column, distance, k)
			k++
			s.store(second, column, distance, k)
			continue
		}
		s.store(s.column(x, k), column, distance, k)
	}
	if s.partial != nil {
		Label("done")
	}
}

// eachLine generates body for every row of X.
func (s *sandwich) eachLine(x reg.GPVirtual, body func(row []Op)) {
	line := GP64()
	MOVQ(x, line)
	for i := range s.l[0] {
		var row []Op
		for j := range s.l[0] {
			row = append(row, s.x(line, j))
		}
		body(row)
		if i < len(s.l[0])-1 {
			s.next(line)
		}
	}
}

// column returns column k of X·Lᵀ.
func (s *sandwich) column(x reg.GPVirtual, k int) (sums []Op) {
	held := maps.Clone(s.constants)
	for _, c := range s.l[k] {
		if c = math.Abs(c); c != 0 && c != 1 {
			s.constants[c] = s.constant(c)
		}
	}
	s.eachLine(x, func(row []Op) { sums = append(sums, s.combine(s.l[k], row)) })
	s.constants = held
	return sums
}

// columnPair returns columns k and k+1, which are mirrored.
func (s *sandwich) columnPair(x reg.GPVirtual, k int) (first, second []Op) {
	same, opposite := split(s.l, k)
	s.eachLine(x, func(row []Op) {
		a, b := s.combine(same, row), s.combine(opposite, row)
		first = append(first, s.sum(a, b))
		second = append(second, s.difference(a, b))
	})
	return first, second
}

// store stores L times column k of X·Lᵀ to Y, and moves on to the next column.
func (s *sandwich) store(sums []Op, column, distance reg.GPVirtual, k int) {
	l := s.shareColumns(sums)
	to := GP64()
	MOVQ(column, to)
	done := fmt.Sprintf("column%d", k)
	put := func(i int, y reg.VecVirtual) {
		if s.finish != nil {
			y = s.finish(y)
		}
		if s.best != nil {
			s.pool(i, k, y, to, done)
			return
		}
		VMOVUPS(y, Mem{Base: to})
		s.nextRow(to, i, len(l)-1, done)
	}
	for i := 0; i < len(l); i++ {
		if !mirrored(l, i) {
			put(i, s.combine(l[i], sums))
			continue
		}
		same, opposite := split(l, i)
		a, b := s.combine(same, sums), s.combine(opposite, sums)
		put(i, s.sum(a, b))
		i++
		put(i, s.difference(a, b))
	}
	if s.partial != nil {
		Label(done)
	}
	size := s.poolSize()
	if k < len(s.l)-1 && (k+1)%size == 0 {
		if s.partial != nil {
			s.partial("cols", (k+1)/size, "done")
		}
		ADDQ(distance, column)
	}
}

// nextRow moves from row i of Y to the next one, unless it is the last.
func (s *sandwich) nextRow(to reg.GPVirtual, i, last int, done string) {
	if i == last {
		return
	}
	if s.partial != nil {
		s.partial("rows", i+1, done)
	}
	s.below(to)
}

// poolSize returns the extent of a pool's windows, or 1.
func (s *sandwich) poolSize() int {
	if s.best != nil {
		return 2
	}
	return 1
}

// pool puts the element in row i and column k of Y into its window's largest one, and
// stores that, at least 0, after the window's last.
func (s *sandwich) pool(i, k int, y reg.VecVirtual, to reg.GPVirtual, done string) {
	window := i / 2
	if i%2+k%2 == 0 {
		VMOVAPS(y, s.best[window])
		return
	}
	s.takeGreater(0, y, s.best[window], nil, nil)
	switch {
	case i%2 == 0:
	case k%2 == 0:
		if window < len(s.best)-1 {
			s.partial("rows", window+1, done)
		}
	default:
		VMAXPS(s.best[window], s.zero(), s.best[window]) // a NaN stays
		VMOVUPS(s.best[window], Mem{Base: to})
		s.nextRow(to, window, len(s.best)-1, done)
	}
}

// zero returns a register with zeros.
func (v vector) zero() reg.VecVirtual {
	r := v.new()
	VXORPS(r, r, r)
	return r
}

// shareColumns replaces the elements of mirrored columns of L by their sum and
// difference, if there are enough rows that this saves instructions, and returns the
// matrix that multiplies them.
func (s *sandwich) shareColumns(x []Op) [][]float64 {
	if len(s.l) < 3 {
		return s.l
	}
	columns := simd.Transposed(s.l)
	for j := 0; j+1 < len(columns); j++ {
		if !mirrored(columns, j) {
			continue
		}
		x[j], x[j+1] = s.sum(x[j], x[j+1]), s.difference(x[j], x[j+1])
		columns[j], columns[j+1] = split(columns, j)
		j++
	}
	return simd.Transposed(columns)
}

// combine returns the sum of vectors in registers or memory times coefficients.
func (s *sandwich) combine(coefficients []float64, x []Op) reg.VecVirtual {
	order := make([]int, 0, len(x))
	for j, c := range coefficients {
		if c != 0 {
			order = append(order, j)
		}
	}
	// Begin with a term whose coefficient is 1, or else with a product.
	rank := func(j int) int {
		switch c := coefficients[j]; {
		case c == 1:
			return 0
		case c > 0:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(a) - rank(b) })
	first := order[0]
	var sum reg.VecVirtual
	if coefficients[first] == 1 {
		sum = s.begin(x[first], len(order) == 1)
	} else {
		sum = s.new()
		VMULPS(x[first], s.constant(coefficients[first]), sum)
	}
	for _, j := range order[1:] {
		switch c := coefficients[j]; {
		case c == 1:
			VADDPS(x[j], sum, sum)
		case c == -1:
			VSUBPS(x[j], sum, sum)
		case c > 0:
			VFMADD231PS(x[j], s.constant(c), sum)
		default:
			VFNMADD231PS(x[j], s.constant(-c), sum)
		}
	}
	return sum
}

// begin returns a register with x that may change, unless x is the only term.
func (v vector) begin(x Op, only bool) reg.VecVirtual {
	if r, ok := x.(reg.VecVirtual); ok && only {
		return r
	}
	r := v.new()
	VMOVUPS(x, r)
	return r
}

// sum returns x + y.
func (v vector) sum(x, y Op) reg.VecVirtual {
	r := v.new()
	VADDPS(y, x, r)
	return r
}

// difference returns x − y.
func (v vector) difference(x, y Op) reg.VecVirtual {
	r := v.new()
	VSUBPS(y, x, r)
	return r
}

// multiples returns the function that gives the address of i times a distance, i at
// most 8 and below n, after a base.
func multiples(one reg.GPVirtual, n int) func(base reg.GPVirtual, i int) Mem {
	multiple := map[int]reg.GPVirtual{}
	for _, m := range []int{3, 5} {
		if n > m {
			multiple[m] = GP64()
			LEAQ(Mem{Base: one, Index: one, Scale: uint8(m - 1)}, multiple[m])
		}
	}
	if n > 7 {
		multiple[7] = GP64()
		LEAQ(Mem{Base: one, Index: multiple[3], Scale: 2}, multiple[7])
	}
	return func(base reg.GPVirtual, i int) Mem {
		switch i {
		case 0:
			return Mem{Base: base}
		case 1, 2, 4, 8:
			return Mem{Base: base, Index: one, Scale: uint8(i)}
		case 6:
			return Mem{Base: base, Index: multiple[3], Scale: 2}
		}
		return Mem{Base: base, Index: multiple[i], Scale: 1}
	}
}

// dense sets X to n×n matrices whose elements are a distance apart.
func (s *sandwich) dense(distance reg.GPVirtual, n int) {
	s.x = multiples(distance, n+1)
	s.next = func(line reg.GPVirtual) { LEAQ(s.x(line, n), line) }
}

// by returns the function that adds a distance to an address.
func by(distance reg.GPVirtual) func(r reg.GPVirtual) {
	return func(r reg.GPVirtual) { ADDQ(distance, r) }
}

// times returns a register with n times a distance.
func times(n int, distance reg.GPVirtual) reg.GPVirtual {
	r := GP64()
	IMUL3Q(U32(n), distance, r)
	return r
}

// flat generates the loop over n matrices from x to y, which are both dense.
func (s *sandwich) flat(x, y, n, dx, dy reg.GPVirtual) {
	s.dense(dx, len(s.l[0]))
	s.below = by(times(len(s.l), dy))
	s.hold()
	Label("more")
	column := GP64()
	MOVQ(y, column)
	s.apply(x, column, dy)
	ADDQ(U32(s.bytes()), x)
	ADDQ(U32(s.bytes()), y)
	SUBQ(U32(s.lanes), n)
	JNZ(LabelRef("more"))
	VZEROUPPER()
	RET()
}

func winogradFilter(v vector, variant string, g [][]float64) {
	v.function("winogradFilter"+variant, "u, filter *float32, n, du, dg int", "transforms n filters, a multiple of the lanes.")
	s := &sandwich{vector: v, l: g} // the assembler reserves the name g
	s.flat(param("filter"), param("u"), param("n"), bytesOf(param("dg")), bytesOf(param("du")))
}

func winogradWeight(v vector, variant string, g [][]float64) {
	v.function("winogradWeight"+variant, "dw, m *float32, n, ddw, dm int", "transforms the points of n filters, a multiple of the lanes.")
	s := &sandwich{vector: v, l: g}
	s.flat(param("m"), param("dw"), param("n"), bytesOf(param("dm")), bytesOf(param("ddw")))
}

// toPoints generates the loop over a row of tiles of images to points; next moves
// x from the end of a tile's first pixel to the next tile.
func (s *sandwich) toPoints(x, pixel, row reg.GPVirtual, next func()) {
	to, tiles, dv := param("v"), param("tiles"), bytesOf(param("dv"))
	s.x, s.next = multiples(pixel, len(s.l[0])), by(row)
	s.below = by(times(len(s.l), dv))
	s.hold()
	loop("tiles", tiles, func() {
		channels := param("c")
		Label("channels")
		column := GP64()
		MOVQ(to, column)
		s.apply(x, column, dv)
		ADDQ(U32(s.bytes()), to)
		ADDQ(U32(s.bytes()), x)
		SUBQ(U32(s.lanes), channels)
		JNZ(LabelRef("channels"))
		next()
	})
	VZEROUPPER()
	RET()
}

func winogradInput(v vector, variant string, b [][]float64, outputs int) {
	v.function("winogradInput"+variant, "v, x *float32, tiles, c, row, dv int",
		"transforms a row of input tiles of c channels, a multiple of the lanes.")
	s := &sandwich{vector: v, l: b}
	x, c, row := param("x"), bytesOf(param("c")), bytesOf(param("row"))
	s.toPoints(x, c, row, func() { LEAQ(s.x(x, outputs-1), x) })
}

func winogradGradient(v vector, variant string, a [][]float64) {
	v.function("winogradGradient"+variant, "v, y *float32, tiles, c, ldy, row, dv int",
		"transforms a row of tiles of the output's gradient of c channels, a multiple of the lanes.")
	s := &sandwich{vector: v, l: a}
	y, ldy, row := param("y"), bytesOf(param("ldy")), bytesOf(param("row"))
	s.toPoints(y, ldy, row, func() {
		SUBQ(bytesOf(param("c")), y)
		LEAQ(s.x(y, len(a[0])), y)
	})
}

func winogradOutput(v vector, variant string, a [][]float64) {
	v.function("winogradOutput"+variant, "y, m, bias *float32, tiles, c, ldy, row, ldm, dm, rows, cols int",
		"transforms a row of products to output tiles of c channels, a multiple of the lanes.")
	s := &sandwich{vector: v, l: a}
	s.fromPoints("bias", func(bias reg.GPVirtual) {
		b := v.load(Mem{Base: bias})
		s.finish = func(y reg.VecVirtual) reg.VecVirtual { return s.sum(y, b) }
	})
}

// winogradNormalize does in each element what normalize and normalizeReLU do.
func winogradNormalize(v vector, variant string, a [][]float64) {
	v.function("winogradNormalize"+variant, "y, m, constants *float32, tiles, c, ldy, row, ldm, dm, rows, cols int",
		"is winogradOutput"+variant+" with normalisation and a least value.")
	s := &sandwich{vector: v, l: a}
	s.fromPoints("constants", func(constants reg.GPVirtual) {
		s.finish = func(y reg.VecVirtual) reg.VecVirtual {
			y = s.sum(y, ofChannels(constants, simd.WinogradBias))
			VSUBPS(ofChannels(constants, simd.WinogradMean), y, y)
			VMULPS(ofChannels(constants, simd.WinogradScale), y, y)
			VADDPS(ofChannels(constants, simd.WinogradShift), y, y)
			VMAXPS(y, v.load(ofChannels(constants, simd.WinogradLeast)), y) // a NaN stays
			return y
		}
	})
}

// winogradPool does in each window what normalizeReLUPool does.
func winogradPool(v vector, variant string, a [][]float64) {
	v.function("winogradPool"+variant, "y, m, constants *float32, tiles, c, ldy, row, ldm, dm, rows, cols int",
		"is winogradOutput"+variant+" with normalisation, ReLU and a pool of rows×cols windows.")
	s := &sandwich{vector: v, l: a, best: v.several(len(a) / 2)}
	s.fromPoints("constants", func(constants reg.GPVirtual) {
		s.finish = func(y reg.VecVirtual) reg.VecVirtual {
			y = s.sum(y, ofChannels(constants, simd.WinogradBias))
			VSUBPS(ofChannels(constants, simd.WinogradMean), y, y)
			VFMADD213PS(ofChannels(constants, simd.WinogradShift), v.load(ofChannels(constants, simd.WinogradScale)), y)
			return y
		}
	})
}

// ofChannels returns the address of a vector of an epilogue's constants.
func ofChannels(constants reg.GPVirtual, i int) Mem {
	return at(constants, 4*simd.WinogradConstants*i)
}

// fromPoints generates the loop over a row of tiles of products to the output; start
// begins a vector of channels and gets the address of what a parameter holds for it.
func (s *sandwich) fromPoints(parameter string, start func(constants reg.GPVirtual)) {
	y, m, constants, tiles := param("y"), param("m"), param(parameter), param("tiles")
	ldy, row, dm := bytesOf(param("ldy")), bytesOf(param("row")), bytesOf(param("dm"))
	s.dense(dm, len(s.l[0]))
	s.below = by(row)
	s.partial = func(parameter string, count int, label string) {
		CMPQ(param(parameter), Imm(uint64(count)))
		JE(LabelRef(label))
	}
	s.hold()
	loop("tiles", tiles, func() {
		channels := param("c")
		Label("channels")
		start(constants)
		column := GP64()
		MOVQ(y, column)
		s.apply(m, column, ldy)
		for _, r := range []reg.GPVirtual{y, m, constants} {
			ADDQ(U32(s.bytes()), r)
		}
		SUBQ(U32(s.lanes), channels)
		JNZ(LabelRef("channels"))
		c := bytesOf(param("c"))
		for _, r := range []reg.GPVirtual{y, m, constants} {
			SUBQ(c, r)
		}
		ADDQ(bytesOf(param("ldm")), m)
		for range len(s.l) / s.poolSize() {
			ADDQ(ldy, y)
		}
	})
	VZEROUPPER()
	RET()
}
