package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels/hostmemory"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// asProgram makes the test binary behave as fmnist-gpu.
const asProgram = "FMNIST_GPU_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "":
	case trainsOnly:
		os.Exit(trainOnly(os.Args[1], os.Args[2]))
	default:
		main()
	}
	code := m.Run()
	_ = os.RemoveAll(stripes.dir)
	os.Exit(code)
}

// program returns the program as a command, which the end of the test kills.
func program(t testing.TB, args ...string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// run executes the program and returns what it printed and its exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := program(t, args...)
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	if e := c.Run(); e != nil && c.ProcessState == nil {
		t.Fatal(e)
	}
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

// wantFailure checks an exit code, and that standard error is one line with
// all of the given words.
func wantFailure(t *testing.T, args []string, code int, words ...string) {
	t.Helper()
	_, stderr, got := run(t, args...)
	if got != code {
		t.Errorf("%v: exit code %d, want %d (%s)", args, got, code, stderr)
	}
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fmnist-gpu: ") {
		t.Errorf("%v: want one line of error, got %q", args, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("%v: %q does not say %q", args, stderr, w)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	yaml := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(yaml, []byte("epoch: 3\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"train", "--preset", "main"}, []string{`--preset is "main"`, "main_no_aug"}},
		{[]string{"train", "--batch-size", "0"}, []string{"--batch-size is 0"}},
		{[]string{"train", "--lr", "nan"}, []string{`--lr is "nan"`, "positive number"}},
		{[]string{"train", "--lr", "fast"}, []string{"--lr"}},
		{[]string{"train", "--cpu", "--device", "0"}, []string{"exclude each other"}},
		{[]string{"train", "--config", yaml}, []string{yaml, "line 1", `"epoch"`, `"epochs"`}},
		{[]string{"train", "--config", yaml + ".missing"}, []string{"missing"}},
		{[]string{"train", "--augment", "heavy"}, []string{`"heavy"`, "light, none or original"}},
		{[]string{"train", "--flip", "often"}, []string{`"often"`, "alternating"}},
		{[]string{"train", "--crop", "x"}, []string{"--crop", `"x"`}},
		{[]string{"data", "show", "--erase", "2"}, []string{"--erase is 2"}},
		{[]string{"train", "extra"}, []string{"extra"}},
		{[]string{"train", "--colour"}, []string{"--colour"}},
		{[]string{"train", "--precision", "fp8"}, []string{"--precision", `"fp8"`, "mixed"}},
		{[]string{"bench", "--precision", "fp8"}, []string{"--precision", `"fp8"`, "mixed"}},
		{[]string{"fly"}, []string{"fly"}},
		{[]string{"eval"}, []string{"--checkpoint"}},
		{[]string{"eval", "--checkpoint", "x", "--out", "y", "--cam", "heat"}, []string{"--cam", `"heat"`, "hirescam or gradcam"}},
		{[]string{"eval", "--checkpoint", "x", "--cam", "gradcam"}, []string{"--cam", "--out"}},
		{[]string{"bench", "--against", " "}, []string{"--against"}},
		{[]string{"bench", "--threads", "-1"}, []string{"--threads is -1"}},
		{[]string{"train", "--resume", t.TempDir(), "--lr", "1"}, []string{"--lr", "new run"}},
		{[]string{"train", "--resume", t.TempDir(), "--dry-run"}, []string{"--dry-run"}},
	} {
		wantFailure(t, c.args, exitUsage, c.words...)
	}
}

func TestNoSuchDevice(t *testing.T) {
	wantFailure(t, []string{"train", "--device", "99"}, exitNoDevice)
	wantFailure(t, []string{"eval", "--checkpoint", "x", "--device", "no such device"}, exitNoDevice)
}

func TestUnwritableOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"train", "--cpu", "--out", filepath.Join(file, "runs")}, exitFailed, "--out", file)
	wantFailure(t, []string{"experiment", "original", "--cpu", "--out", file}, exitFailed, "cannot create the output folder "+file, "--out")
}

func TestBadData(t *testing.T) {
	dir := t.TempDir()
	wantFailure(t, []string{"train", "--cpu", "--out", t.TempDir(), "--data-dir", dir}, exitBadFile, dir, "data fetch")
}

// A damaged file is reported with its hash, and no run is left behind.
func TestDamagedData(t *testing.T) {
	source := datasettest.Full(t).Dir
	for name, damage := range map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
	} {
		dir, out := t.TempDir(), t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "t10k-images*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[0], damage(b), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			wantFailure(t, []string{"train", "--cpu", "--out", out, "--data-dir", dir}, exitBadFile, "t10k-images", "expected", "found")
		})
		if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
			t.Errorf("%s: %v, %v left in the output folder", name, left, err)
		}
	}
}

