package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// runBenchFor runs bench for a moment and returns what it printed.
func runBenchFor(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"bench", "--model", "logistic", "--rounds", "1", "--seconds", ".01"}, args...)
	stdout, stderr, code := run(t, args...)
	if code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
		t.Skip("skipped, no Vulkan device: ", stderr)
	}
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s\n%s", args, code, stderr, stdout)
	}
	return stdout
}

// benchStartUp returns the start-up that bench --json reports.
func benchStartUp(t *testing.T, args ...string) bench.StartUp {
	t.Helper()
	stdout := runBenchFor(t, append(args, "--json", "--no-profile")...)
	var v struct {
		Result struct {
			StartUp *bench.StartUp `json:"start_up"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v.Result.StartUp == nil {
		t.Fatalf("%v: no start-up (%v) in\n%s", args, err, stdout)
	}
	return *v.Result.StartUp
}

// The start-up is in the table and in the JSON. The CPU has no pipeline cache.
func TestBenchStartUp(t *testing.T) {
	u := benchStartUp(t, "--cpu")
	if !(u.Backend > 0 && u.Program > 0 && u.Step > 0 && u.Total > u.Step) || u.PipelineCache != "" {
		t.Errorf("start-up on the CPU: %+v", u)
	}
	if stdout := runBenchFor(t, "--cpu", "--no-profile"); !strings.Contains(stdout, "start-up: first step completed after ") {
		t.Errorf("no start-up in\n%s", stdout)
	}
}

// noTimestamps is a backend whose device has no timestamps.
type noTimestamps struct{ kernels.Backend }

func (b noTimestamps) Compile(p *kernels.Plan) (kernels.Program, error) {
	program, err := b.Backend.Compile(p)
	return untimedProgram{program}, err
}

type untimedProgram struct{ kernels.Program }

func (untimedProgram) Profile(string) ([]kernels.OpTime, error) {
	return nil, fmt.Errorf("x: %w", kernels.ErrNoTimestamps)
}

// shortBench returns a backend and what to measure on it, in one short round.
func shortBench(t *testing.T) (kernels.Backend, bench.Options) {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	network, err := trainer.BuiltIn("logistic", dataset.FashionMNIST)
	if err != nil {
		t.Fatal(err)
	}
	return b, bench.Options{Network: network, Batch: 16, Rounds: 1, Seconds: .01}
}

// A device that cannot be profiled is measured all the same.
func TestBenchWithoutTimestamps(t *testing.T) {
	b, o := shortBench(t)
	s, err := bench.Open(noTimestamps{b}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var said strings.Builder
	if p, done, err := profileOps(&said, s); done || err != nil || len(p.Ops) != 0 || !strings.HasPrefix(said.String(), "note: no table of ops: ") {
		t.Errorf("%+v, %t, %v, %q", p, done, err, said.String())
	}
}

// forgetful is a backend whose tuning cannot be kept.
type forgetful struct{ kernels.Backend }

func (forgetful) Tune(*kernels.Plan, string, func(done, of int)) error {
	return &kernels.KeepError{Path: "f.json", Found: true, Err: errors.New("no space left on device")}
}
func (forgetful) Tuned() string { return "" }

// A tuning that cannot be kept does not cost the results of the bench.
func TestBenchTuningNotKept(t *testing.T) {
	b, o := shortBench(t)
	c := newBenchCommand()
	c.SetContext(t.Context())
	r, _, err := benchDevice(c, &device{Backend: forgetful{b}}, o, nil, false, true)
	if !tuned(err) || len(r.Rounds) != 1 || !strings.HasPrefix(remedied(err), "cannot keep the tuning in f.json: no space left on device") {
		t.Errorf("%d rounds, %v; want the rounds, and an error about the tuning", len(r.Rounds), err)
	}
}

// peerScript writes a shell script for --against and returns its path. Each start
// of it adds a line to the file starts beside it.
func peerScript(t *testing.T, body string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the peers of this test are shell scripts, and Windows has no /bin/sh")
	}
	path := filepath.Join(t.TempDir(), "a peer") // spaces in a path are its own
	text := "#!/bin/sh\necho >> \"${0%/*}/starts\"\n" + body
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program that waits for the next round runs on, another one is started again. The
// medians over the rounds are compared with ours.
func TestBenchAgainst(t *testing.T) {
	const slow, fast = `{"name": "slow", "images_per_second": %s, "latency_ms": {"median": 2, "p99": 3}}`, `{"name": "fast", "images_per_second": 1e15}`
	stays := peerScript(t, fmt.Sprintf("n=0; while read line; do n=$((n+2)); echo '%s'; echo '%s'; echo; done", fmt.Sprintf(slow, "'$n'"), fast))
	ends := peerScript(t, fmt.Sprintf("echo '%s'", fmt.Sprintf(slow, "8")))
	leaves := peerScript(t, fmt.Sprintf("echo '%s'; echo", fast)) // after a whole answer
	stdout := runBenchFor(t, "--cpu", "--infer", "--json", "--no-profile", "--rounds", "3", "--against", stays, "--against", ends, "--against", leaves)
	var v struct {
		Result bench.Summary
		Peers  []peer
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatal(err)
	}
	if l := v.Result.Latency; l == nil || !(0 < l.Median && l.Median <= l.P99) || len(v.Result.Rounds) != 3 {
		t.Errorf("latency %+v, rounds %v", l, v.Result.Rounds)
	}
	latency := &bench.Latency{Median: 2, P99: 3}
	for i, want := range []struct {
		name    string
		rounds  []float64
		latency *bench.Latency
	}{{"slow", []float64{2, 4, 6}, latency}, {"fast", []float64{1e15, 1e15, 1e15}, nil}, {"slow", []float64{8, 8, 8}, latency},
		{"fast", []float64{1e15, 1e15, 1e15}, nil}} {
		s := bench.Summary{ImagesPerSecond: want.rounds[1], Rounds: want.rounds, Latency: want.latency}
		if w := (peer{want.name, s, v.Result.ImagesPerSecond / want.rounds[1]}); i >= len(v.Peers) || !reflect.DeepEqual(v.Peers[i], w) {
			t.Errorf("peer %d in %+v, want %+v", i, v.Peers, w)
		}
	}
	for script, want := range map[string]int{stays: 1, ends: 3, leaves: 3} {
		if starts, err := os.ReadFile(filepath.Join(filepath.Dir(script), "starts")); err != nil || len(starts) != want {
			t.Errorf("%d starts, want %d (%v)", len(starts), want, err)
		}
	}
}

// Text output has our latency and a peer's.
func TestBenchLatency(t *testing.T) {
	p := peerScript(t, `echo '{"name": "other", "images_per_second": 12345, "latency_ms": {"median": 0.25, "p99": 1.5}}'`)
	stdout := runBenchFor(t, "--cpu", "--infer", "--batch-size", "1", "--no-profile", "--against", p)
	for _, want := range []string{`latency of single steps: median \d+\.\d{3} ms, 99th percentile \d+\.\d{3} ms`, `other +12,345 .* 0\.250 +1\.500\n`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("no %s in\n%s", want, stdout)
		}
	}
	if stdout := runBenchFor(t, "--cpu", "--no-profile"); strings.Contains(stdout, "latency") {
		t.Errorf("latency of training in\n%s", stdout)
	}
}

func TestBenchAgainstRefuses(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"echo nonsense", `printed "nonsense", want a line such as {"name": "x", "images_per_second": 1}`},
		{`echo '{"name": "x", "images_per_second": 0}'`, "want a line such as"},
		{"cat /dev/zero", "printed more than 64 KiB without an end of line, want a line such as"},
		{"exit 0", "gave no answer"},
		{"echo", "gave no answer"},
		{"exit 3", "exit status 3"},
	} {
		p := peerScript(t, c.body)
		wantFailure(t, []string{"bench", "--cpu", "--model", "logistic", "--rounds", "1", "--seconds", ".01", "--against", p}, exitFailed, p, c.want)
	}
	wantFailure(t, []string{"bench", "--cpu", "--model", "logistic", "--rounds", "1", "--seconds", ".01", "--against", "no-such-program"}, exitFailed, `--against "no-such-program" does not start`)
}
