//go:build linux

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

var (
	slurmFaults = flag.Int("slurm", 0, "TestSlurm lets each fault happen N times in an experiment on a Slurm that it starts; 0 skips it")
	slurmJobs   = flag.Int("slurm-jobs", 0, "TestSlurmCost trains N short runs on two nodes and on this machine; 0 skips it")
)

// slurmNodes are more than a small machine's cores, so that much happens at once.
const slurmNodes = 3

// fault is something that happens while an experiment runs on Slurm.
type fault struct {
	name     string
	limit    int      // minutes that a training may take at a time; 0 lets the program estimate
	settings []string // more of the experiment's command line
	strike   func(s *slurmScene)
}

var faults = []fault{
	{"none", 0, nil, func(*slurmScene) {}},
	{"node set down", 10, nil, func(s *slurmScene) {
		node := s.node()
		s.slurm("scontrol", "update", "nodename="+node, "state=down", "reason=test")
		time.Sleep(3 * time.Second)
		s.slurm("scontrol", "update", "nodename="+node, "state=resume")
	}},
	{"slurmd killed and restarted", 10, nil, func(s *slurmScene) { s.crash(s.node(), 2*time.Second) }},
	{"slurmd killed, node lost, its training alive", 10, nil, func(s *slurmScene) { s.lose("crash") }},
	{"node without power, back at once", 10, nil, func(s *slurmScene) {
		node := s.node()
		s.script("power-off", node)
		s.script("restart", node)
	}},
	{"node without power, lost", 10, nil, func(s *slurmScene) { s.lose("power-off") }},
	{"slurmctld killed and restarted", 10, nil, func(s *slurmScene) { s.crash("slurmctld", 2*time.Second) }},
	{"slurmctld killed, back after 15 s", 10, nil, func(s *slurmScene) { s.crash("slurmctld", 15*time.Second) }},
	{"scancel of a task", 10, nil, func(s *slurmScene) { s.slurm("scancel", s.task()) }},
	{"scancel of all", 10, nil, func(s *slurmScene) { s.slurm("scancel", "--me") }},
	{"scontrol requeue", 10, nil, func(s *slurmScene) { s.slurm("scontrol", "requeue", s.task()) }},
	{"time limit", 1, []string{"--set", "epochs=40", "--seeds", "0"}, func(*slurmScene) {}},
	{"time limit of trainings that hang", 1, nil, func(s *slurmScene) {
		for _, pid := range s.workers() {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	}},
	{"preempted", 10, nil, func(s *slurmScene) {
		s.slurm("sbatch", "--partition=urgent", fmt.Sprintf("--array=1-%d", slurmNodes), "--time=1", "--mem=10", "--output=/dev/null", "--wrap=sleep 2")
	}},
	{"worker killed with SIGKILL", 10, nil, func(s *slurmScene) {
		if workers := s.workers(); len(workers) > 0 {
			_ = syscall.Kill(workers[rand.IntN(len(workers))], syscall.SIGKILL)
		}
	}},
	{"all workers killed with SIGKILL", 10, nil, func(s *slurmScene) {
		for _, pid := range s.workers() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}},
	{"node that cannot start trainings", 10, nil, func(s *slurmScene) {
		s.prolog("exit 1")
		s.slurm("scontrol", "requeue", s.task())
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && s.slurm("sinfo", "--noheader", "--Node", "--states=drain") == ""; {
			time.Sleep(100 * time.Millisecond)
		}
		s.prolog("exit 0")
		s.slurm("scontrol", "update", "nodename=ALL", "state=resume")
	}},
	{"tracker killed with SIGKILL", 10, nil, func(s *slurmScene) { s.restart(syscall.SIGKILL, -1) }},
	{"tracker interrupted", 10, nil, func(s *slurmScene) { s.restart(syscall.SIGINT, exitInterrupted) }},
	{"experiment cancelled", 10, nil, func(s *slurmScene) {
		if out, err := program(s.t, "experiment", "cancel", s.dir).CombinedOutput(); err != nil {
			s.t.Errorf("cancel: %v: %s", err, out)
		}
		s.restart(0, exitFailed)
	}},
}

// Whatever happens to the trainings of an experiment on Slurm, and whenever it does, each
// ends with the files that it has on this machine, and is finished once.
func TestSlurm(t *testing.T) {
	if *slurmFaults == 0 {
		t.Skip("make slurm-check runs it")
	}
	isolateCache(t)
	cluster := startSlurm(t, slurmNodes)
	letters := t.TempDir()
	writeLetters(t, letters, 6000, 520)
	file := filepath.Join(t.TempDir(), "e.yaml")
	writeFile(t, file, "base: {model: logistic, augment: original, dataset: "+letters+", checkpoint-every: 0.2, batch-size: 1, epochs: 5}\ngrid: {lr: [0.001, 0.01], seed: 0-2}\n")
	want := map[string]map[string]string{} // by settings
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			local := strings.Join(f.settings, " ")
			if want[local] == nil {
				want[local] = trainHere(t, file, f.settings)
			}
			for range *slurmFaults {
				s := &slurmScene{t: t, cluster: cluster, fault: f, file: file, dir: filepath.Join(t.TempDir(), "e")}
				s.play(want[local])
			}
		})
	}
}

