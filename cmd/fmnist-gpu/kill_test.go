//go:build unix

package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

var kills = flag.Int("kills", 0, "TestKills kills trainings on each backend N times, and ends as many in other ways; 0 skips it")

// ending is a way in which TestKills ends a program: signals, one after the other, or
// none, to close the reader of its output.
type ending struct {
	name    string
	signals []syscall.Signal
}

var (
	killing = ending{"SIGKILL", []syscall.Signal{syscall.SIGKILL}}
	gentler = []ending{
		{"SIGINT", []syscall.Signal{syscall.SIGINT}},
		{"SIGINT twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}},
		{"SIGTERM", []syscall.Signal{syscall.SIGTERM}},
		{"SIGTERM twice", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}},
		{"SIGHUP", []syscall.Signal{syscall.SIGHUP}},
		{"closed output", nil},
	}
)

// However often, whenever and however a training, replicas, an experiment or a search are killed
// or interrupted, what goes on ends with the files of what was never disturbed, and no
// others; and no file is ever unreadable.
func TestKills(t *testing.T) {
	if *kills == 0 {
		t.Skip("skipped: make torture runs it")
	}
	isolateCache(t)
	letters := t.TempDir()
	if testing.Short() {
		writeLetters(t, letters, 1560, 260)
	} else {
		writeLetters(t, letters, 6000, 520)
	}
	for backend, on := range map[string]struct {
		device []string
		first  int // victim: even a few kills are of all victims, on one backend or the other
	}{
		"cpu":    {[]string{"--cpu", "--set=batch-size=1", "--set=epochs=6"}, 0},
		"vulkan": {[]string{"--device=" + cmp.Or(os.Getenv("FMNIST_DEVICE"), "0"), "--set=batch-size=4", "--set=epochs=3"}, 2},
	} {
		t.Run(backend, func(t *testing.T) {
			if _, stderr, code := run(t, "train", "--dry-run", "--model", "logistic", "--dataset", letters, on.device[0]); code == exitNoDevice && os.Getenv("FMNIST_REQUIRE_VULKAN") != "1" {
				t.Skip(stderr)
			}
			if backend == "vulkan" {
				collectAlways(t)
			}
			s := sweep{count: map[string]int{}, exits: map[int]int{}}
			var victims [4]*victim
			for i := on.first; s.count[killing.name] < *kills || i < on.first+2; i++ {
				v := &victims[i%len(victims)]
				if *v == nil {
					*v = newKind(t, i%len(victims), letters, on.device)
				}
				s.torture(t, *v)
				t.Logf("%d trainings; endings %v; exit codes %v; at most %.2f s between the last checkpoint and a kill", s.trainings, s.count, s.exits, s.lost.Seconds())
			}
		})
	}
}

// newKind returns one of the four kinds of victims.
func newKind(t *testing.T, kind int, letters string, device []string) *victim {
	switch kind {
	case 0:
		return newVictim(t, letters, device, 1)
	case 1:
		return newVictim(t, letters, device, 2)
	case 2:
		return newListVictim(t, "experiment", "grid: {lr: [0.001, 0.01]}", letters, device)
	}
	return newListVictim(t, "search", "ranges: {lr: [1e-4, 0.001, 0.01]}\ntrials: 3\nmax-epochs: 3", letters, device)
}

// victim is what TestKills trains: one training, replicas, an experiment or a search.
type victim struct {
	name     string
	runs     []string            // folders of what goes on with --resume; none if the same command line goes on
	begin    []string            // the command line
	restart  map[string][]string // for a run that was ended before its folder could be resumed
	want     map[string]string
	duration time.Duration
}

// newVictim returns n replicas, or a training if n is 1.
func newVictim(t *testing.T, letters string, device []string, n int) *victim {
	args := []string{"train", "--model", "logistic", "--dataset", letters, "--augment", "original", "--prune", ".1", "--checkpoint-every", ".2", "--out", "runs", device[0]}
	for _, set := range device[1:] {
		args = append(args, "--"+strings.TrimPrefix(set, "--set="))
	}
	v := &victim{name: "train", restart: map[string][]string{}}
	for i := range n {
		dir := fmt.Sprintf("runs/r-seed%d", 7+i)
		v.runs = append(v.runs, dir)
		v.restart[dir] = append(args[:len(args):len(args)], "--seed", fmt.Sprint(7+i), "--name", filepath.Base(dir))
	}
	v.begin = v.restart[v.runs[0]]
	if n > 1 {
		v.name, v.begin = "replicas", append(args[:len(args):len(args)], "--seed", "7", "--name", "r", "--replicas", fmt.Sprint(n))
	}
	v.measure(t)
	return v
}

// newListVictim returns an experiment or a search, whose command line goes on with it.
func newListVictim(t *testing.T, command, list, letters string, device []string) *victim {
	file := filepath.Join(t.TempDir(), "e.yaml")
	base := "checkpoint-every: 0.2"
	for _, set := range device[1:] {
		if key, value, _ := strings.Cut(strings.TrimPrefix(set, "--set="), "="); key != "epochs" || command == "experiment" {
			base += ", " + key + ": " + value
		}
	}
	writeFile(t, file, "base: {model: logistic, augment: original, prune: 0.1, dataset: "+letters+", "+base+"}\n"+list+"\n")
	v := &victim{name: command, begin: []string{command, file, "--out", "runs", device[0]}}
	v.measure(t)
	return v
}

