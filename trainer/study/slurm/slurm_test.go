package slurm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// squeueLine pads fields as squeue does.
func squeueLine(fields ...string) string {
	line := ""
	for i, c := range columns {
		line += fmt.Sprintf("%-*s", c.width, fields[i])
	}
	return line + "\n"
}

// What squeue 22.05 printed on a real cluster, but for BOOT_FAIL and what follows, which
// have not happened there.
func TestParseQueue(t *testing.T) {
	const name = "rates-ab12"
	for _, c := range []struct {
		fields []string
		want   task
		live   bool
		end    string
	}{
		{[]string{"2", "8", "PENDING", "0", "", "JobArrayTaskLimit", name + "+0"}, task{array: 2, number: 8, state: "PENDING", reason: "JobArrayTaskLimit", name: name + "+0"}, true, ""},
		{[]string{"2", "1", "PENDING", "0", "", "BeginTime", name + "+0"}, task{array: 2, number: 1, state: "PENDING", reason: "BeginTime", name: name + "+0"}, true, ""},
		{[]string{"2", "1", "RUNNING", "0", "n2", "None", name + "+1000"}, task{array: 2, number: 1, state: "RUNNING", node: "n2", reason: "None", name: name + "+1000"}, true, ""},
		{[]string{"2", "1", "COMPLETING", "0", "n2", "None", name + "+0"}, task{array: 2, number: 1, state: "COMPLETING", node: "n2", reason: "None", name: name + "+0"}, true, ""},
		{[]string{"2", "1", "COMPLETED", "0", "n2", "None", name + "+0"}, task{array: 2, number: 1, state: "COMPLETED", node: "n2", reason: "None", name: name + "+0"}, false, "COMPLETED on n2"},
		{[]string{"2", "0", "CANCELLED", "15", "n1", "None", name + "+0"}, task{array: 2, state: "CANCELLED", signal: 15, node: "n1", reason: "None", name: name + "+0"}, false, "CANCELLED, signal 15 on n1"},
		{[]string{"2", "3", "FAILED", "512", "n1", "NonZeroExitCode", name + "+0"}, task{array: 2, number: 3, state: "FAILED", code: 2, node: "n1", reason: "NonZeroExitCode", name: name + "+0"}, false, "FAILED, exit code 2 on n1"},
		{[]string{"2", "4", "FAILED", "9", "n1", "JobLaunchFailure", name + "+0"}, task{array: 2, number: 4, state: "FAILED", signal: 9, node: "n1", reason: "JobLaunchFailure", name: name + "+0"}, false, "FAILED, signal 9, JobLaunchFailure on n1"},
		{[]string{"2", "2", "NODE_FAIL", "0", "n1", "NodeDown", name + "+0"}, task{array: 2, number: 2, state: "NODE_FAIL", node: "n1", reason: "NodeDown", name: name + "+0"}, false, "NODE_FAIL, NodeDown on n1"},
		{[]string{"2", "0", "PREEMPTED", "15", "n2", "None", name + "+0"}, task{array: 2, state: "PREEMPTED", signal: 15, node: "n2", reason: "None", name: name + "+0"}, false, "PREEMPTED, signal 15 on n2"},
		{[]string{"1", "0", "TIMEOUT", "9", "n1", "TimeLimit", name + "+0"}, task{array: 1, state: "TIMEOUT", signal: 9, node: "n1", reason: "TimeLimit", name: name + "+0"}, false, "TIMEOUT, signal 9, TimeLimit on n1"},
		{[]string{"4", "0", "PENDING", "0", "", "launch failed requeued held", name + "+0"}, task{array: 4, state: "PENDING", reason: "launch failed requeued held", name: name + "+0"}, true, "held"},
		{[]string{"2", "2", "BOOT_FAIL", "0:0", "n1", "None", name + "+0"}, task{array: 2, number: 2, state: "BOOT_FAIL", node: "n1", reason: "None", name: name + "+0"}, false, "BOOT_FAIL on n1"},
		{[]string{"2", "2", "OUT_OF_MEMORY", "0:125", "n1", "OutOfMemory", name + "+0"}, task{array: 2, number: 2, state: "OUT_OF_MEMORY", signal: 125, node: "n1", reason: "OutOfMemory", name: name + "+0"}, false, "OUT_OF_MEMORY, signal 125, OutOfMemory on n1"},
		{[]string{"2", "2", "SOME_NEW_STATE", "0", "n1", "None", name + "+0"}, task{array: 2, number: 2, state: "SOME_NEW_STATE", node: "n1", reason: "None", name: name + "+0"}, true, ""},
	} {
		text := squeueLine("1", "N/A", "COMPLETED", "0", "n1", "None", "wrap") + squeueLine(c.fields...)
		got, err := parseQueue(text, name)
		if err != nil || len(got) != 1 || got[0] != c.want || got[0].live() != c.live || !c.live && got[0].end() != c.end || got[0].stuck() != (c.end == "held") {
			t.Errorf("%v: %+v, live %t, %q (%v)", c.fields, got, got[0].live(), got[0].end(), err)
		}
	}
	if got, err := parseQueue(squeueLine("26", "N/A", "CANCELLED", "0", "", "Resources", name+"+0"), name); len(got) != 0 || err != nil {
		t.Errorf("the rest of a cancelled array: %+v (%v)", got, err)
	}
	if _, err := parseQueue(squeueLine("2", "3-6%2", "PENDING", "0", "", "None", name+"+0"), name); err == nil {
		t.Error("tasks that are not listed one by one were accepted")
	}
}