func TestBadCheckpoint(t *testing.T) {
	datasettest.Full(t)
	dir := t.TempDir()
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", dir}, exitBadFile, dir)
	wantFailure(t, []string{"train", "--cpu", "--resume", dir}, exitBadFile, dir, "args.yaml")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", filepath.Join(dir, "none.safetensors")}, exitBadFile, "none.safetensors")
	cut := filepath.Join(dir, "cut.safetensors")
	if err := os.WriteFile(cut, []byte{0x90, 0, 0, 0, 0, 0, 0, 0, '{'}, 0o666); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", cut}, exitBadFile, cut)
}

func TestDevicesJSON(t *testing.T) {
	stdout, stderr, code := run(t, "devices", "--json")
	var v struct {
		Devices []struct {
			Index      *int
			Name, UUID string
		}
		CPU struct{ Threads int }
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 0 || v.Devices == nil || v.CPU.Threads < 1 {
		t.Errorf("code %d, %v, %s\n%s", code, err, stderr, stdout)
	}
}

func TestDryRunTrainsNothing(t *testing.T) {
	datasettest.Full(t)
	out := filepath.Join(t.TempDir(), "runs")
	stdout, stderr, code := run(t, "train", "--dry-run", "--cpu", "--preset", "main_no_aug", "--out", out)
	if code != 0 || !strings.Contains(stdout, "1,701,578") || !strings.Contains(stdout, "batch-size: 64") {
		t.Errorf("code %d, %s\n%s", code, stderr, stdout)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dry run made %s", out)
	}
}

// Flags win over the file, the file over the preset, the preset over defaults.
func TestPrecedenceOfSettings(t *testing.T) {
	datasettest.Full(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("preset: alternative_shallow\naugment: none\nepochs: 7\nseed: 5\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run(t, "train", "--dry-run", "--cpu", "--config", file, "--seed", "6")
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for _, want := range []string{"model: alternative", "augment: none", "epochs: 7", "seed: 6", "batch-size: 64"} {
		if !strings.Contains(stdout, want+"\n") {
			t.Errorf("no %q in:\n%s", want, stdout)
		}
	}
	stdout, stderr, code = run(t, "train", "--dry-run", "--cpu", "--config", file, "--preset", "main_no_aug")
	if code != 0 || !strings.Contains(stdout, "model: fashioncnn\n") || !strings.Contains(stdout, "epochs: 7\n") {
		t.Errorf("a preset given as a flag does not win over the file's: code %d, %s\n%s", code, stderr, stdout)
	}
	if err := os.WriteFile(file, []byte("preset: fast\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	alone, stderr, code := run(t, "train", "--dry-run", "--cpu", "--preset", "fashioncnn_plain")
	if both, _, _ := run(t, "train", "--dry-run", "--cpu", "--config", file, "--preset", "fashioncnn_plain"); code != 0 || both != alone {
		t.Errorf("code %d (%s): settings of the file's preset stay:\n%s\nwant\n%s", code, stderr, both, alone)
	}
}

// The portable tier has mixed precision on every machine; on a tier without it, a
// training is refused before anything is read or written.
func TestMixedPrecision(t *testing.T) {
	for _, tier := range cpuref.Tiers() {
		if slices.Contains([]string{"sse", "avx2", "neon"}, tier) {
			t.Setenv(tierEnvironment, tier)
			wantFailure(t, []string{"train", "--cpu", "--precision", "mixed", "--data-dir", "/nowhere"}, exitUsage, tier, "--precision fp32")
		}
	}
	t.Setenv(tierEnvironment, "generic")
	datasettest.Full(t)
	out := t.TempDir()
	stdout, stderr, code := run(t, "train", "--cpu", "--model", "logistic", "--precision", "mixed", "--max-steps", "3", "--out", out, "--name", "r")
	if code != 0 {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	args, err := os.ReadFile(filepath.Join(out, "r", "args.yaml"))
	if err != nil || !strings.Contains(string(args), "precision: mixed\n") {
		t.Errorf("args.yaml (%v) does not say precision: mixed:\n%s", err, args)
	}
}

// Finished runs are compared from their folders.
func TestCompare(t *testing.T) {
	datasettest.Full(t)
	out := t.TempDir()
	for _, args := range [][]string{{"--seed", "1"}, {"--seed", "2"}, {"--seed", "1", "--lr", "1e-5"}} {
		args = append([]string{"train", "--cpu", "--model", "logistic", "--max-steps", "30", "--out", out}, args...)
		if _, stderr, code := run(t, args...); code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr)
		}
	}
	stdout, stderr, code := run(t, "compare", out)
	if code != 0 || !strings.Contains(stdout, "is better than logistic") || !strings.Contains(stdout, "McNemar between") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	var c struct{ Recipes, Pairs []map[string]any }
	stdout, _, _ = run(t, "compare", "--json", out)
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || len(c.Recipes) != 2 || len(c.Pairs) != 1 {
		t.Errorf("--json: %v\n%s", err, stdout)
	}
	for flag, want := range map[string]string{"--csv": "\n,val,2,logistic (lr: 1e-05),1,", "--markdown": "\n| 2 | logistic (lr: 1e-05) | 1 |", "--latex": "\n2 & logistic (lr: 1e-05) & 1 &"} {
		if stdout, stderr, code := run(t, "compare", flag, out); code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d: %s\n%s, want %q", flag, code, stderr, stdout, want)
		}
	}
	wantFailure(t, []string{"compare", "--json", "--csv", out}, exitUsage, "--json and --csv are mutually exclusive")
	wantFailure(t, []string{"compare", out, t.TempDir()}, exitUsage, "not a run's folder")
	wantFailure(t, []string{"compare"}, exitUsage, "name the folders")
}

// writeExperiment writes rates.yaml, and returns it and a folder for its runs.
func writeExperiment(t *testing.T, text string) (file, out string) {
	t.Helper()
	datasettest.Full(t)
	file = filepath.Join(t.TempDir(), "rates.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return file, filepath.Join(t.TempDir(), "runs")
}

// Go's limit is below that of a control group, unless the user sets one.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, c := range []struct {
		limit hostmemory.Limit
		user  string
		want  int64
	}{{hostmemory.Limit{Bytes: 1 << 40, Group: true}, "", (1 << 40) / 10 * 9}, {hostmemory.Limit{Bytes: 1 << 40}, "", before},
		{hostmemory.Limit{Bytes: 1 << 40, Group: true}, "2GiB", before}} {
		debug.SetMemoryLimit(before)
		t.Setenv("GOMEMLIMIT", c.user)
		limitMemory(c.limit)
		if got := debug.SetMemoryLimit(-1); got != c.want {
			t.Errorf("%v, GOMEMLIMIT %q: limit %d, want %d", c.limit, c.user, got, c.want)
		}
	}
}

// A training that diverges does not affect the others; the experiment says which one
// it was, also in its JSON.
func TestExperimentDiverges(t *testing.T) {
	text := "base: {model: logistic, optimizer: sgd, lr: 0.01, epochs: 1}\ngrid:\n  weight-decay: [0, 1000, 0.001]\n"
	file, out := writeExperiment(t, text)
	stdout, stderr, code := run(t, "experiment", file, "--cpu", "--json", "--out", out)
	var c struct {
		Groups []struct {
			Recipes    []map[string]any
			Unfinished []string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || len(c.Groups) != 1 || len(c.Groups[0].Recipes) != 2 || fmt.Sprint(c.Groups[0].Unfinished) != "[weight-decay1000]" {
		t.Errorf("--json (%v):\n%s", err, stdout)
	}
	if code != exitFailed || !strings.Contains(stderr, "weight-decay1000: training diverged") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if html, err := os.ReadFile(filepath.Join(out, "report.html")); err != nil || !strings.Contains(string(html), "left out: weight-decay1000") {
		t.Errorf("the report does not say what is left out (%v)", err)
	}
}

// An experiment that was killed continues where it stopped and repeats nothing.
func TestExperiment(t *testing.T) {
	text := "base: {model: logistic, epochs: 2, select-on: test}\ngrid:\n  lr: [0.01, 0.00001]\n  seed: [1, 2]\n"
	file, out := writeExperiment(t, text)
	stdout, stderr, code := run(t, "experiment", file, "--cpu", "--out", out)
	if code != 0 || !strings.Contains(stdout, "[4 of 4] lr0.00001-seed") || !strings.Contains(stdout, "paired t over seeds 1, 2") {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	if cpuref.DefaultThreads() > 1 && strings.Contains(stdout, "one training at a time") {
		t.Errorf("the trainings did not run together:\n%s", stdout)
	}
	for _, name := range []string{"report.html", "experiment.yaml", "runs.csv", "rates_models.png", "lr0.01-seed1/report.html"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	weights := func(name string) string {
		b, err := os.ReadFile(filepath.Join(out, name, "weights", "best.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := weights("lr0.01-seed2")
	stray := filepath.Join(out, ".report.html.0123abcd.tmp")
	if err := os.WriteFile(stray, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "lr0.01-seed2", "checkpoint")); err == nil {
		t.Error("a finished run of an experiment has kept its checkpoint")
	}
	// As if it had been killed: one run after its last checkpoint, one before its first.
	if err := os.RemoveAll(filepath.Join(out, "lr0.01-seed2")); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, "train", "--cpu", "--model", "logistic", "--epochs", "2", "--select-on", "test", "--lr", "0.01", "--seed", "2", "--out", out, "--name", "lr0.01-seed2"); code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range []string{"lr0.01-seed2/metrics.json", "lr0.00001-seed1/metrics.json"} {
		if err := os.Remove(filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code = run(t, "experiment", file, "--cpu", "--parallel", "1", "--out", out)
	if code != 0 || strings.Count(stdout, "already finished") != 2 || strings.Count(stdout, ": resumed") != 1 {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	if _, err := os.Stat(stray); err == nil {
		t.Error("the temporary file of a killed write is still there")
	}
	if weights("lr0.01-seed2") != before {
		t.Error("the resumed run has other weights")
	}
	var c struct{ Groups []struct{ Name string } }
	stdout, _, _ = run(t, "compare", "--json", out)
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || len(c.Groups) != 1 || c.Groups[0].Name != "rates" {
		t.Errorf("compare --json of an experiment (%v):\n%s", err, stdout)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, "epochs: 2", "epochs: 3", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"experiment", file, "--cpu", "--out", out}, exitUsage, "was trained with other settings", "epochs: 2")
	unlock, err := trainer.LockFolder(out, "experiment")
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"experiment", file, "--cpu", "--out", out}, exitUsage, "another experiment is running in "+out)
	unlock()
	if _, err := os.Stat(filepath.Join(out, ".lock")); err == nil {
		t.Error("the lock is left in the folder")
	}
	wantFailure(t, []string{"experiment", "original", "--out", out}, exitUsage, "holds the experiment rates")
	wantFailure(t, []string{"experiment", file, "--cpu", "--parallel", "-1", "--out", filepath.Join(t.TempDir(), "x")}, exitUsage, "--parallel is -1")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", filepath.Join(out, "lr0.01-seed1"), "--out", filepath.Join(out, "lr0.01-seed1")}, exitUsage, "whose metrics would be overwritten")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", filepath.Join(out, "lr0.01-seed1"), "--data-dir", t.TempDir()}, exitBadFile, "no Fashion-MNIST")
	wantFailure(t, []string{"report"}, exitUsage, "name one folder")
	wantFailure(t, []string{"report", t.TempDir()}, exitUsage, "not a run's folder")
	wantFailure(t, []string{"experiment", "originale"}, exitUsage, "originale")
	wantFailure(t, []string{"experiment", "original", "--seeds", "5-1"}, exitUsage, "--seeds", "such as 42,43 or 0-9")
	wantFailure(t, []string{"experiment"}, exitUsage, "original")
}

// A hostile PyTorch file gives one line of error.
func TestHostileWeights(t *testing.T) {
	datasettest.Full(t)
	weights := filepath.Join("..", "..", "trainer", "checkpoint", "testdata", "pytorch", "attack.pth")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", weights}, exitBadFile, weights, "posix.system", "not run")
	wantFailure(t, []string{"train", "--cpu", "--init", weights, "--out", t.TempDir()}, exitBadFile, weights, "posix.system", "not run")
}

// The original project's weights, saved by PyTorch, give its results.
func TestOriginalWeights(t *testing.T) {
	weights := filepath.Join("..", "..", "..", "shared", "seed", "baseline_logistic.pth")
	if _, err := os.Stat(weights); err != nil {
		t.Skipf("the original's weights are not beside this repository: %v", err)
	}
	datasettest.Full(t)
	stdout, stderr, code := run(t, "eval", "--cpu", "--checkpoint", weights)
	if code != 0 || !strings.Contains(stdout, "accuracy 66.98 %  macro F1 0.6647  loss 0.9863") {
		t.Errorf("exit code %d, want 0 and 66.98 %%, .6647, .9863: %s\n%s", code, stderr, stdout)
	}
	out := t.TempDir()
	stdout, stderr, code = run(t, "train", "--cpu", "--model", "logistic", "--init", weights, "--max-steps", "1", "--lr", "1e-9", "--select-on", "test", "--out", out)
	if code != 0 || !strings.Contains(stdout, "test accuracy 66.98 %") {
		t.Errorf("one tiny step from these weights: exit code %d, want 0 and 66.98 %%: %s\n%s", code, stderr, stdout)
	}
	wantFailure(t, []string{"train", "--cpu", "--init", weights, "--out", out}, exitBadFile, "conv1.weight (32, 1, 3, 3) is missing", "linear.weight")
}
