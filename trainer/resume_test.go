package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// quick returns a training that takes a tenth of a second.
func quick() config {
	c := small()
	c.Model, c.Epochs, c.Patience = "logistic", 2, 0
	return c
}

// files returns the content of every file in a folder by its path. For files that
// hold durations it returns only that they exist.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	timed := []string{ResultsFile, MetricsFile, stateFile}
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), "events.out.tfevents.") { // TestEventsOfResumedRuns compares those
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found[name] = "there"
		if !slices.Contains(timed, name) {
			found[name] = string(readFile(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// wantSameFolder checks that two runs have the same files with the same content,
// except for durations.
func wantSameFolder(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %s is missing or differs", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is left behind", what, name)
		}
	}
}

// killed trains until the nth point at which the program could be killed while
// it changes a file, and ends there as if it were. It reports whether the
// training came to that point.
func killed(t *testing.T, n int, c config, o Options) (path string, was bool) {
	t.Helper()
	defer func() {
		atomicfile.Failpoint = nil
		if r := recover(); r != nil {
			if r != "killed" {
				panic(r)
			}
			was = true
		}
	}()
	atomicfile.Failpoint = func(p string) {
		if n--; n < 0 {
			path = p
			panic("killed")
		}
	}
	_, err := train(t, context.Background(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return "", false
}

// A run that is killed at any point while a file is written, and resumed, ends
// with the files of a run that was never killed, and no others. One run ends inside its
// second epoch, of 22 steps. Of another the second epoch is the best: the checkpoint
// after its last step holds the first's weights too, and the one after its evaluation, in
// the same step, does not.
func TestKilledAnywhere(t *testing.T) {
	inside, best := quick(), quick()
	inside.Epochs, inside.MaxSteps = 3, 40
	best.SelectOn = "val"
	for name, c := range map[string]config{"stopped inside an epoch": inside, "second epoch best": best} {
		t.Run(name, func(t *testing.T) { killAnywhere(t, c) })
	}
}

// killAnywhere kills a training at every point, or, with -short, at every third, each
// time in a new folder.
func killAnywhere(t *testing.T, c config) {
	whole := t.TempDir()
	r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole})
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Epochs[len(r.Epochs)-1]; c.SelectOn == "val" && !last.Best {
		t.Fatal("the second epoch is not the best one")
	}
	want := files(t, whole)
	points, step := 0, 1
	if testing.Short() {
		step = 3
	}
	for ; ; points += step {
		dir := t.TempDir()
		path, was := killed(t, points, c, Options{NoPictures: true, Dir: dir, CheckpointEvery: 1})
		if !was {
			break
		}
		_, err := os.Stat(filepath.Join(dir, ArgsFile))
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: err == nil}); err != nil {
			t.Errorf("killed at point %d, %s: %v", points, path, err)
			continue
		}
		wantSameFolder(t, fmt.Sprintf("killed at point %d, %s", points, filepath.Base(path)), files(t, dir), want)
	}
	if points < 30 {
		t.Errorf("only %d points", points)
	}
}