func TestParseAccount(t *testing.T) {
	const text = "2_0|CANCELLED by 0|0:0|n1\n2_1|RUNNING|0:0|n2\n2_10|COMPLETED|0:0|n2\n2_3|FAILED|2:0|n1\n2_4|FAILED|0:9|n1\n2_5|TIMEOUT|0:0|n1\n2_[6-8%2]|PENDING|0:0|None assigned\n"
	for number, want := range map[int]string{0: "CANCELLED on n1", 3: "FAILED, exit code 2 on n1", 4: "FAILED, signal 9 on n1", 5: "TIMEOUT on n1",
		1: task{}.end(), 6: task{}.end(), 9: task{}.end()} {
		if got := parseAccount(text, task{array: 2, number: number, state: "RUNNING"}).end(); got != want {
			t.Errorf("task %d: %q, want %q", number, got, want)
		}
	}
}

func TestTaskList(t *testing.T) {
	var got []string
	for _, block := range blocks([]int{0, 1, 2, 5, 998, 999, 1000, 1002, 1003, 5007}, 1000) {
		got = append(got, taskList(block, block[0]/1000*1000))
	}
	if want := []string{"0-2,5,998-999", "0,2-3", "7"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// fakeSlurm is a Slurm without nodes: a test decides what becomes of its tasks.
type fakeSlurm struct {
	t        *testing.T
	tasks    []task
	refused  string // what sbatch answers; "" if it submits
	most     int    // tasks of a job array, at most
	down     bool
	commands []string // but squeue
	throttle map[int]int
}

func (f *fakeSlurm) run(_ context.Context, name string, args ...string) (string, error) {
	if f.down {
		return "", &CommandError{name, "Unable to contact slurm controller (connect failure)"}
	}
	if name != "squeue" {
		f.commands = append(f.commands, name+" "+strings.Join(args, " "))
	}
	switch name {
	case "squeue":
		text := ""
		for _, x := range f.tasks {
			text += squeueLine(strconv.Itoa(x.array), strconv.Itoa(x.number), x.state, fmt.Sprintf("%d:%d", x.code, x.signal), x.node, x.reason, x.name)
		}
		return text, nil
	case "sbatch":
		return "", f.submit(args)
	case "scontrol":
		var array, n int
		if _, err := fmt.Sscanf(strings.Join(args, " "), "update JobId=%d ArrayTaskThrottle=%d", &array, &n); err != nil {
			f.t.Error(args, err)
		}
		f.throttle[array] = n
		return "", nil
	case "scancel":
		for i, x := range f.tasks {
			if args[0] == fmt.Sprintf("%d_%d", x.array, x.number) {
				f.tasks[i].state, f.tasks[i].signal = "CANCELLED", 15
			}
		}
		return "", nil
	}
	return "", &CommandError{name, "Slurm accounting storage is disabled"}
}

// submit adds the tasks of a job array.
func (f *fakeSlurm) submit(args []string) error {
	array, name := "", ""
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, "--array="); ok {
			array = value
		}
		if value, ok := strings.CutPrefix(a, "--job-name="); ok {
			name = value
		}
	}
	list, limit, _ := strings.Cut(array, "%")
	var numbers []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err1 := strconv.Atoi(first)
		b, err2 := a, error(nil)
		if isRange {
			b, err2 = strconv.Atoi(last)
		}
		if err1 != nil || err2 != nil {
			f.t.Fatalf("--array=%s", array)
		}
		for n := a; n <= b; n++ {
			numbers = append(numbers, n)
		}
	}
	if f.refused != "" && len(numbers) > f.most {
		return &CommandError{"sbatch", f.refused}
	}
	id := 1
	for _, x := range f.tasks {
		id = max(id, x.array+1)
	}
	f.throttle[id], _ = strconv.Atoi(limit)
	for _, n := range numbers {
		f.tasks = append(f.tasks, task{array: id, number: n, state: "PENDING", reason: "None", name: name})
	}
	return nil
}

