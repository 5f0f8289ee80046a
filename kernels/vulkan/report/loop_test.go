//go:build cgo

package main

import (
	"errors"
	"testing"
)

// nested is a loop along K (BB1 to BB4) around one over two columns (BB3), as the
// driver lays it out, with a longer stretch of multiply-adds after it.
const nested = `BB0:
	v_mov_b32_e32 v0, 0                                         ; 7e000280
BB1:
	buffer_load_dwordx4 v[4:7], v1, s[0:3], 0 offen             ; e05c1000 80000401
	s_waitcnt vmcnt(0)                                          ; bf8c0f70
	ds_write_b128 v2, v[4:7]                                    ; d9be0000 00000402
	s_barrier                                                   ; bf8a0000
BB2:
	s_cbranch_scc1 BB1                                          ; bf850000
BB3:
	ds_read_b128 v[4:7], v3                                     ; d9fe0000 04000003
	v_fmac_f32_e32 v8, v4, v5                                   ; 76100b04
	v_fma_f32 v9, v4, v6, v9                                    ; d1cb0009 04260d04
	v_add_u32_e32 v3, 16, v3                                    ; 68060690
	v_mul_lo_u32 v10, v3, v3                                    ; d2850000
	s_branch BB2                                                ; bf82fff0
BB5:
	v_fma_f32 v9, v4, v6, v9                                    ; d1cb0009 04260d04
	v_fma_f32 v9, v4, v6, v9                                    ; d1cb0009 04260d04
	v_fma_f32 v9, v4, v6, v9                                    ; d1cb0009 04260d04
	s_endpgm                                                    ; bf810000
`

func TestInnerLoop(t *testing.T) {
	got, err := innerLoop(nested, 8) // the loop of 2 multiply-adds runs 4 times
	if err != nil {
		t.Fatal(err)
	}
	want := instructions{fma: 8, vector: 4, multiply: 4, shared: 5, memory: 1, waits: 1}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if share := got.share(); share != 8./(8+4+16+5+1) {
		t.Errorf("share %v", share)
	}
}

func TestNoLoop(t *testing.T) {
	if _, err := innerLoop("BB0:\n\tv_fmac_f32_e32 v8, v4, v5\n\ts_endpgm\n", 8); !errors.Is(err, errNoLoop) {
		t.Errorf("%v, want errNoLoop", err)
	}
}

// A smaller share and a missing row are errors, a larger share is not, and another
// driver's table is not compared.
func TestCompare(t *testing.T) {
	path := t.TempDir() + "/table.csv"
	product := func(fma float64) row {
		return row{chip: "navi21", network: "fashioncnn", batch: 64, shader: "gemm", product: "8x8x8", loop: instructions{fma: fma, vector: 10}}
	}
	if err := write(path, "driver 1", loopColumns, []row{product(30), {chip: "navi21", shader: "adam"}}); err != nil {
		t.Fatal(err)
	}
	adam := row{chip: "navi21", shader: "adam"}
	for name, c := range map[string]struct {
		driver string
		rows   []row
		fails  bool
	}{
		"equal":          {"driver 1", []row{product(30), adam}, false},
		"better":         {"driver 1", []row{product(31), adam}, false},
		"worse":          {"driver 1", []row{product(29), adam}, true},
		"gone":           {"driver 1", []row{product(30)}, true},
		"another driver": {"driver 2", []row{product(29)}, false},
	} {
		if err := compare(path, c.driver, c.rows); (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}