// measure trains undisturbed, to know how long that takes and what comes of it.
func (v *victim) measure(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	c, began := program(t, v.begin...), time.Now()
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", v.begin, err, out)
	}
	v.duration, v.want = time.Since(began), v.files(t, dir)
}

// files are filesOf, without what depends on how a run came to its end.
func (v *victim) files(t *testing.T, dir string) map[string]string {
	list := filesOf(t, dir)
	if v.name != "train" {
		maps.DeleteFunc(list, func(path, _ string) bool { return filepath.Base(path) == trainer.ArgsFile }) // says how many trained together
	}
	return list
}

// next returns the command line that goes on with what is in a folder.
func (v *victim) next(dir string) []string {
	if len(v.runs) == 0 {
		return v.begin
	}
	var resume, missing []string
	for _, run := range v.runs {
		if _, err := study.ReadArgs(filepath.Join(dir, run)); err == nil {
			resume = append(resume, "--resume", run)
		} else {
			missing = append(missing, run)
		}
	}
	switch {
	case len(resume) == 0:
		return v.begin
	case len(missing) > 0:
		return v.restart[missing[0]]
	}
	return append([]string{"train"}, resume...)
}

// sweep counts what TestKills has done.
type sweep struct {
	trainings int
	count     map[string]int // by ending
	exits     map[int]int    // by exit code, of what was ended other than by SIGKILL
	lost      time.Duration
}

// torture disturbs a victim a few times, lets it finish and checks what came of it.
func (s *sweep) torture(t *testing.T, v *victim) {
	dir, told := t.TempDir(), ""
	for left := 1 + rand.IntN(5); left > 0; left-- {
		how := killing
		if rand.IntN(2) == 0 {
			how = gentler[rand.IntN(len(gentler))]
		}
		after := time.Duration(rand.Float64() * float64(v.duration))
		told += fmt.Sprintf("\n%v: %s after %v", v.next(dir), how.name, after)
		if !s.disturb(t, v, dir, how, after, told) {
			break
		}
		readable(t, dir, told)
	}
	s.trainings++
	for range max(1, len(v.runs)) { // of replicas that had not begun, one at a time, then all
		args := v.next(dir)
		c := program(t, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s\n%v: %v\n%s", told, args, err, out)
			return
		}
	}
	if got := v.files(t, dir); !maps.Equal(got, v.want) {
		t.Errorf("%s: %s%s", v.name, difference(got, v.want), told)
	}
}

// disturb begins or goes on with a victim, and ends it after a while. It reports whether
// it came to that.
func (s *sweep) disturb(t *testing.T, v *victim, dir string, how ending, after time.Duration, told string) bool {
	t.Helper()
	c := program(t, v.next(dir)...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = write
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go io.Copy(io.Discard, read)
	done := make(chan struct{})
	go func() { _ = c.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(after):
		if how.signals == nil {
			read.Close()
		}
		for _, signal := range how.signals {
			_ = c.Process.Signal(signal)
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
		s.count[how.name]++
		if how.name == killing.name && v.name == "train" {
			s.lost = max(s.lost, sinceCheckpoint(filepath.Join(dir, v.runs[0])))
		}
		<-done
	}
	read.Close()
	return s.ended(t, c, how, stderr.String(), told)
}

// ended checks the exit code of a program, and reports whether it was disturbed.
func (s *sweep) ended(t *testing.T, c *exec.Cmd, how ending, stderr, told string) bool {
	t.Helper()
	code := c.ProcessState.ExitCode() // -1 if a signal ended it
	if how.name != killing.name {
		s.exits[code]++
	}
	// The second signal ends the program at once, as does a first one that comes before
	// the program watches for it.
	early := c.ProcessState.UserTime()+c.ProcessState.SystemTime() < 300*time.Millisecond
	signalled := code == -1 && (how.name == killing.name || len(how.signals) > 1 || early)
	if code != 0 && code != exitInterrupted && !signalled || strings.Contains(stderr, "goroutine ") {
		t.Errorf("%v: %s%s", c.ProcessState, stderr, told)
	}
	return code != 0
}

// sinceCheckpoint returns how old the checkpoint of a run is that still trains.
func sinceCheckpoint(dir string) time.Duration {
	state, err := os.Stat(filepath.Join(dir, "checkpoint", "state.json"))
	_, drawn := os.Stat(filepath.Join(dir, trainer.PredictionsFile)) // training is over
	if err != nil || drawn == nil {
		return 0
	}
	return time.Since(state.ModTime())
}

// readable checks that all files can be read, but temporary ones.
func readable(t *testing.T, dir, told string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		switch filepath.Ext(path) {
		case ".json", ".csv":
			var text []byte
			if text, err = os.ReadFile(path); err == nil {
				untimed(t, path, text)
			}
		case ".safetensors":
			_, err = checkpoint.Load(path)
		case ".yaml":
			if e.Name() == trainer.ArgsFile {
				_, err = study.ReadArgs(filepath.Dir(path))
			}
		case ".png":
			var f *os.File
			if f, err = os.Open(path); err == nil {
				_, err = png.Decode(f)
				f.Close()
			}
		}
		if err != nil {
			t.Errorf("%s: %v%s", path, err, told)
		}
		return nil
	})
}