// end ends the first live task of a job.
func (f *fakeSlurm) end(index int, state string, code int) {
	f.t.Helper()
	for i, x := range f.tasks {
		if x.live() && x.index() == index {
			f.tasks[i].state, f.tasks[i].code = state, code
			return
		}
	}
	f.t.Errorf("job %d is not in the queue", index)
}

// set sets the state of all live tasks of a job.
func (f *fakeSlurm) set(index int, state, reason string) {
	for i, x := range f.tasks {
		if x.live() && x.index() == index {
			f.tasks[i].state, f.tasks[i].reason = state, reason
		}
	}
}

// live counts the live tasks of each job.
func (f *fakeSlurm) live() map[int]int {
	n := map[int]int{}
	for _, x := range f.tasks {
		if x.live() {
			n[x.index()]++
		}
	}
	return n
}

// fakeJobs are jobs of a folder.
type fakeJobs map[int]*study.JobStatus

func (j fakeJobs) State(i int) (study.JobStatus, error) {
	if j[i] == nil {
		return study.JobStatus{Index: i, State: study.JobWaiting}, nil
	}
	return *j[i], nil
}

func (j fakeJobs) RecordFailure(i int, f *study.JobFailure) error {
	switch {
	case j[i] != nil:
		j[i].Failure = f
	case f != nil:
		j[i] = &study.JobStatus{Index: i, State: study.JobFailed, Failure: f}
	}
	return nil
}

func (j fakeJobs) done(indices ...int) {
	for _, i := range indices {
		j[i] = &study.JobStatus{Index: i, State: study.JobDone}
	}
}

// scene is a tracker between whose looks at the queue a test acts.
type scene struct {
	slurm *fakeSlurm
	jobs  fakeJobs
	notes []string
}

// follow tracks n jobs. It calls step before the tracker's second look at the queue, its
// third, and so on.
func follow(t *testing.T, n int, arrays Arrays, step func(s *scene, round int)) (*Outcome, *scene, error) {
	return followLimited(t, n, arrays, nil, step)
}

// followLimited is follow with jobs whose time limit the first of them tell.
func followLimited(t *testing.T, n int, arrays Arrays, limit func(fakeJobs) (time.Duration, []int), step func(s *scene, round int)) (*Outcome, *scene, error) {
	t.Helper()
	s := &scene{&fakeSlurm{t: t, throttle: map[int]int{}}, fakeJobs{}, nil}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	round := 0
	arrays.Dir, arrays.name, arrays.run = t.TempDir(), "rates-ab12", s.slurm.run
	if arrays.size == 0 {
		arrays.size = 1000
	}
	arrays.pause = func(context.Context, time.Duration) {
		round++
		for i, tasks := range s.slurm.live() {
			if tasks > 1 {
				t.Errorf("round %d: job %d is in the queue %d times", round, i, tasks)
			}
		}
		if round > 100 {
			t.Error("it goes on and on")
			cancel()
			return
		}
		step(s, round)
	}
	var indices []int
	for i := range n {
		indices = append(indices, i)
	}
	step(s, 0)
	tracking := Tracking{Attempts: 3, Counted: func(Counts) {}, Note: func(text string) { s.notes = append(s.notes, text) }}
	if limit != nil {
		tracking.Limit = func() (time.Duration, []int) { return limit(s.jobs) }
	}
	outcome, err := arrays.Track(ctx, s.jobs, indices, tracking)
	return outcome, s, err
}