// A run that stops after an epoch is not tested. Resumed, it ends as one that was never
// stopped, also if it had stopped early or after its last epoch.
func TestStopAfter(t *testing.T) {
	for name, c := range map[string]config{"onecycle": quick(), "early stop": quick(), "max-steps": quick()} {
		c.Epochs, c.SelectOn = 3, "val"
		switch name {
		case "onecycle":
			c.Scheduler, c.Warmup, c.EMA, c.Prune = name, 1.3, .9, .3
		case "early stop":
			c.Patience, c.LR = 1, 1e-9
		case "max-steps":
			c.MaxSteps = 25 // of 20 per epoch
		}
		whole, dir := t.TempDir(), t.TempDir()
		want, err := train(t, t.Context(), c, Options{NoPictures: true, Dir: whole})
		if err != nil {
			t.Fatal(err)
		}
		for _, stop := range []int{1, 4} {
			r, err := train(t, t.Context(), c, Options{NoPictures: true, Dir: dir, Resume: stop > 1, StopAfter: stop})
			if err != nil {
				t.Fatal(err)
			}
			if n := min(stop, len(want.Epochs)); len(r.Epochs) != n || r.Metrics != nil || r.Epochs[n-1].ValAccuracy != want.Epochs[n-1].ValAccuracy {
				t.Errorf("%s, stopped after epoch %d: %+v", name, stop, r)
			}
			if state, err := StateOfRun(dir); err != nil || state != RunInProgress {
				t.Errorf("%s, stopped after epoch %d: the run is in state %v (%v)", name, stop, state, err)
			}
		}
		if _, err := train(t, t.Context(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
			t.Fatal(err)
		}
		wantSameFolder(t, name, files(t, dir), files(t, whole))
	}
}

// Only a run that one program has trained from the beginning, and alone, says how long
// that took.
func TestSecondsToWeights(t *testing.T) {
	began := time.Now().Add(-time.Hour)
	o := Options{NoPictures: true, Started: began}
	seconds := func(o Options) float64 {
		t.Helper()
		r, err := train(t, t.Context(), quick(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Metrics == nil {
			return 0
		}
		return r.Metrics.SecondsToWeights
	}
	o.Dir = t.TempDir()
	if s := seconds(o); !(s > 3600 && s < time.Since(began).Seconds()) {
		t.Errorf("%v seconds, want a little more than an hour", s)
	}
	o.Dir, o.StopAfter = t.TempDir(), 1
	seconds(o)
	o.Resume, o.StopAfter = true, 0
	resumed := seconds(o)
	o = Options{NoPictures: true, Started: began, Dir: t.TempDir(), Environment: Environment{Together: 2}}
	if together := seconds(o); resumed != 0 || together != 0 {
		t.Errorf("resumed: %v seconds; beside others: %v; want none", resumed, together)
	}
}

// Checkpoints within an epoch are as frequent as the options say.
func TestCheckpointsWithinEpochs(t *testing.T) {
	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1 // a step at a time
	defer func() { atomicfile.Failpoint = nil }()
	var every []int
	for step := 1; step <= 44; step++ {
		every = append(every, step)
	}
	for interval, want := range map[time.Duration][]int{0: {22, 44}, time.Hour: {22, 44}, 1: every} {
		dir := t.TempDir()
		var saved []int
		atomicfile.Failpoint = func(path string) {
			if path != filepath.Join(dir, stateFile) {
				return
			}
			s, err := folder{dir}.readState()
			if err != nil {
				t.Fatal(err)
			}
			if s != nil && !slices.Contains(saved, s.Step) {
				saved = append(saved, s.Step)
			}
		}
		if _, err := train(t, context.Background(), quick(), Options{NoPictures: true, Dir: dir, CheckpointEvery: interval}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(saved, want) {
			t.Errorf("every %v: checkpoints at steps %v, want %v", interval, saved, want)
		}
	}
}

// A run that goes on where roundings differ says so, and its settings keep it.
func TestMovedRunSaysSo(t *testing.T) {
	c, dir := quick(), t.TempDir()
	wide := Environment{Backend: "cpu", OS: "linux/amd64", Tier: "avx512", Device: "A (CPU, avx512, 1 thread)", Version: "v1", Threads: 1}
	threads, narrow, tuned := wide, wide, wide
	threads.Device, threads.Threads = "A (CPU, avx512, 2 threads)", 2
	narrow.Tier = "avx2"
	tuned.Backend, tuned.Device, tuned.Driver, tuned.Tuned = "vulkan", "GTX (Vulkan)", "RADV", "0123abcd"
	for i, step := range []struct {
		environment Environment
		says        string
	}{
		{wide, ""},
		{threads, ""},
		{narrow, "trained on the CPU (linux/amd64, avx512), v1 so far, and continues on the CPU (linux/amd64, avx2), v1"},
		{narrow, ""},
		{tuned, "and continues on GTX (Vulkan), RADV, v1, tuned 0123abcd"},
	} {
		c.MaxSteps = 5 * (i + 1)
		n := &notes{}
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: i > 0, Environment: step.environment, Progress: n}); err != nil {
			t.Fatal(err)
		}
		said := strings.Join(n.list, "; ")
		if moved := strings.Contains(said, "by rounding"); moved != (step.says != "") || !strings.Contains(said, step.says) {
			t.Errorf("training %d says %q, want %q", i, said, step.says)
		}
	}
	e, err := ReadEnvironment(dir)
	if want := []string{narrow.rounding(), wide.rounding()}; err != nil || !slices.Equal(e.Earlier, want) || e.Tuned != "0123abcd" {
		t.Errorf("recorded %+v (%v), want earlier %v", e, err, want)
	}
}

// A finished run continues with more epochs as if it had had them from the start,
// even if it is killed at any point.
func TestFinishedRunGoesOn(t *testing.T) {
	c := quick()
	whole, once := t.TempDir(), t.TempDir()
	short := c
	short.Epochs = 1
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	if _, err := train(t, context.Background(), short, Options{NoPictures: true, Dir: once}); err != nil {
		t.Fatal(err)
	}
	want := files(t, whole)
	points := 0
	for ; ; points++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(once)); err != nil {
			t.Fatal(err)
		}
		path, was := killed(t, points, c, Options{NoPictures: true, Dir: dir, Resume: true})
		if _, err := os.Stat(filepath.Join(dir, MetricsFile)); was && err == nil && path != filepath.Join(dir, MetricsFile) {
			t.Errorf("killed at point %d, %s: counts as finished", points, path)
		}
		if was {
			if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
				t.Errorf("killed at point %d, %s: %v", points, path, err)
				continue
			}
		}
		wantSameFolder(t, fmt.Sprintf("killed at point %d, %s", points, path), files(t, dir), want)
		if !was {
			break
		}
	}
}

