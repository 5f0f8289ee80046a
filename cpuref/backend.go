package cpuref

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/cpuid/v2"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref/internal/simd"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// Options configure how the backend uses the CPU.
type Options struct {
	Threads int    // worker threads; 0 means DefaultThreads
	Tier    string // one of Tiers; "" means the fastest
}

// Description describes this machine's CPU and how the backend uses it.
type Description struct {
	Model   string   `json:"model"`
	Threads int      `json:"threads"`
	Tier    string   `json:"tier"`  // the default
	Tiers   []string `json:"tiers"` // all that this machine can run, slowest first
	AVX2    bool     `json:"avx2"`
	AVX512  bool     `json:"avx512"`
	BF16    bool     `json:"bf16"` // AVX512_BF16, for mixed precision
	AMX     bool     `json:"amx"`  // AMX_BF16, for mixed precision
	NEON    bool     `json:"neon"`
}

// backend is the CPU as a device: a tier's inner loops and the workers that
// run them. Its programs take turns on the workers.
type backend struct {
	simd    *simd.Kernels
	threads int // of Open
	turn    sync.Mutex

	choice sync.Mutex    // of pools and pool
	pools  map[int]*pool // by number of workers; programs that are open use those of before
	pool   *pool         // of the programs that are compiled from now on
}

// Open starts a backend. If the tier is unknown or this machine cannot run it,
// the error lists the available tiers.
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
	b := &backend{simd: k, threads: o.Threads, pools: map[int]*pool{}}
	b.UseThreads(o.Threads)
	return b, nil
}

// chooseTier returns the named tier, or the fastest if name is empty.
func chooseTier(name string) (*simd.Kernels, error) {
	tiers := simd.Tiers()
	if name == "" {
		return tiers[len(tiers)-1], nil
	}
	for _, k := range tiers {
		if k.Name == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("this machine cannot run the CPU tier %q; choose one of %s", name, strings.Join(Tiers(), ", "))
}

// Tiers returns which of the instruction-set tiers generic, sse, avx2, avx512, amx and
// neon this machine can run, slowest first.
func Tiers() []string {
	var names []string
	for _, k := range simd.Tiers() {
		names = append(names, k.Name)
	}
	return names
}

// DefaultThreads returns the number of worker threads that [Open] starts by
// default: GOMAXPROCS, which Go sets to the number of cores that the process may
// use.
func DefaultThreads() int { return runtime.GOMAXPROCS(0) }

// Info describes this machine's CPU and the backend's defaults.
func Info() Description {
	d := Description{
		Model:   cpuid.CPU.BrandName,
		Threads: DefaultThreads(),
		Tiers:   Tiers(),
		AVX2:    cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3),
		AVX512:  cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL),
		BF16:    cpuid.CPU.Supports(cpuid.AVX512BF16),
		AMX:     slices.Contains(Tiers(), "amx"), // the operating system must permit it
		NEON:    cpuid.CPU.Supports(cpuid.ASIMD),
	}
	if d.Model == "" {
		d.Model = runtime.GOARCH
	}
	d.Tier = d.Tiers[len(d.Tiers)-1]
	return d
}

// Name implements [kernels.Backend]: "AMD EPYC (CPU, avx512, 2 threads)".
func (b *backend) Name() string {
	threads, workers := "threads", b.current().workers
	if workers == 1 {
		threads = "thread"
	}
	return fmt.Sprintf("%s (CPU, %s, %d %s)", Info().Model, b.simd.Name, workers, threads)
}

// current returns the workers of the programs that are compiled now.
func (b *backend) current() *pool {
	b.choice.Lock()
	defer b.choice.Unlock()
	return b.pool
}

// Threads implements [kernels.Threader].
func (b *backend) Threads() int { return b.threads }

// UseThreads implements [kernels.Threader].
func (b *backend) UseThreads(n int) {
	n = min(max(1, n), b.threads)
	b.choice.Lock()
	defer b.choice.Unlock()
	if b.pools[n] == nil {
		b.pools[n] = newPool(n, b.simd.Pause)
	}
	b.pool = b.pools[n]
}

// Close implements [kernels.Backend]: it stops the worker threads.
func (b *backend) Close() error {
	b.choice.Lock()
	defer b.choice.Unlock()
	for _, p := range b.pools {
		p.close()
	}
	return nil
}