// A job that Slurm ends is submitted again, as often as it saves checkpoints in between,
// and three times if it saves none.
func TestSubmitAgain(t *testing.T) {
	began := time.Now()
	outcome, s, err := follow(t, 3, Arrays{}, func(s *scene, round int) {
		if round == 0 {
			return
		}
		if round <= 10 {
			s.slurm.end(0, "PREEMPTED", 0)
			saved := began.Add(time.Duration(round) * time.Second)
			s.jobs[0] = &study.JobStatus{State: study.JobInterrupted, Saved: &saved}
		} else {
			s.slurm.end(0, "COMPLETED", 0)
			s.jobs.done(0)
		}
		if round <= 3 {
			s.slurm.end(1, "TIMEOUT", 0)
		}
		if round == 1 {
			s.slurm.end(2, "FAILED", 1)
			s.jobs[2] = &study.JobStatus{State: study.JobFailed, Failure: &study.JobFailure{Error: "the training diverged"}}
		}
	})
	if err != nil || len(outcome.Failed) != 2 || outcome.Failed[2] != "the training diverged" || outcome.Failed[1] != "TIMEOUT; gave up after 3 attempts that saved no checkpoint" {
		t.Errorf("%+v (%v)", outcome, err)
	}
	if want := 11 + 3 + 1; outcome.Submitted != want {
		t.Errorf("%d tasks submitted, want %d:\n%s", outcome.Submitted, want, strings.Join(s.slurm.commands, "\n"))
	}
}

// Jobs that wait or run, whoever submitted them, are not submitted; nor is one that runs
// on a node that Slurm has lost.
func TestNeverTwice(t *testing.T) {
	outcome, s, err := follow(t, 4, Arrays{}, func(s *scene, round int) {
		switch round {
		case 0:
			for i, state := range []string{"PENDING", "RUNNING", "COMPLETING"} {
				s.slurm.tasks = append(s.slurm.tasks, task{array: 7, number: i, state: state, name: "rates-ab12+0"})
			}
			s.jobs[3] = &study.JobStatus{State: study.JobRunning}
		case 3:
			s.slurm.down = true // nothing follows from that
		case 6:
			s.slurm.down = false
			for i := range 3 {
				s.slurm.end(i, "COMPLETED", 0)
			}
			s.jobs.done(0, 1, 2, 3)
		}
	})
	if err != nil || outcome.Submitted != 0 || len(outcome.Failed) != 0 {
		t.Errorf("%+v (%v): %q", outcome, err, s.notes)
	}
}

// A job fails at once if it cannot succeed, but a node without a device is no reason.
func TestHopeless(t *testing.T) {
	outcome, _, err := follow(t, 3, Arrays{}, func(s *scene, round int) {
		if round == 1 {
			s.slurm.end(0, "FAILED", 2)
			s.slurm.end(1, "FAILED", 3)
			s.jobs[1] = &study.JobStatus{State: study.JobFailed, Failure: &study.JobFailure{Error: "no device"}}
			s.slurm.set(2, "PENDING", "launch failed requeued held")
		}
		if round == 3 {
			s.slurm.end(1, "COMPLETED", 0)
			s.slurm.end(2, "COMPLETED", 0)
			s.jobs.done(1, 2)
		}
	})
	if err != nil || len(outcome.Failed) != 1 || outcome.Failed[0] != "FAILED, exit code 2" || outcome.Submitted != 5 {
		t.Errorf("%+v (%v)", outcome, err)
	}
}

// If Slurm ends the job that would tell the time limit before its worker records anything,
// that is recorded, and another job tells the limit.
func TestPilotFails(t *testing.T) {
	for what, end := range map[string]func(*fakeSlurm){
		"OUT_OF_MEMORY; gave up after 3 attempts that saved no checkpoint": func(f *fakeSlurm) { f.end(0, "OUT_OF_MEMORY", 0) },
		"FAILED, exit code 2": func(f *fakeSlurm) { f.end(0, "FAILED", 2) },
	} {
		pilot := func(jobs fakeJobs) (time.Duration, []int) {
			for i := range 3 {
				if jobs[i] == nil {
					return 0, []int{i}
				}
				if jobs[i].State == study.JobDone {
					return time.Hour, nil
				}
			}
			return 0, nil
		}
		outcome, s, err := followLimited(t, 3, Arrays{}, pilot, func(s *scene, round int) {
			for i := range s.slurm.live() {
				if i == 0 {
					end(s.slurm)
				} else {
					s.slurm.end(i, "COMPLETED", 0)
					s.jobs.done(i)
				}
			}
		})
		if err != nil || len(outcome.Failed) != 1 || outcome.Failed[0] != what || s.jobs[1] == nil || s.jobs[2] == nil {
			t.Errorf("%+v (%v), want only %q", outcome, err, what)
		}
		if f := s.jobs[0]; f == nil || f.Failure == nil || f.Failure.Error != what {
			t.Errorf("the folder says %+v of the first job, want %q", f, what)
		}
	}
}