// Resuming a finished run with no step left to train returns its previous result
// and keeps its files.
func TestFinishedRunStays(t *testing.T) {
	c := quick()
	dir := t.TempDir()
	first, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	for _, epochs := range []int{c.Epochs, 1} {
		again := c
		again.Epochs = epochs
		r, err := train(t, context.Background(), again, Options{NoPictures: true, Dir: dir, Resume: true})
		if err != nil || !r.Finished || r.Metrics.Accuracy != first.Metrics.Accuracy || r.BestEpoch != first.BestEpoch || len(r.Epochs) != 2 {
			t.Errorf("%d epochs: %+v (%v), want the former result", epochs, r, err)
		}
	}
	wantSameFolder(t, "resumed without more epochs", files(t, dir), before)
	state := readFile(t, dir, stateFile)
	for _, slot := range []string{"-1", "23", "1000000000", "4611686018427387904"} {
		wantRefused(t, "slot "+slot, c, dir, bytes.Replace(state, []byte(`"slot": 0`), []byte(`"slot": `+slot), 1))
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile), state, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := DropCheckpoint(dir); err != nil {
		t.Fatal(err)
	}
	if r, err := FinishedRun(dir, c.Recipe); err != nil || r == nil || r.BestEpoch != first.BestEpoch {
		t.Errorf("without its checkpoint: %+v, %v", r, err)
	}
	c.Epochs = 3
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), dir+" is finished and its checkpoint is gone") {
		t.Errorf("more epochs without a checkpoint: %v", err)
	}
}

// notes keeps the notes of a training's summary.
type notes struct{ list []string }

func (n *notes) Start(s Summary)   { n.list = s.Notes }
func (n *notes) Step(StepReport)   {}
func (n *notes) Epoch(EpochReport) {}

// A run that had stopped early continues with more patience, or with more epochs,
// which restart the count of its patience.
func TestEarlyStopGoesOn(t *testing.T) {
	c := quick()
	c.LR, c.Epochs, c.Patience, c.Scheduler = 1e-12, 6, 1, "none"
	stopped := t.TempDir()
	r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: stopped})
	if err != nil || r.Stopped == "" || len(r.Epochs) >= 6 {
		t.Fatalf("%+v, %v: want an early stop", r, err)
	}
	done := len(r.Epochs)
	for _, more := range []struct{ epochs, patience, want int }{{6, 0, 6}, {6, 2, done + 1}, {7, 1, done + 1}} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(stopped)); err != nil {
			t.Fatal(err)
		}
		c.Epochs, c.Patience = more.epochs, more.patience
		r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true})
		if err != nil || len(r.Epochs) != more.want {
			t.Errorf("%+v: %+v, %v", more, r, err)
		}
	}
}

