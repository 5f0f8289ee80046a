//go:build cgo

package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
)

// row is a shader in a network's training step on a chip; for a matrix product,
// one of its shapes.
type row struct {
	chip, network   string
	batch           int
	shader, product string // product: MxNxK, "" for other shaders

	tile                     string
	workgroups               int
	vgprs, sgprs, spills     int
	sharedBytes, waves, code int          // waves: that fit on a SIMD unit at the same time
	loop                     instructions // of a product
	matrix                   int          // instructions of matrix units
	multiplyAdds             float64      // of all dispatches
}

// rowOf describes a dispatch.
func rowOf(chip, network string, batch int, k vulkan.Kernel) (row, error) {
	of := func(name string) int { return int(k.Executable.Statistics[name]) }
	r := row{chip: chip, network: network, batch: batch, shader: k.Shader, tile: k.Tile, workgroups: k.Workgroups,
		vgprs: of("VGPRs"), sgprs: of("SGPRs"), spills: of("Spilled VGPRs") + of("Spilled SGPRs"),
		sharedBytes: of("LDS size"), waves: of("Subgroups per SIMD"), code: of("Code size")}
	if k.StepMultiplyAdds == 0 {
		return r, nil
	}
	r.product = fmt.Sprintf("%dx%dx%d", k.M, k.N, k.K)
	r.multiplyAdds = float64(k.TotalMultiplyAdds)
	if *mixed {
		r.matrix = strings.Count(k.Executable.Representations["Assembly"], "v_wmma_")
		return r, nil
	}
	var err error
	if r.loop, err = innerLoop(k.Executable.Representations["Assembly"], k.StepMultiplyAdds); err != nil {
		return r, fmt.Errorf("%s: %w", r.key(), err)
	}
	return r, nil
}

// key identifies a row from one version of the shaders to the next.
func (r row) key() string {
	return fmt.Sprintf("%s, %s, batch %d, %s %s", r.chip, r.network, r.batch, r.shader, r.product)
}

// merge adds another row of the same key, and keeps the worse code.
func (r *row) merge(o row) {
	sum := r.multiplyAdds + o.multiplyAdds
	if o.spills > r.spills || o.product != "" && o.loop.share() < r.loop.share() || o.product == "" && o.vgprs > r.vgprs {
		*r = o
	}
	r.multiplyAdds = sum
}

// columns are the last of a table's columns: their names, and a product's fields.
type columns struct {
	names  []string
	fields func(row) []string
}

var loopColumns = columns{[]string{"fma", "vector", "multiply", "shared", "memory", "waits", "share"}, func(r row) (fields []string) {
	for _, n := range []float64{r.loop.fma, r.loop.vector, r.loop.multiply, r.loop.shared, r.loop.memory, r.loop.waits} {
		fields = append(fields, strconv.FormatFloat(n, 'f', 0, 64))
	}
	return append(fields, percent(r.loop.share()))
}}

var mixedColumns = columns{[]string{"matrix_instructions"}, func(r row) []string { return []string{strconv.Itoa(r.matrix)} }}

func (c columns) header() []string {
	return append([]string{"chip", "network", "batch", "shader", "product", "tile", "workgroups", "vgprs", "sgprs", "spills",
		"shared_bytes", "waves", "code_bytes"}, c.names...)
}

// record returns the row as the table holds it.
func (c columns) record(r row) []string {
	record := []string{r.chip, r.network, strconv.Itoa(r.batch), r.shader, r.product, r.tile}
	for _, n := range []int{r.workgroups, r.vgprs, r.sgprs, r.spills, r.sharedBytes, r.waves, r.code} {
		record = append(record, strconv.Itoa(n))
	}
	if r.product == "" {
		return append(record, make([]string, len(c.names))...)
	}
	return append(record, c.fields(r)...)
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) }

// write writes the table: the driver's version, then the rows as CSV.
func write(path, driver string, c columns, rows []row) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n", driver)
	w := csv.NewWriter(&text)
	records := [][]string{c.header()}
	for _, r := range rows {
		records = append(records, c.record(r))
	}
	if err := w.WriteAll(records); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text.String()), 0o666)
}

// compare returns an error for each share that is smaller than in the table. The
// code of another version of the driver is another code: then there is nothing to
// compare.
func compare(path, driver string, rows []row) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	if first != "# "+driver {
		fmt.Printf("not compared: the table is from %s, this is %s\n", strings.TrimPrefix(first, "# "), driver)
		return nil
	}
	records, err := csv.NewReader(strings.NewReader(rest)).ReadAll()
	if err != nil || len(records) == 0 || !slices.Equal(records[0], loopColumns.header()) {
		return fmt.Errorf("%s is not a table of this program: %w", path, cmp.Or(err, errors.New("another header")))
	}
	now := map[string]row{}
	for _, r := range rows {
		now[strings.Join(loopColumns.record(r)[:5], ",")] = r
	}
	var fell []error
	for _, before := range records[1:] {
		r, ok := now[strings.Join(before[:5], ",")]
		was, share := before[len(before)-1], r.loop.share()
		if !ok {
			fell = append(fell, fmt.Errorf("%s: no longer there: write the table again", strings.Join(before[:5], " ")))
		} else if least, err := strconv.ParseFloat(was, 64); was != "" && !(err == nil && 100*share > least-.1) {
			fell = append(fell, fmt.Errorf("%s: %s %% multiply-adds, were %s %%", r.key(), percent(share), was))
		}
	}
	return errors.Join(fell...)
}

// summary returns the share of multiply-adds by chip, network and batch size: of
// each shader with products, and of the whole step, weighted by their number.
func summary(rows []row) string {
	shaders := []string{"conv_forward", "conv_backward_input", "conv_backward_weight", "gemm", ""}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "multiply-adds, % of issue slots\tbatch\tforward\tinput gradient\tweight gradient\tgemm\tall\tworst of the largest 95 %")
	for start := 0; start < len(rows); {
		end, of := start, rows[start]
		for end < len(rows) && rows[end].chip == of.chip && rows[end].network == of.network && rows[end].batch == of.batch {
			end++
		}
		step := rows[start:end]
		fmt.Fprintf(w, "%s %s\t%d", of.chip, of.network, of.batch)
		for _, s := range shaders {
			fmt.Fprintf(w, "\t%s", overall(step, s))
		}
		fmt.Fprintf(w, "\t%s\n", worst(step))
		start = end
	}
	w.Flush()
	return out.String()
}

// overall returns the share of a shader, or of all for "", "-" if there is none.
func overall(rows []row, shader string) string {
	work, slots := 0.0, 0.0
	for _, r := range rows {
		if r.product != "" && (shader == "" || r.shader == shader) {
			work += r.multiplyAdds
			slots += r.multiplyAdds / r.loop.share()
		}
	}
	if work == 0 {
		return "-"
	}
	return percent(work / slots)
}

// worst returns the smallest share among the largest products that together are
// 95 % of the work.
func worst(rows []row) string {
	var products []row
	work := 0.0
	for _, r := range rows {
		if r.product != "" {
			products = append(products, r)
			work += r.multiplyAdds
		}
	}
	slices.SortFunc(products, func(a, b row) int { return cmp.Compare(b.multiplyAdds, a.multiplyAdds) })
	done, least := 0.0, row{}
	for _, r := range products {
		if done >= .95*work {
			break
		}
		done += r.multiplyAdds
		if least.shader == "" || r.loop.share() < least.loop.share() {
			least = r
		}
	}
	if least.shader == "" {
		return "-"
	}
	return fmt.Sprintf("%s (%s %s)", percent(least.loop.share()), least.shader, least.product)
}
