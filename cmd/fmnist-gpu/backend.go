package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/vulkan"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// device is an opened backend, what it is, and why it was chosen.
type device struct {
	kernels.Backend
	environment trainer.Environment
	selector    string // the --device that opens it again; "" for the CPU
	why         string
}

// deviceFlags are the settings that choose a backend.
type deviceFlags struct {
	selector string // of a Vulkan device; "" for the best one
	cpu      bool
	threads  int // of the CPU backend, 0 for all
	validate bool

	precision kernels.Precision // that the device must support
}

// openDevice opens the backend that the flags choose and checks that it supports
// the precision.
func openDevice(f deviceFlags) (*device, error) {
	d, err := chooseDevice(f)
	if err != nil {
		return nil, err
	}
	err = kernels.CheckPrecision(d, f.precision)
	if lacking := (*kernels.PrecisionError)(nil); errors.As(err, &lacking) {
		remedy := "use --precision fp32"
		if d.environment.Backend != "cpu" {
			remedy += ", or add --cpu"
		}
		err = &commandLineError{fmt.Sprintf("--precision %s on %s: %v; %s", f.precision, d.Name(), err, remedy)}
	}
	if err != nil {
		return nil, closeDevice(d, err)
	}
	if v, ok := d.Backend.(interface{ MatrixUnits() string }); ok && f.precision == kernels.Mixed {
		d.why += "; mixed precision: " + v.MatrixUnits()
	}
	return d, nil
}

// chooseDevice is the one place that chooses a backend: the one asked for,
// else the best real GPU if there is one, else the CPU.
func chooseDevice(f deviceFlags) (*device, error) {
	switch {
	case f.threads < 0 || f.threads > maxThreads:
		return nil, &commandLineError{fmt.Sprintf("--threads is %d: want a number from 0 to %d", f.threads, maxThreads)}
	case f.selector != "" && f.cpu:
		return nil, &commandLineError{"--device and --cpu are mutually exclusive: leave one out"}
	case f.cpu:
		return openCPU(f, "--cpu")
	case f.selector != "":
		return openVulkan(f, "--device "+f.selector)
	}
	d, err := openVulkan(f, "the best GPU; --cpu uses the CPU")
	if errors.Is(err, gpu.ErrNoVulkan) || errors.Is(err, gpu.ErrNoDevice) {
		return openCPU(f, oneLine(err))
	}
	return d, err
}

// maxThreads is the largest number that --threads takes.
const maxThreads = 1 << 12

// closeDevice closes d and returns err or, if that is nil or an interruption, the
// error of closing: the validation layer may report errors only then.
func closeDevice(d *device, err error) error {
	closing := d.Close()
	if closing != nil && (err == nil || errors.Is(err, trainer.ErrInterrupted)) {
		return closing
	}
	return err
}

// tierEnvironment is the environment variable that limits the CPU backend to an
// instruction-set tier, to test and to measure it.
const tierEnvironment = "FMNIST_CPU"

// cpuInfo describes the CPU and the tier that openCPU uses.
func cpuInfo() cpuref.Description {
	d := cpuref.Info()
	if tier := os.Getenv(tierEnvironment); slices.Contains(d.Tiers, tier) {
		d.Tier = tier
	}
	return d
}

// openCPU opens the CPU backend with at most one thread for each core that the
// process may use. Threads wait for each other, so more would be many times slower.
func openCPU(f deviceFlags, why string) (*device, error) {
	threads, cores := f.threads, cpuref.DefaultThreads()
	if threads > cores {
		why += fmt.Sprintf("; not --threads %d, since this process may use %d", threads, cores)
	}
	if threads == 0 || threads > cores {
		threads = cores
	}
	b, err := cpuref.Open(cpuref.Options{Threads: threads, Tier: os.Getenv(tierEnvironment)})
	if err != nil {
		return nil, fmt.Errorf("%w (the tier is that of $%s)", err, tierEnvironment)
	}
	e := environment("cpu", b)
	e.Threads, e.Tier = threads, cpuInfo().Tier
	return &device{b, e, "", why}, nil
}

func openVulkan(f deviceFlags, why string) (*device, error) {
	b, err := vulkan.Open(f.selector, vulkan.Options{Validate: f.validate, CacheDir: dataset.DefaultCacheDir()})
	if err != nil {
		return nil, err
	}
	if passed := b.PassedOver(); len(passed) > 0 {
		why = "the best GPU that works; " + oneLine(errors.Join(passed...))
	}
	e := environment("vulkan", b)
	e.Driver, e.Tuned = b.Info().Driver, b.Tuned()
	return &device{b, e, strconv.Itoa(b.Info().Index), why}, nil
}

func environment(kind string, b kernels.Backend) trainer.Environment {
	return trainer.Environment{Version: version(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		Backend: kind, Device: b.Name()}
}

// announce returns the first line to print: which device, and why.
func (d *device) announce() string { return fmt.Sprintf("device: %s (%s)", d.Name(), d.why) }
