//go:build (amd64 || arm64) && !noasm

package simd

// wide runs a kernel that always computes the given width. If fewer columns are
// needed, it computes them in scratch and copies them.
func (t *Tile) wide(kernel func(t *Tile), rows, cols, width int) {
	if cols == width {
		kernel(t)
		return
	}
	c, rowC, accumulate, bias := t.C, t.RowC, t.Accumulate, t.Bias
	t.C, t.RowC, t.Accumulate, t.Bias = &t.edge[0], width, 0, nil
	kernel(t)
	t.C, t.RowC, t.Accumulate, t.Bias = c, rowC, accumulate, bias
	for i := range rows {
		for j, v := range t.edge[i*width : i*width+cols] {
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