// trainHere runs the experiment on this machine and returns its runs' files.
func trainHere(t *testing.T, file string, settings []string) map[string]string {
	t.Helper()
	dir, began := filepath.Join(t.TempDir(), "local"), time.Now()
	args := append([]string{"experiment", file, "--cpu", "--parallel", "2", "--out", dir}, settings...)
	if out, err := program(t, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("on this machine: %.1f s", time.Since(began).Seconds())
	return runFiles(t, dir)
}

// What the user asks sbatch for takes the place of what this program asks for, since sbatch
// refuses both.
func TestSlurmOptions(t *testing.T) {
	for _, c := range []struct{ given, want []string }{
		{nil, []string{"--mem=2G", "--gres=gpu:1"}},
		{[]string{"mem-per-cpu=4G", "exclusive"}, []string{"--gres=gpu:1", "--mem-per-cpu=4G", "--exclusive"}},
		{[]string{"gpus-per-task=a100:1", "memory"}, []string{"--mem=2G", "--gpus-per-task=a100:1", "--memory"}},
	} {
		arrays, err := experimentFlags{slurm: slurmFlags{options: c.given}}.slurmArrays()
		if err != nil || !slices.Equal(arrays.Options, c.want) || !slices.Contains(arrays.Worker, "--gpu-only") {
			t.Errorf("%q: %+v (%v), want %q", c.given, arrays, err, c.want)
		}
	}
	wantFailure(t, []string{"experiment", "original", "--executor", "slurm", "--sbatch", "job-name=x"}, exitUsage, "--sbatch cannot set array or job-name")
}

// What short trainings cost on Slurm: on two nodes that share this machine, which trains
// two at a time alone, too.
func TestSlurmCost(t *testing.T) {
	if *slurmJobs == 0 {
		t.Skip("make slurm-check SLURM='-slurm-jobs 100' runs it")
	}
	startSlurm(t, 2)
	isolateCache(t)
	dir, letters := t.TempDir(), t.TempDir()
	writeLetters(t, letters, 6000, 520)
	writeFile(t, filepath.Join(dir, "e.yaml"), fmt.Sprintf("base: {model: logistic, dataset: "+letters+", epochs: 1}\ngrid: {seed: 1-%d}\n", *slurmJobs))
	timed := func(args ...string) time.Duration {
		c, began := program(t, args...), time.Now()
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out[max(0, len(out)-1000):])
		}
		return time.Since(began)
	}
	local := timed("experiment", "e.yaml", "--cpu", "--parallel", "2", "--out", "local")
	began := time.Now()
	slurm := timed("experiment", "e.yaml", "--cpu", "--executor", "slurm", "--out", "slurm", "--sbatch", "time=10", "--sbatch", "mem=300")
	collect := timed("experiment", "collect", "slurm")
	if got, want := runFiles(t, filepath.Join(dir, "slurm")), runFiles(t, filepath.Join(dir, "local")); !maps.Equal(got, want) {
		t.Error(difference(got, want))
	}
	out, err := exec.Command("squeue", "--noheader", "--array", "--states=all", "--Format=SubmitTime,StartTime,EndTime").Output()
	if err != nil {
		t.Fatal(err)
	}
	var submitted, tasks time.Duration
	n := 0
	for line := range strings.Lines(string(out)) {
		var times [3]time.Time
		for i, text := range strings.Fields(line) {
			if times[i], err = time.ParseInLocation("2006-01-02T15:04:05", text, time.Local); err != nil {
				t.Fatal(err)
			}
		}
		submitted = max(submitted, times[0].Sub(began))
		tasks += times[2].Sub(times[1])
		n++
	}
	per := func(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()/float64(n)) }
	t.Logf("%d trainings: here %.1f s, on Slurm %.1f s (submitted after %.1f s, collected in %.1f s); per training: here %s, on Slurm %s, its task %s; ratio %.2f",
		n, local.Seconds(), slurm.Seconds(), submitted.Seconds(), collect.Seconds(), per(local), per(slurm), per(tasks), slurm.Seconds()/local.Seconds())
}