// Where no node has a device, that is why the job failed.
func TestNoDevice(t *testing.T) {
	outcome, _, err := follow(t, 1, Arrays{}, func(s *scene, round int) {
		if round > 0 {
			s.slurm.end(0, "FAILED", 3)
			s.jobs[0] = &study.JobStatus{State: study.JobFailed, Failure: &study.JobFailure{Error: "no device"}}
		}
	})
	if want := "no device; gave up after 3 attempts that saved no checkpoint"; err != nil || outcome.Failed[0] != want || outcome.Submitted != 3 {
		t.Errorf("%+v (%v), want %q", outcome, err, want)
	}
}

// With a limit on those that run at a time, only one job array has tasks that wait, and
// it gets the places that are free.
func TestAtOnce(t *testing.T) {
	outcome, s, err := follow(t, 13, Arrays{AtOnce: 2, size: 10}, func(s *scene, _ int) {
		running, started := map[int]int{}, 0
		for i, x := range s.slurm.tasks { // one ends per round, and others start
			if x.state == "RUNNING" {
				if started++; started == 1 {
					s.slurm.tasks[i].state = "COMPLETED"
					s.jobs.done(x.index())
					continue
				}
				running[x.array]++
			}
		}
		waiting := map[int]bool{}
		for i, x := range s.slurm.tasks {
			if x.state == "PENDING" && running[x.array] < s.slurm.throttle[x.array] {
				s.slurm.tasks[i].state = "RUNNING"
				running[x.array]++
			} else if x.state == "PENDING" {
				waiting[x.array] = true
			}
		}
		total := 0
		for _, n := range running {
			total += n
		}
		if total > 2 || len(waiting) > 1 {
			t.Errorf("%d run, %d arrays wait", total, len(waiting))
		}
	})
	if err != nil || outcome.Submitted != 13 || len(s.jobs) != 13 {
		t.Errorf("%+v, %d jobs done (%v)", outcome, len(s.jobs), err)
	}
}

// Where a user may have few jobs in the queue, they are submitted little by little.
func TestSubmitLimit(t *testing.T) {
	const refused = "error: QOSMaxSubmitJobPerUserLimit; error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
	finish := func(s *scene, round int) {
		s.slurm.refused, s.slurm.most = refused, max(0, 4-len(s.slurm.live()))
		for i := range s.slurm.live() {
			s.slurm.end(i, "COMPLETED", 0)
			s.jobs.done(i)
			s.slurm.most++
			break
		}
	}
	if outcome, _, err := follow(t, 20, Arrays{}, finish); err != nil || outcome.Submitted != 20 {
		t.Errorf("%+v (%v)", outcome, err)
	}
	_, _, err := follow(t, 20, Arrays{}, func(s *scene, _ int) { s.slurm.refused = refused })
	if err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("no job may be submitted: %v", err)
	}
	_, _, err = follow(t, 20, Arrays{}, func(s *scene, _ int) { s.slurm.refused = "Invalid partition name specified" })
	if err == nil || !strings.Contains(err.Error(), "Invalid partition") {
		t.Errorf("no such partition: %v", err)
	}
}

// The folder of an experiment has one name for its job arrays, and a script that quotes
// what the shell would read otherwise.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "scontrol"), []byte("#!/bin/sh\necho 'MaxArraySize            = 1001'\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	a := &Arrays{Dir: dir, Worker: []string{"echo", "it's $HOME", "--index"}}
	if Submitted(dir) {
		t.Error("submitted before it was opened")
	}
	if err := a.Open(t.Context(), "my rates"); err != nil {
		t.Fatal(err)
	}
	b := &Arrays{Dir: dir, Worker: a.Worker}
	if err := b.Open(t.Context(), "my rates"); err != nil || a.name != b.name || !strings.HasPrefix(a.name, "my_rates-") || a.size != 1000 || !Submitted(dir) {
		t.Errorf("%q and %q, size %d (%v)", a.name, b.name, a.size, err)
	}
	t.Setenv("SLURM_ARRAY_TASK_ID", "7")
	out, err := run(t.Context(), "sh", filepath.Join(dir, scriptFile), "2000")
	if err != nil || out != "it's $HOME --index 2007\n" {
		t.Errorf("%q (%v)", out, err)
	}
}
