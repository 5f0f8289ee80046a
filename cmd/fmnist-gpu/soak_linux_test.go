package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

var (
	soak     = flag.Duration("soak", 0, "TestSoak trains so long on each backend; 0 skips it")
	cycles   = flag.Int("cycles", 0, "TestCycles opens a device, trains and closes it N times; 0 skips it")
	requests = flag.Int("requests", 0, "TestServeSoak has N pictures classified; 0 skips it")
)

// footprint is what a process occupies.
type footprint struct {
	mib                     float64 // resident
	goroutines, descriptors int
}

func (f footprint) String() string {
	return fmt.Sprintf("%.1f MiB, %d goroutines, %d descriptors", f.mib, f.goroutines, f.descriptors)
}

// occupied returns the footprint of this process.
func occupied(t *testing.T) footprint {
	t.Helper()
	debug.FreeOSMemory()
	var pages, resident int
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &pages, &resident)
	}
	descriptors, err2 := os.ReadDir("/proc/self/fd")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return footprint{float64(resident*os.Getpagesize()) / (1 << 20), runtime.NumGoroutine(), len(descriptors)}
}

// wantFlat fails if a process has grown: its memory by more than a twentieth and 4 MiB.
func wantFlat(t *testing.T, what string, first, last footprint) {
	t.Helper()
	t.Logf("%s: first %v; last %v", what, first, last)
	if last.goroutines > first.goroutines || last.descriptors > first.descriptors || !(last.mib <= 1.05*first.mib+4) {
		t.Errorf("%s: it has grown", what)
	}
}

// devices returns the flags of the CPU and of a Vulkan device.
func devices() map[string]deviceFlags {
	return map[string]deviceFlags{"cpu": {cpu: true}, "vulkan": {selector: cmp.Or(os.Getenv("FMNIST_DEVICE"), "0")}}
}

