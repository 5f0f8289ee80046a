package cpuref

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/cpuid/v2"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// TierVariable is the environment variable that chooses the tier where
// [Options] do not.
const TierVariable = "FMNIST_CPU"

// Options choose how the backend uses the CPU.
type Options struct {
	Threads int    // worker threads; 0 means DefaultThreads
	Tier    string // one of Tiers; "" means $FMNIST_CPU, or else the fastest
}

// Description says what the backend uses of this machine.
type Description struct {
	Model   string   `json:"model"`
	Threads int      `json:"threads"`
	Tier    string   `json:"tier"`  // the one used by default
	Tiers   []string `json:"tiers"` // all that this machine can run, slowest first
	AVX2    bool     `json:"avx2"`
	AVX512  bool     `json:"avx512"`
	BF16    bool     `json:"bf16"` // AVX512_BF16, for mixed precision
	AMX     bool     `json:"amx"`
	NEON    bool     `json:"neon"`
}

// backend is the CPU as a device: a tier's inner loops and the workers that
// run them. Runs of its programs take turns on the workers.
type backend struct {
	simd *simd.Kernels
	pool *pool
	turn sync.Mutex
}

// Open starts a backend. An unknown tier, or one that this machine cannot run,
// is an error that lists those it can.
func Open(o Options) (kernels.Backend, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("%d threads: want a positive number, or 0 for all", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = DefaultThreads()
	}
	k, err := chooseTier(o.Tier)
	if err != nil {
		return nil, err
	}
	return &backend{simd: k, pool: newPool(o.Threads, k.Pause)}, nil
}

// chooseTier returns the named tier, $FMNIST_CPU's where name is empty, and
// the fastest where that is empty too.
func chooseTier(name string) (*simd.Kernels, error) {
	from := "CPU tier"
	if name == "" {
		name, from = os.Getenv(TierVariable), "CPU tier in $"+TierVariable
	}
	tiers := simd.Tiers()
	if name == "" {
		return tiers[len(tiers)-1], nil
	}
	for _, k := range tiers {
		if k.Name == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s: this machine has no %q; choose one of %s", from, name, strings.Join(Tiers(), ", "))
}

// Tiers returns the names of the instruction-set tiers that this machine can
// run, of generic, avx2, avx512 and neon, slowest first.
func Tiers() []string {
	var names []string
	for _, k := range simd.Tiers() {
		names = append(names, k.Name)
	}
	return names
}

// DefaultThreads returns the number of worker threads that [Open] starts where
// none is asked for: GOMAXPROCS, which Go sets to the cores this process may
// use.
func DefaultThreads() int { return runtime.GOMAXPROCS(0) }

// Info describes what the backend uses by default.
func Info() Description {
	d := Description{
		Model:   cpuid.CPU.BrandName,
		Threads: DefaultThreads(),
		Tiers:   Tiers(),
		AVX2:    cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3),
		AVX512:  cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL),
		BF16:    cpuid.CPU.Supports(cpuid.AVX512BF16),
		AMX:     cpuid.CPU.Supports(cpuid.AMXTILE, cpuid.AMXBF16),
		NEON:    cpuid.CPU.Supports(cpuid.ASIMD),
	}
	if d.Model == "" {
		d.Model = runtime.GOARCH
	}
	if k, err := chooseTier(""); err == nil {
		d.Tier = k.Name
	}
	return d
}

// Name describes the device: "AMD EPYC (CPU, avx512, 2 threads)".
func (b *backend) Name() string {
	threads := "threads"
	if b.pool.workers == 1 {
		threads = "thread"
	}
	return fmt.Sprintf("%s (CPU, %s, %d %s)", Info().Model, b.simd.Name, b.pool.workers, threads)
}

// Close ends the worker threads.
func (b *backend) Close() error {
	b.pool.close()
	return nil
}