// runFiles returns the files of an experiment's runs, without what depends on time and
// on where they were trained.
func runFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	jobs, err := study.ReadJobs(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range jobs.Names {
		for path, content := range filesOf(t, filepath.Join(dir, name)) {
			if path != trainer.ArgsFile {
				files[filepath.Join(name, path)] = content
			}
		}
	}
	return files
}

// slurmCluster is a Slurm of the test's own.
type slurmCluster struct{ dir string }

const slurmScript = "../../trainer/study/slurm/cluster"

func startSlurm(t *testing.T, nodes int) slurmCluster {
	t.Helper()
	for _, name := range []string{"/usr/sbin/slurmctld", "/usr/sbin/munged"} {
		if _, err := os.Stat(name); err != nil {
			t.Fatalf("there is no Slurm: apt-get install slurm-wlm munge (%v)", err)
		}
	}
	c := slurmCluster{filepath.Join(t.TempDir(), "slurm")}
	t.Setenv("SLURM_CONF", filepath.Join(c.dir, "slurm.conf"))
	t.Setenv("NODES", strconv.Itoa(nodes))
	t.Setenv(asProgram, "1") // the jobs' environment
	stop := sync.OnceFunc(func() {
		if out, err := exec.Command(slurmScript, "stop", c.dir).CombinedOutput(); err != nil {
			t.Errorf("stop: %v: %s", err, out)
		}
	})
	t.Cleanup(stop)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		stop()
		os.Exit(1)
	}()
	if out, err := exec.Command(slurmScript, "start", c.dir).CombinedOutput(); err != nil {
		t.Fatalf("start: %v: %s", err, out)
	}
	return c
}

// slurmScene is an experiment on Slurm to which something happens.
type slurmScene struct {
	t       *testing.T
	cluster slurmCluster
	fault   fault
	file    string // of the experiment
	dir     string // its folder
	tracker *exec.Cmd
	ended   chan error
	output  bytes.Buffer
}

// play runs the experiment, lets the fault happen at a random moment, and checks what
// came of it.
func (s *slurmScene) play(want map[string]string) {
	began := time.Now()
	s.start()
	s.waitFor(30*time.Second, "a training that runs", func() bool { return len(s.workers()) > 0 })
	moment := time.Duration(rand.Float64() * float64(5*time.Second))
	time.Sleep(moment)
	s.fault.strike(s)
	select {
	case err := <-s.ended:
		if err != nil {
			s.fail("%v", err)
		}
	case <-time.After(4 * time.Minute):
		_ = s.tracker.Process.Kill()
		<-s.ended
		s.fail("it did not end")
	}
	submitted := s.check(want)
	s.t.Logf("after %.1f s: %.1f s, %d tasks submitted; %s", moment.Seconds(), time.Since(began).Seconds(), submitted, s.notes())
	s.slurm("scancel", "--me")
	s.waitFor(30*time.Second, "an empty queue", func() bool { return s.slurm("squeue", "--noheader") == "" })
}

func (s *slurmScene) start() {
	args := []string{"experiment", s.file, "--executor", "slurm", "--cpu", "--out", s.dir, "--sbatch", "mem=300"}
	if s.fault.limit > 0 {
		args = append(args, "--sbatch", fmt.Sprintf("time=%d", s.fault.limit))
	}
	s.tracker = program(s.t, append(args, s.fault.settings...)...)
	s.tracker.Stdout, s.tracker.Stderr = &s.output, &s.output
	if err := s.tracker.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.tracker.Wait() }()
}

// restart ends the tracker with a signal (0 for none, if it ends by itself), and starts
// it again.
func (s *slurmScene) restart(signal syscall.Signal, code int) {
	if signal != 0 {
		_ = s.tracker.Process.Signal(signal)
	}
	<-s.ended
	if got := s.tracker.ProcessState.ExitCode(); got != code {
		s.fail("the tracker ended with exit code %d, want %d", got, code)
	}
	s.start()
}