// open opens a device, or skips the test if there is none.
func open(t *testing.T, f deviceFlags) *device {
	t.Helper()
	if !f.cpu {
		collectAlways(t)
	}
	d, err := openDevice(f)
	if err != nil && exitCode(err) == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// letters returns a dataset.
func letters(t *testing.T, train, test int) *dataset.Dataset {
	t.Helper()
	dir := t.TempDir()
	writeLetters(t, dir, train, test)
	data, err := dataset.OpenFolder(t.Context(), dir, dataset.FolderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sampler notes the footprint after a tenth of the soak and at each epoch later.
type sampler struct {
	t           *testing.T
	from, until time.Time // the time to compile does not count
	first, last footprint
	epochs      int
	cancel      func()
}

// Start implements [trainer.Progress].
func (s *sampler) Start(trainer.Summary) {
	now := time.Now()
	s.from, s.until = now.Add(*soak/10), now.Add(*soak)
}

// Step implements [trainer.Progress].
func (*sampler) Step(trainer.StepReport) {}

// Epoch implements [trainer.Progress].
func (s *sampler) Epoch(trainer.EpochReport) {
	s.epochs++
	now := time.Now()
	if now.Before(s.from) {
		return
	}
	s.last = occupied(s.t)
	if s.first == (footprint{}) {
		s.first = s.last
	}
	if now.After(s.until) {
		s.cancel()
	}
}

// A long training, with checkpoints, does not grow.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("skipped: make torture runs it")
	}
	isolateCache(t)
	data := letters(t, 1040, 260)
	for name, f := range devices() {
		t.Run(name, func(t *testing.T) {
			d := open(t, f)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, now := study.DefaultConfig(), time.Now()
			c.Model, c.Epochs, c.Patience, c.CheckpointEvery = "logistic", 1<<20, 0, .1
			if !testing.Short() { // a software driver would spend a short soak on compiling
				c.Model, c.Network = "tiny", tinyCNN
			}
			s := &sampler{t: t, cancel: cancel}
			_, err := study.Train(ctx, c, data, d.Backend, trainer.Options{Dir: filepath.Join(t.TempDir(), "r"), Environment: d.environment, Progress: s})
			if err := closeDevice(d, err); !errors.Is(err, trainer.ErrInterrupted) {
				t.Fatal(err)
			}
			wantFlat(t, fmt.Sprintf("%d epochs in %v", s.epochs, time.Since(now).Round(time.Second)), s.first, s.last)
		})
	}
}

// oneHeap makes the C library of a process use one heap for all threads. With the many
// that it uses otherwise, each of which keeps what is freed in it, a process grows for
// dozens of cycles although a driver frees everything.
const oneHeap = "MALLOC_ARENA_MAX"

// Opening a device, compiling, training and closing again and again leaves nothing.
func TestCycles(t *testing.T) {
	if *cycles == 0 {
		t.Skip("skipped: make torture runs it")
	}
	if os.Getenv(oneHeap) != "1" {
		c := exec.Command(os.Args[0], "-test.run=^TestCycles$", "-test.v", "-test.timeout=0", fmt.Sprintf("-cycles=%d", *cycles))
		c.Env = append(os.Environ(), oneHeap+"=1")
		out, err := c.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
		return
	}
	isolateCache(t)
	data := letters(t, 260, 52)
	for name, f := range devices() {
		t.Run(name, func(t *testing.T) {
			c := study.DefaultConfig()
			c.Model, c.Epochs = "logistic", 1
			var first footprint
			for i := range *cycles {
				d := open(t, f)
				_, err := study.Train(t.Context(), c, data, d.Backend, trainer.Options{Environment: d.environment})
				if err := closeDevice(d, err); err != nil {
					t.Fatal(err)
				}
				if i == *cycles/10 {
					first = occupied(t)
				}
			}
			wantFlat(t, fmt.Sprintf("%d cycles", *cycles), first, occupied(t))
		})
	}
}

// A server that several clients keep busy does not grow.
func TestServeSoak(t *testing.T) {
	if *requests == 0 {
		t.Skip("skipped: make torture runs it")
	}
	runs := trainedOnStripes(t)
	file := filepath.Join(t.TempDir(), "picture.png")
	writePicture(t, file, stripe(12, 1, 0, color.White))
	picture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	served := make(chan error, 1)
	go func() {
		root := newRootCommand()
		root.SetOut(write)
		root.SetArgs([]string{"serve", runs, "--listen", "127.0.0.1:0"})
		served <- root.ExecuteContext(ctx)
	}()
	line := make([]byte, 1000)
	n, err := read.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(line[:n]), ": ")
	page, _, _ = strings.Cut(page, " ")
	client := &http.Client{Transport: &http.Transport{}}
	address := strings.TrimSuffix(page, "/") + "/api/classify?run=cnn"
	busy := func(n int) (refused int) { return keepBusy(t, client, address, picture, n) }
	busy(*requests / 10)
	client.CloseIdleConnections()
	first := settled(t)
	refused := busy(*requests - *requests/10)
	client.CloseIdleConnections()
	wantFlat(t, fmt.Sprintf("%d pictures classified, %d more refused as too many per second", *requests, refused), first, settled(t))
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// settled returns the footprint once the connections that were closed are gone.
func settled(t *testing.T) footprint {
	time.Sleep(200 * time.Millisecond)
	return occupied(t)
}

// keepBusy has n pictures classified by several clients, and returns how often the server
// refused because of its limits.
func keepBusy(t *testing.T, client *http.Client, address string, picture []byte, n int) int {
	t.Helper()
	var done, refused atomic.Int64
	var clients errgroup.Group
	for range 4 {
		clients.Go(func() error {
			for done.Load() < int64(n) {
				r, err := client.Post(address, "image/png", bytes.NewReader(picture))
				if err != nil {
					return err
				}
				text, err := io.ReadAll(r.Body)
				r.Body.Close()
				switch {
				case err != nil:
					return err
				case r.StatusCode == http.StatusOK:
					done.Add(1)
				case r.StatusCode == http.StatusTooManyRequests:
					refused.Add(1)
					time.Sleep(50 * time.Millisecond)
				default:
					return fmt.Errorf("%s: %s", r.Status, text)
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}
	return int(refused.Load())
}
