//go:build cgo

package vulkan

import "github.com/fmnist-gpu/fmnist-gpu/kernels"

// Tiles returns the number of variants of the matrix-product core, for GPUs
// and for software drivers.
func Tiles() int { return len(gpuTiles) + len(cpuTiles) }

// ForceTile makes the backend use variant i for every product, and returns it.
func (b *Backend) ForceTile(i int) any {
	t := append(append([]tile{}, gpuTiles...), cpuTiles...)[i]
	b.target.tiles = []tile{t}
	return t
}

// ForceSplits makes the backend split a product's K in so many ranges, by the
// first of its variants; of several products, once for each.
func (b *Backend) ForceSplits(kind string, m, n, k, splits int) {
	t := b.target.tiles[0]
	if b.target.tuned == nil {
		b.target.tuned = tuning{}
	}
	b.target.tuned[productKey(kind, m, n, k)] = choice{Rows: t.bm, Columns: t.bn, ThreadRows: t.tm, ThreadColumns: t.tn, Splits: splits}
}

// BoundGrid makes the backend believe that a grid's x axis is n long.
func (b *Backend) BoundGrid(n int) { b.target.limits.MaxWorkgroupCount[0] = n }

// BoundGrids makes the backend believe that grids are at most n long on every axis.
func (b *Backend) BoundGrids(n int) { b.target.limits.MaxWorkgroupCount = [3]int{n, n, n} }

// BoundStorage makes the backend believe that a binding holds at most n bytes.
func (b *Backend) BoundStorage(n int64) { b.target.limits.StorageBufferRange = n }

// PlanAsGPU makes the backend plan as if its device were a GPU of the same
// limits.
func (b *Backend) PlanAsGPU() {
	info := b.device.Info()
	info.Type = "discrete"
	b.target = newTarget(info)
}

// TwoPasses makes the backend put parts together by further dispatches, as on
// a device where no workgroup can know that it is the last.
func (b *Backend) TwoPasses() { b.target.lastGroup = false }

// UseUnits reports whether products in mixed precision run on matrix units.
func (b *Backend) UseUnits() bool {
	u, err := b.testedUnits()
	return err == nil && u != nil
}

// TrySpecialised returns the error of the trial of a device whose driver takes another
// number of threads for the one that the host sets.
func (b *Backend) TrySpecialised(threads int) error { return trySpecialised(b.device, threads) }

// Unfused gives each op of a plan dispatches of its own.
func (b *Backend) Unfused() { b.target.unfused = true }

// SplitSubmissions gives each level of dispatches a submission of its own.
func (b *Backend) SplitSubmissions() { b.target.longest = 1 }

// Submissions returns how many submissions one run of a section takes.
func Submissions(p kernels.Program, section string) int {
	return len(p.(*Program).sections[section].commands)
}

// Dispatches returns how many dispatches a section takes, and in how many
// levels with barriers between them.
func Dispatches(p kernels.Program, section string) (dispatches, levels int) {
	d := p.(*Program).sections[section].dispatches
	return len(d), len(schedule(d))
}