// If a finished run gets more epochs, a note says that a schedule that spans the
// whole run has changed.
func TestLongerScheduleIsSaid(t *testing.T) {
	for schedule, said := range map[string]bool{"plateau": false, "none": false, "cosine": true, "onecycle": true} {
		c, n := quick(), &notes{}
		c.Scheduler = schedule
		dir := t.TempDir()
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir}); err != nil {
			t.Fatal(err)
		}
		c.Epochs = 3
		r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true, Progress: n})
		if err != nil || len(r.Epochs) != 3 || strings.Contains(fmt.Sprint(n.list), schedule+" schedule now spans 66 steps instead of 44") != said {
			t.Errorf("%s: %q, %v", schedule, n.list, err)
		}
	}
}

// Only one training at a time can run in a folder, and it leaves no lock file.
func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	unlock, err := LockFolder(dir, "training")
	if err != nil {
		t.Fatal(err)
	}
	_, err = train(t, context.Background(), quick(), Options{NoPictures: true, Dir: dir})
	if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "another training is running in "+dir) {
		t.Errorf("a second training: %v", err)
	}
	unlock()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v left (%v)", entries, err)
	}
	// A lock file left by a killed process does not block the folder.
	if err := os.WriteFile(filepath.Join(dir, lockFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if unlock, err = LockFolder(dir, "training"); err != nil {
		t.Fatal(err)
	}
	unlock()
}

// interruptedRun trains 30 steps of 22 per epoch, and returns the run's folder.
func interruptedRun(t *testing.T, c config) string {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1
	if _, err := train(t, ctx, c, Options{NoPictures: true, Dir: dir, Progress: &cancelAfter{30, cancel}}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	return dir
}

// A resume does not read results and logs: it rewrites damaged ones.
func TestDamagedResultsAreRebuilt(t *testing.T) {
	c := quick()
	whole := t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	dir := interruptedRun(t, c)
	for _, name := range []string{StepsFile, ResultsFile, BestWeights} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\x00\"broken"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, LastWeights)); err != nil {
		t.Fatal(err)
	}
	for _, stray := range []string{"checkpoint/tensors-7.bin", "weights/.best.safetensors.0123abcd.tmp", ".args.yaml.00c0ffee.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, stray), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
		t.Fatal(err)
	}
	wantSameFolder(t, "after damage", files(t, dir), files(t, whole))
}

// Settings that a damaged args.yaml has lost would be the defaults: no part of
// the file does instead of the whole.
func TestDamagedSettingsAreRefused(t *testing.T) {
	c := quick()
	dir := interruptedRun(t, c)
	path := filepath.Join(dir, ArgsFile)
	whole := readFile(t, path)
	if had, err := (folder{dir}).readArgs(); err != nil || had.Epochs != c.Epochs {
		t.Fatalf("%v: %d epochs, want %d", err, had.Epochs, c.Epochs)
	}
	before := files(t, dir)
	end := bytes.Index(whole, []byte("\n"+environmentKey))
	damaged := [][]byte{[]byte("\x00\xff"), []byte("- list\n"), append([]byte("flip: sometimes\n"), whole...)}
	for n := 0; n <= end; n++ {
		damaged = append(damaged, whole[:n])
	}
	for _, text := range damaged {
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := folder{dir}.readArgs()
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), path) {
			t.Errorf("with %q: %v, want %v", text, err, checkpoint.ErrBadCheckpoint)
		}
	}
	_, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true})
	if !errors.Is(err, checkpoint.ErrBadCheckpoint) {
		t.Errorf("%v, want %v", err, checkpoint.ErrBadCheckpoint)
	}
	if err := os.WriteFile(path, whole, 0o666); err != nil {
		t.Fatal(err)
	}
	wantSameFolder(t, "after refusals", files(t, dir), before)
}

// The part of args.yaml that decides no weights can be damaged too. One line says so, and
// what to do, once.
func TestDamagedEnvironment(t *testing.T) {
	c := quick()
	dir := interruptedRun(t, c)
	path := filepath.Join(dir, ArgsFile)
	whole := readFile(t, path)
	end := bytes.Index(whole, []byte("\n"+environmentKey))
	text := string(whole[:end]) + "\n" + environmentKey + ":\n    vers" // cut inside a word
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true})
	line := strings.Count(text, "\n") + 1
	want := fmt.Sprintf("cannot read the settings of the run %s: args.yaml: line %d is damaged; restore %s from a copy, or start a new run", dir, line, path)
	if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// A run that has results has had a checkpoint. Without it the run would start
