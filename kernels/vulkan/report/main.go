//go:build cgo

// Command report shows what Mesa's driver for AMD makes of the shaders of a
// training step, on chips that need not be there: registers, spills, shared
// memory, and how much of a matrix product's inner loop is multiply-adds. Run it
// with make shader-report.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

var (
	manifest = flag.String("driver", "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json", "manifest of the driver `FILE`")
	table    = flag.String("table", "", "the committed table `FILE` (default kernels/vulkan/report/report.csv, with -mixed mixed.csv)")
	mixed    = flag.Bool("mixed", false, "report mixed precision on matrix units, which needs Mesa 25 or newer")
	check    = flag.Bool("check", false, "compare with the table instead of writing it; a spill or, without -mixed, a smaller share of multiply-adds is an error")
	chip     = flag.String("chip", "", "print the disassembly for this chip instead of a table")
	shader   = flag.String("shader", "", "with -chip: only of this shader")
)

// chips are one of each of AMD's last generations that Debian 12's driver knows.
var chips = []string{"vega10", "navi21", "gfx1100"}

// mixedChips have matrix units; older drivers do not know the names.
var mixedChips = []string{"navi31"}

var batches = []int{64, 1024}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run() error {
	// Newer loaders read the one, older ones the other.
	os.Setenv("VK_ICD_FILENAMES", *manifest)
	os.Setenv("VK_DRIVER_FILES", *manifest)
	if *chip != "" {
		return disassemble(*chip, *shader)
	}
	of, file, columns := chips, "report.csv", loopColumns
	if *mixed {
		of, file, columns = mixedChips, "mixed.csv", mixedColumns
	}
	if *table == "" {
		*table = "kernels/vulkan/report/" + file
	}
	var all []row
	driver := ""
	for _, c := range of {
		rows, info, err := inspect(c)
		if err != nil {
			return err
		}
		driver = info.Driver
		all = append(all, rows...)
	}
	wrong := spills(all)
	if !*check {
		wrong = errors.Join(wrong, write(*table, driver, columns, all))
	}
	if *mixed {
		return wrong
	}
	fmt.Print(summary(all))
	if *check {
		wrong = errors.Join(wrong, compare(*table, driver, all))
	}
	return wrong
}

// spills returns an error for each shader that has too few registers.
func spills(rows []row) error {
	var all []error
	for _, r := range rows {
		if r.spills > 0 {
			all = append(all, fmt.Errorf("%s: %d registers spill", r.key(), r.spills))
		}
	}
	return errors.Join(all...)
}

// networks returns the built-in networks, for Fashion-MNIST's images.
func networks() []model.Network {
	d := dataset.FashionMNIST
	var all []model.Network
	for _, name := range model.Names() {
		n, _ := model.Zoo(name, model.Shape{H: d.H, W: d.W, C: d.C}, d.Classes)
		all = append(all, n)
	}
	return all
}

// eachStep compiles a training step of each network and batch size for a chip.
func eachStep(chip string, do func(network string, batch int, all []vulkan.Kernel)) (gpu.Info, error) {
	os.Setenv("RADV_FORCE_FAMILY", chip)
	b, err := vulkan.Open("0", vulkan.Options{Inspect: true})
	if err != nil {
		return gpu.Info{}, fmt.Errorf("%s: %w", chip, err)
	}
	defer b.Close()
	precision := kernels.FP32
	if *mixed {
		precision = kernels.Mixed
		if !slices.ContainsFunc(b.Info().MatrixShapes, func(s gpu.MatrixShape) bool { return s.Factors != "" }) {
			return b.Info(), fmt.Errorf("%s, %s: no matrix units for 16-bit factors", chip, b.Info().Driver)
		}
	}
	for _, n := range networks() {
		for _, batch := range batches {
			net, err := model.Build(model.Config{Network: n, Optimizer: model.DefaultAdam(), Precision: precision,
				Images: batch, TrainImages: batch, TrainBatches: []int{batch}})
			if err != nil {
				return b.Info(), err
			}
			compiled, err := b.Inspect(net.Plan, model.TrainSection(batch))
			if err != nil {
				return b.Info(), fmt.Errorf("%s, %s, batch %d: %w", chip, n.Name, batch, err)
			}
			do(n.Name, batch, compiled)
		}
	}
	return b.Info(), nil
}

// inspect returns the rows of a chip, those of equal keys merged.
func inspect(chip string) ([]row, gpu.Info, error) {
	var rows []row
	at := map[string]int{}
	var wrong error
	info, err := eachStep(chip, func(network string, batch int, all []vulkan.Kernel) {
		for _, k := range all {
			r, err := rowOf(chip, network, batch, k)
			wrong = errors.Join(wrong, err)
			i, seen := at[r.key()]
			if !seen {
				at[r.key()] = len(rows)
				rows = append(rows, r)
				continue
			}
			rows[i].merge(r)
		}
	})
	return rows, info, errors.Join(err, wrong)
}

// disassemble prints the driver's code.
func disassemble(chip, shader string) error {
	_, err := eachStep(chip, func(network string, batch int, all []vulkan.Kernel) {
		for _, k := range all {
			if shader == "" || k.Shader == shader {
				fmt.Printf("== %s, batch %d: %s, %dx%dx%d, tile %s, statistics %v\n%s\n", network, batch, k.Shader,
					k.M, k.N, k.K, k.Tile, k.Executable.Statistics, k.Executable.Representations["Assembly"])
			}
		}
	})
	return err
}
