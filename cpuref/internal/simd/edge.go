//go:build (amd64 || arm64) && !noasm

package simd

// wide runs a kernel that always computes 16 columns. If fewer are needed, it
// computes them in scratch and copies them.
func (t *Tile) wide(kernel func(t *Tile), rows, cols int) {
	if cols == 16 {
		kernel(t)
		return
	}
	c, rowC, accumulate, bias := t.C, t.RowC, t.Accumulate, t.Bias
	t.C, t.RowC, t.Accumulate, t.Bias = &t.edge[0], 16, 0, nil
	kernel(t)
	t.C, t.RowC, t.Accumulate, t.Bias = c, rowC, accumulate, bias
	for i := range rows {
		for j, v := range t.edge[i*16 : i*16+cols] {
			to := at(c, i*rowC+j)
			if accumulate != 0 {
				v += *to
			}
			if bias != nil {
				v += *at(bias, j)
			}
			*to = v
		}
	}
}