// anew, over the weights that it has.
func TestLostCheckpointIsRefused(t *testing.T) {
	c := quick()
	for _, lost := range []string{stateFile, checkpointDir} {
		dir := interruptedRun(t, c)
		if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		before := files(t, dir)
		_, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true})
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), stateFile) {
			t.Errorf("without %s: %v, want %v", lost, err, checkpoint.ErrBadCheckpoint)
		}
		wantSameFolder(t, "without "+lost, files(t, dir), before)
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true, Restart: true}); err != nil {
			t.Errorf("begun anew without %s: %v", lost, err)
		}
	}
}

// A resume refuses a state that no training can have reached, before it changes any
// file.
func TestImpossibleStateIsRefused(t *testing.T) {
	c := quick()
	dir := interruptedRun(t, c)
	path := filepath.Join(dir, stateFile)
	good := readFile(t, path)
	args := readFile(t, dir, ArgsFile)
	for _, wrong := range []struct {
		key   string
		value any
	}{
		{"slot", -1}, {"slot", 23}, {"slot", 1e9}, {"slot", int64(1) << 62}, {"slot", 1.5}, {"slot", 9}, {"slot", "8"},
		{"step", -30}, {"step", 31}, {"step", int64(1) << 40}, {"epochs", []any{}}, {"epochs", nil}, {"epochs", "none"},
		{"best", .123}, {"best", -1}, {"best_epoch", 0}, {"best_epoch", 2}, {"seconds", -1}, {"patience_from", 2}, {"logged", 31},
		{"logged", 29}, {"logged", -1}, {"checksum", 1}, {"schedule", nil}, {"schedule", map[string]any{"kind": "cosine", "rate": 1e-3, "steps": 44}},
		{"schedule", map[string]any{"kind": "plateau", "rate": 10, "steps": 44}}, {"schedule", map[string]any{"kind": "plateau", "rate": 1e-3, "steps": 44, "bad_epochs": -3}},
	} {
		var state map[string]any
		if err := json.Unmarshal(good, &state); err != nil {
			t.Fatal(err)
		}
		state[wrong.key] = wrong.value
		text, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, fmt.Sprintf("%s %v", wrong.key, wrong.value), c, dir, text)
	}
	for _, text := range []string{"", "null", "{}", "[]", `{"slot": NaN}`, string(good[:len(good)/2]), strings.Replace(string(good), `"val_loss": `, `"val_loss": -1e999, "x": `, 1),
		strings.Replace(string(good), `"val_accuracy"`, `"val"`, 1), strings.Replace(string(good), `"epoch": 1`, `"epoch": 2`, 1)} {
		wantRefused(t, text, c, dir, []byte(text))
	}
	if !bytes.Equal(readFile(t, dir, ArgsFile), args) {
		t.Error("args.yaml was written again")
	}
	if err := os.WriteFile(path, good, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
		t.Errorf("the good state: %v", err)
	}
}

func wantRefused(t *testing.T, what string, c config, dir string, state []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, stateFile), state, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true})
	if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), filepath.Join(dir, checkpointDir)) ||
		!strings.Contains(err.Error(), "start a new run") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v", what, err)
	}
}

// Ctrl-C while an epoch is evaluated, or at the end, loses nothing.
func TestInterruptedEvaluation(t *testing.T) {
	c := quick()
	whole := t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: whole}); err != nil {
		t.Fatal(err)
	}
	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1
	for _, step := range []int{22, 44} { // the last of an epoch: what follows is its evaluation
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if _, err := train(t, ctx, c, Options{NoPictures: true, Dir: dir, Progress: &cancelAfter{step, cancel}}); !errors.Is(err, ErrInterrupted) {
			t.Fatalf("step %d: %v", step, err)
		}
		if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir, Resume: true}); err != nil {
			t.Fatal(err)
		}
		wantSameFolder(t, fmt.Sprint("interrupted after step ", step), files(t, dir), files(t, whole))
	}
}