// check compares the results with those of this machine, and returns how many tasks were
// submitted.
func (s *slurmScene) check(want map[string]string) (submitted int) {
	if got := runFiles(s.t, s.dir); s.tracker.ProcessState.Success() && !maps.Equal(got, want) {
		s.fail("%s", difference(got, want))
	}
	logs, _ := filepath.Glob(filepath.Join(s.dir, "slurm", "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		if n := strings.Count(string(text), "\ntest accuracy "); n > 1 {
			s.fail("%s finished %d times", path, n)
		}
	}
	name, _ := os.ReadFile(filepath.Join(s.dir, "slurm", "name"))
	for line := range strings.Lines(s.slurm("squeue", "--noheader", "--array", "--states=all", "--Format=Name:200")) {
		if strings.HasPrefix(line, strings.TrimSpace(string(name))) {
			submitted++
		}
	}
	return submitted
}

func (s *slurmScene) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf(format+"\n%s", append(args, s.output.String())...)
}

// notes returns what the tracker said, without the counts and the comparison.
func (s *slurmScene) notes() string {
	var notes []string
	for line := range strings.Lines(s.output.String()) {
		if strings.HasPrefix(line, "job ") || strings.Contains(line, "trying again") {
			notes = append(notes, strings.TrimSpace(line))
		}
	}
	return strings.Join(notes, "; ")
}

func (s *slurmScene) waitFor(limit time.Duration, what string, reached func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !reached(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			s.fail("waited %v for %s", limit, what)
			s.t.FailNow()
		}
	}
}

// slurm runs one of Slurm's commands.
func (s *slurmScene) slurm(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		s.t.Logf("%s %v: %s", name, args, failed.Stderr) // what it is about may be over
	}
	return string(out)
}

// script runs the script of the cluster.
func (s *slurmScene) script(command, name string) {
	if out, err := exec.Command(slurmScript, command, s.cluster.dir, name).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %s: %v: %s", command, name, err, out)
	}
}

// crash kills a daemon and restarts it.
func (s *slurmScene) crash(name string, after time.Duration) {
	s.script("crash", name)
	time.Sleep(after)
	s.script("restart", name)
}

// lose disturbs a node and restarts it when Slurm has given it up. Its training, if it
// still lives, is slow enough to meet the next attempt.
func (s *slurmScene) lose(how string) {
	node := s.node()
	alive := s.workers("SLURMD_NODENAME=" + node)
	for _, pid := range alive {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	s.script(how, node)
	s.waitFor(time.Minute, "a node that is down", func() bool {
		return strings.HasPrefix(s.slurm("sinfo", "--noheader", "--nodes="+node, "--format=%T"), "down")
	})
	time.Sleep(time.Duration(rand.Float64() * float64(12*time.Second)))
	for _, pid := range alive {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	if rand.IntN(2) == 0 {
		time.Sleep(3 * time.Second)
	}
	s.script("restart", node)
}

// prolog replaces the script that the nodes run before each training.
func (s *slurmScene) prolog(command string) {
	writeFile(s.t, filepath.Join(s.cluster.dir, "prolog"), "#!/bin/sh\n"+command+"\n")
}

// pick returns a random line of a command's output; that of a running task, if there is one.
func (s *slurmScene) pick(format string) string {
	lines := strings.Fields(s.slurm("squeue", "--noheader", "--array", "--states=RUNNING", "--format="+format))
	if len(lines) == 0 {
		lines = []string{"n1"}
	}
	return lines[rand.IntN(len(lines))]
}

func (s *slurmScene) node() string { return s.pick("%N") }
func (s *slurmScene) task() string { return s.pick("%i") }

// workers returns the processes that train and have all of these variables.
func (s *slurmScene) workers(variables ...string) []int {
	var pids []int
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		words := zeroSeparated(path)
		if !slices.Contains(words, "run-job") || !slices.Contains(words, s.dir) {
			continue
		}
		environment := zeroSeparated(filepath.Join(filepath.Dir(path), "environ"))
		if !slices.ContainsFunc(variables, func(v string) bool { return !slices.Contains(environment, v) }) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// zeroSeparated reads a list from a file of a process, nothing if the process has ended.
func zeroSeparated(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Split(string(text), "\x00")
}
