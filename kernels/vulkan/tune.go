//go:build cgo

package vulkan

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// choice is the fastest way found to compute a product.
type choice struct {
	Rows, Columns             int // of the tile
	ThreadRows, ThreadColumns int // per thread
	Splits                    int // of K
	Micros                    float64
}

// tuning holds the choice for each measured product, by its key.
type tuning map[string]choice

// productKey identifies a product by the kind of its op and its extents.
func productKey(kind string, m, n, k int) string { return fmt.Sprintf("%s %dx%dx%d", kind, m, n, k) }

// plan returns the tuned choice for a product, or else that of planProduct.
func (l *lowering) plan(kind string, of product, precision kernels.Precision) product {
	if precision == kernels.Mixed && l.units != nil {
		onUnits := l.target
		onUnits.tiles, onUnits.onUnits = l.units.tiles, true
		return onUnits.planProduct(of)
	}
	l.planned = productKey(kind, of.m, of.n, of.k)
	if c, ok := l.tuned[l.planned]; ok {
		for _, v := range l.tiles {
			if v.bm == c.Rows && v.bn == c.Columns && v.tm == c.ThreadRows && v.tn == c.ThreadColumns {
				of.tile = v
				return of.split(c.Splits)
			}
		}
	}
	return l.planProduct(of)
}

// candidates returns the ways to compute a product that are worth measuring: that of
// planProduct, and every variant with 1, 2, 4, … splits of K, unless the splits are too
// short or their workgroups too many.
func (t *target) candidates(m, n, k int) []product {
	all := []product{t.planProduct(product{m: m, n: n, k: k})}
	for _, v := range t.tiles {
		for splits := 1; splits <= max(1, k/minSplit); splits *= 2 {
			p := product{m: m, n: n, k: k, tile: v}.split(splits)
			if splits > 1 && p.groups()*splits > 4*t.wanted {
				break
			}
			all = append(all, p)
		}
	}
	return all
}

// Tune implements [kernels.Tuner]. This backend uses the results at once; a file
// in the user's cache folder keeps them for later backends on the same device
// and driver.
func (b *Backend) Tune(plan *kernels.Plan, section string, progress func(done, of int)) error {
	if err := b.keep(nil); err != nil { // would fail after minutes of measuring too
		return &kernels.KeepError{Path: b.tuningFile, Err: err}
	}
	found, err := b.measure(plan, section, progress)
	if err != nil {
		return err
	}
	if err := b.keep(found); err != nil {
		return &kernels.KeepError{Path: b.tuningFile, Found: true, Err: err}
	}
	return nil
}

// measure finds the fastest choice for each product of a section.
func (b *Backend) measure(plan *kernels.Plan, section string, progress func(done, of int)) (tuning, error) {
	compiled, err := b.Compile(plan)
	if err != nil {
		return nil, err
	}
	p := compiled.(*Program)
	defer p.Close()
	s, err := p.find(section)
	if err != nil {
		return nil, err
	}
	products := map[string]kernels.Op{}
	var order []string
	for _, op := range s.source.Ops {
		l := lowering{target: b.target, layout: p.layout}
		if err := l.lower(op, nil); err != nil {
			return nil, err
		}
		if l.planned != "" && products[l.planned] == nil {
			products[l.planned] = op
			order = append(order, l.planned)
		}
	}
	found := tuning{}
	for i, key := range order {
		if progress != nil {
			progress(i, len(order))
		}
		if found[key], err = p.fastest(key, products[key]); err != nil {
			return nil, fmt.Errorf("tune %s: %w", key, err)
		}
	}
	if progress != nil {
		progress(len(order), len(order))
	}
	return found, nil
}