// Train checks its arguments.
func TestTrainChecksItsArguments(t *testing.T) {
	data := datasettest.Subset(t)
	colour, fewer, layers := data.Info, data.Info, mustNetwork(t, "logistic").Layers
	colour.C, fewer.Classes = 3, data.Classes[1:]
	for what, change := range map[string]func(*Recipe, *model.Network){
		"rmsprop":     func(r *Recipe, _ *model.Network) { r.Optimizer = "rmsprop" },
		"bf16":        func(r *Recipe, _ *model.Network) { r.Precision = "bf16" },
		"batch-size":  func(r *Recipe, _ *model.Network) { r.BatchSize = 0 },
		"epochs":      func(r *Recipe, _ *model.Network) { r.Epochs = 0 },
		"lr":          func(r *Recipe, _ *model.Network) { r.LR = math.NaN() },
		"eval-images": func(r *Recipe, _ *model.Network) { r.EvalImages = -1 },
		"crop is 29":  func(r *Recipe, _ *model.Network) { r.Crop = new(29) },
		"the network logistic takes images of 28×28×3, but those of the dataset fashion-mnist are 28×28×1": func(_ *Recipe, n *model.Network) { *n = quick().network(t, colour) },
		"the network logistic has 9 classes, but the dataset fashion-mnist has 10":                         func(_ *Recipe, n *model.Network) { *n = quick().network(t, fewer) },
		"the network's name is empty":  func(_ *Recipe, n *model.Network) { n.Name = "" },
		`the network's name is "a\nb"`: func(_ *Recipe, n *model.Network) { n.Name = "a\nb" },
		"linear":                       func(_ *Recipe, n *model.Network) { n.Layers = layers[1:] },
	} {
		r, n := quick().Recipe, mustNetwork(t, "logistic")
		change(&r, &n)
		dir := filepath.Join(t.TempDir(), "run")
		_, err := Train(context.Background(), r, n, data, openBackend(t), Options{NoPictures: true, Dir: dir})
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the folder was made", what)
		}
	}
	if _, err := BuiltIn("transformer", data.Info); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), `model is "transformer": want one of `+strings.Join(model.Names(), ", ")) {
		t.Errorf("an unknown network: %v", err)
	}
	r, n := quick().Recipe, mustNetwork(t, "logistic")
	nowhere := filepath.Join(t.TempDir(), "run")
	if _, err := Train(context.Background(), r, n, data, nil, Options{Dir: nowhere}); !errors.Is(err, ErrUsage) {
		t.Errorf("no backend: %v", err)
	}
	if _, err := Train(context.Background(), r, n, nil, openBackend(t), Options{Dir: nowhere}); !errors.Is(err, ErrUsage) {
		t.Errorf("no dataset: %v", err)
	}
	for what, o := range map[string]Options{"no folder of a run": {Resume: true}, "LogEvery is -1": {Dir: nowhere, LogEvery: -1}} {
		if _, err := Train(context.Background(), r, n, data, openBackend(t), o); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Train(cancelled, r, n, data, openBackend(t), Options{Dir: nowhere}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it begins: %v", err)
	}
	data.Test.Labels[3] = 10
	if _, err := Train(context.Background(), r, n, data, openBackend(t), Options{Dir: nowhere}); !errors.Is(err, dataset.ErrBadData) || !strings.Contains(err.Error(), "label 3 of the test split is 10") {
		t.Errorf("a label of 10: %v", err)
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("the folder was made")
	}
	dir := t.TempDir()
	if _, err := train(t, context.Background(), quick(), Options{NoPictures: true, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := train(t, context.Background(), quick(), Options{NoPictures: true, Dir: dir}); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "already holds a run") {
		t.Errorf("a second run in one folder: %v", err)
	}
	other := quick()
	other.LR, other.Epochs = .5, 9
	if _, err := train(t, context.Background(), other, Options{NoPictures: true, Dir: dir, Resume: true}); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "lr: 0.001") {
		t.Errorf("resumed with another learning rate: %v", err)
	}
}

// Without evaluations the weights change in the same way, the last ones are kept,
// and the run's files say so.
func TestNoEval(t *testing.T) {
	c := quick()
	c.Scheduler = "none"
	with, without := t.TempDir(), t.TempDir()
	if _, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: with}); err != nil {
		t.Fatal(err)
	}
	c.NoEval, c.Patience, c.Scheduler = true, 1, "plateau"
	r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: without})
	if err != nil {
		t.Fatal(err)
	}
	if r.Metrics.Protocol != noProtocol || r.BestEpoch != 2 || !math.IsNaN(r.Epochs[1].ValAccuracy) || !(r.Metrics.Accuracy > .3) {
		t.Errorf("%+v, %+v", r, r.Metrics)
	}
	read, err := ReadEpochs(without)
	if err != nil || BestEpoch(read, true) != 2 || !math.IsNaN(read[0].ValLoss) {
		t.Errorf("%+v, %v", read, err)
	}
	net, err := model.Build(model.Config{Network: mustNetwork(t, c.Model)})
	if err != nil {
		t.Fatal(err)
	}
	last, err := loadSnapshot(filepath.Join(with, LastWeights), net)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{BestWeights, LastWeights} {
		got, err := loadSnapshot(filepath.Join(without, name), net)
		if err != nil || !slices.Equal(got.values, last.values) {
			t.Errorf("%s (%v): not the weights of the run with evaluations", name, err)
		}
	}
	if e := evaluate(t, without); e.Metrics.Protocol != noProtocol {
		t.Errorf("evaluated later: protocol %q, want %q", e.Metrics.Protocol, noProtocol)
	}
	c.Epochs = 4
	if r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: without, Resume: true}); err != nil || r.BestEpoch != 4 {
		t.Errorf("resumed: %+v, %v", r, err)
	}
}

// EvalImages selects the same images each time, evenly spaced.
func TestEvalImages(t *testing.T) {
	if got := evenly(indices(100, 10), 4); !slices.Equal(got, []uint32{100, 102, 105, 107}) {
		t.Errorf("4 of 10: %v", got)
	}
	if got := evenly(indices(0, 3), 4); len(got) != 3 {
		t.Errorf("4 of 3: %v", got)
	}
	c := quick()
	c.EvalImages = 20
	dir := t.TempDir()
	r, err := train(t, context.Background(), c, Options{NoPictures: true, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if r.Metrics.Images != 20 {
		t.Errorf("%d images, want 20", r.Metrics.Images)
	}
	lines := strings.Split(string(readFile(t, dir, PredictionsFile)), "\n")
	if len(lines) != 22 || !strings.HasPrefix(lines[2], "10,") {
		t.Errorf("predictions.csv:\n%s", strings.Join(lines, "\n"))
	}
	e := evaluate(t, dir)
	right := 0
	for i := 0; i < 200; i += 10 {
		best := 0
		for class := range 10 {
			if e.Probabilities[i*10+class] > e.Probabilities[i*10+best] {
				best = class
			}
		}
		if best == int(e.Images.Labels[i]) {
			right++
		}
	}
	if want := float64(right) / 20; r.Metrics.Accuracy != want {
		t.Errorf("accuracy %v, want %v, that of every tenth test image", r.Metrics.Accuracy, want)
	}
}

// A results.csv that no training of epochs has written is refused unread: its rows would
// take many times its size of memory.
func TestHugeResultsAreRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ResultsFile)
	if err := os.WriteFile(path, []byte("epoch\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100<<20); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	if _, err := ReadEpochs(dir); !errors.Is(err, limitedfile.ErrRefused) {
		t.Errorf("error %v", err)
	}
}

// A run that ended before its first checkpoint starts again from the weights that it began
// with, and from no others.
func TestResumeFromInitialWeights(t *testing.T) {
	r, n, data := onTiny(t)
	r.Epochs = 1
	dirs := folders(t, 3)
	for i, dir := range dirs[:2] {
		r.Seed = uint64(i)
		if _, err := Train(t.Context(), r, n, data, openBackend(t), Options{Dir: dir, NoPictures: true}); err != nil {
			t.Fatal(err)
		}
	}
	weights := filepath.Join(dirs[0], BestWeights)
	options := Options{Dir: dirs[2], NoPictures: true, InitFrom: weights}
	if _, err := Train(t.Context(), r, n, data, openBackend(t), options); err != nil {
		t.Fatal(err)
	}
	whole := readFile(t, dirs[2], LastWeights)
	ended := func() {
		for _, name := range []string{checkpointDir, MetricsFile, ResultsFile} {
			if err := os.RemoveAll(filepath.Join(dirs[2], name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended()
	options.Resume = true
	if _, err := Train(t.Context(), r, n, data, openBackend(t), options); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, dirs[2], LastWeights), whole) {
		t.Error("started again, it ends with other weights")
	}
	ended()
	if err := os.WriteFile(weights, readFile(t, dirs[1], BestWeights), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Train(t.Context(), r, n, data, openBackend(t), options); !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), "are others now than when the run began") {
		t.Errorf("from other weights: %v, want ErrBadCheckpoint", err)
	}
}