// fastest measures the candidates for an op's product.
func (p *Program) fastest(key string, op kernels.Op) (best choice, err error) {
	var kind string
	var m, n, k int
	if _, err := fmt.Sscanf(key, "%s %dx%dx%d", &kind, &m, &n, &k); err != nil {
		return best, err
	}
	for _, c := range p.backend.target.candidates(m, n, k) {
		with := choice{Rows: c.bm, Columns: c.bn, ThreadRows: c.tm, ThreadColumns: c.tn, Splits: c.splits}
		target := p.backend.target
		target.tuned = tuning{key: with}
		l := lowering{target: target, layout: p.layout}
		if err := l.lower(op, nil); err != nil {
			return best, err
		}
		took, err := p.timeLowered(&l)
		if err != nil {
			return best, err
		}
		if with.Micros = float64(took.Nanoseconds()) / 1e3; best.Splits == 0 || with.Micros < best.Micros {
			best = with
		}
	}
	return best, nil
}

// The time of a candidate is the shortest of tuneRounds rounds of at most tuneRuns runs.
const (
	tuneRounds = 3
	tuneRuns   = 10
)

// timeLowered returns the time that the dispatches of a lowering take on the
// program's buffers and on separate scratch.
func (p *Program) timeLowered(l *lowering) (best time.Duration, err error) {
	if err := p.backend.createPipelines(l.out); err != nil {
		return 0, err
	}
	buffers := len(p.layout.arenas)
	own := &Program{backend: p.backend, layout: p.layout}
	if err := own.allocate([]int64{l.scratchEnd}); err != nil {
		return 0, err
	}
	mine := own.arenas
	defer func() {
		for _, a := range mine {
			if a != nil {
				a.Close()
			}
		}
	}()
	own.arenas = append(append([]*gpu.Buffer{}, p.arenas[:buffers]...), mine...)
	s := &section{source: &kernels.Section{Name: "tune"}, dispatches: l.out}
	levels, runs := schedule(l.out), 1 // once at first: it may take long
	for range 1 + tuneRounds {
		took, err := own.timed(func(r *gpu.Recorder) error {
			for range runs {
				if err := own.recordLevels(r, s, levels, r.Barrier); err != nil {
					return err
				}
				r.Barrier()
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if each := took / time.Duration(runs); best == 0 || each < best {
			best = each
		}
		runs = int(min(max(longestSubmission/max(best, 1), 1), tuneRuns))
	}
	return best, nil
}

// Tuned implements [kernels.Tuner].
func (b *Backend) Tuned() string {
	if len(b.target.tuned) == 0 {
		return ""
	}
	sum := crc32.NewIEEE()
	for _, key := range slices.Sorted(maps.Keys(b.target.tuned)) {
		c := b.target.tuned[key]
		c.Micros = 0 // does not change how results are rounded
		fmt.Fprintln(sum, key, c)
	}
	return fmt.Sprintf("%08x", sum.Sum32())
}

// keep adds choices to those in use and to the tuning file, to which other processes may
// have added since it was read.
func (b *Backend) keep(found tuning) error {
	inUse := tuning{}
	maps.Copy(inUse, b.target.tuned)
	maps.Copy(inUse, found)
	b.target.tuned = inUse
	if b.tuningFile == "" {
		return nil
	}
	return gpu.ReplaceFile(b.tuningFile, func() ([]byte, error) {
		all := maps.Clone(inUse)
		kept, _ := readTuning(b.tuningFile) // a damaged file is replaced
		maps.Copy(all, kept)
		maps.Copy(all, found)
		text, err := json.MarshalIndent(all, "", "  ")
		return append(text, '\n'), err
	})
}

// tuningPath returns the path of the tuning file, named after the device and
// its driver version, or "" if there is none.
func tuningPath(info gpu.Info, cacheDir string) string {
	if cacheDir == "" {
		return ""
	}
	return filepath.Join(cacheDir, "tuning", fmt.Sprintf("%s-%08x.json", info.UUID, info.DriverVersion))
}

// readTuning returns the choices in a tuning file, nil if it does not exist.
func readTuning(path string) (tuning, error) {
	text, err := os.ReadFile(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := parseTuning(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// maxSplits is far above what [target.candidates] measures.
const maxSplits = 1 << 20

func parseTuning(text []byte) (t tuning, err error) {
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	for key, c := range t {
		if c.Splits < 1 || c.Splits > maxSplits {
			return nil, fmt.Errorf("%q has %d splits: want 1 to %d", key, c.Splits, maxSplits)
		}
	}
	return t, nil
}
