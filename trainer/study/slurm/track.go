package slurm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// Jobs are what an experiment's folder knows of its jobs; see [study.Jobs].
type Jobs interface {
	// State returns how far job i is.
	State(i int) (study.JobStatus, error)
	// RecordFailure says why job i has failed, for its status and for those who wait for what
	// it would tell; nil lets it be tried again.
	RecordFailure(i int, failure *study.JobFailure) error
}

// Tracking says how jobs are tracked.
type Tracking struct {
	// Attempts is how often a job is submitted that saves no checkpoint, before it counts
	// as failed.
	Attempts int
	// Limit returns a time limit once it is known. Until then, it returns the jobs to do
	// first, and no others are submitted. nil: [Arrays.TimeLimit] is known already.
	Limit func() (limit time.Duration, first []int)
	// Counted is called with the number of jobs in each state when it has changed.
	Counted func(Counts)
	// Note is called with what a person should know: jobs that are submitted again, Slurm
	// that does not answer.
	Note func(text string)
}

// Counts is how many jobs are in each state.
type Counts struct{ Done, Running, Waiting, Failed int }

// Outcome is what became of jobs.
type Outcome struct {
	Failed    map[int]string // why each that failed did
	Cancelled bool           // by [Cancel]
	Submitted int            // tasks
}

// Track submits the jobs that are neither done nor in Slurm's queue, and follows all of
// them until each is done or has failed. A job that Slurm has ended, for whatever reason,
// is submitted again; one that failed by itself is not. If ctx is cancelled, Track
// returns its error, and the jobs go on.
func (a *Arrays) Track(ctx context.Context, jobs Jobs, indices []int, o Tracking) (*Outcome, error) {
	t := &tracker{Tracking: o, arrays: a, jobs: jobs, left: map[int]*job{}, noted: map[string]bool{},
		outcome: Outcome{Failed: map[int]string{}}, batch: a.size, throttles: map[int]int{}}
	for _, i := range indices {
		t.left[i] = &job{}
	}
	return &t.outcome, t.track(ctx)
}

// tracker is the state of [Arrays.Track].
type tracker struct {
	Tracking
	arrays    *Arrays
	jobs      Jobs
	left      map[int]*job // the jobs that are neither done nor failed
	done      int
	outcome   Outcome
	counted   Counts
	noted     map[string]bool // what is told once
	batch     int             // the most tasks to submit at once
	throttles map[int]int     // of job arrays
}

// job is what a tracker remembers of a job that is not done.
type job struct {
	live     bool      // in Slurm's queue
	tracked  bool      // it was in the queue, or submitted, since tracking began
	wanted   bool      // it is to be submitted
	last     task      // its newest task
	attempts int       // since it last saved a checkpoint
	saved    time.Time // when it had last saved one, as its last attempt began
}

func (t *tracker) track(ctx context.Context) error {
	began, answered, silent := time.Now(), false, false
	for len(t.left) > 0 {
		if t.arrays.cancelled() {
			t.outcome.Cancelled = true
			return nil
		}
		err := t.round(ctx)
		var failed *CommandError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			answered, silent = true, false
		case errors.As(err, &failed) && answered: // such as a controller that is restarted
			if !silent {
				t.Note(err.Error() + "; trying again")
			}
			silent = true
		default:
			return err
		}
		t.count()
		if len(t.left) > 0 {
			t.arrays.pause(ctx, time.Since(began))
		}
	}
	return nil
}

// pause waits between two looks at the queue: the longer all this lasts, the longer, since
// every look costs the cluster's controller some time.
func pause(ctx context.Context, lasted time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(min(max(time.Second, lasted/100), 30*time.Second)):
	}
}

func (t *tracker) noteOnce(text string) {
	if !t.noted[text] {
		t.noted[text] = true
		t.Note(text)
	}
}

// count counts the jobs in each state, and tells if that has changed.
func (t *tracker) count() {
	c := Counts{Done: t.done, Failed: len(t.outcome.Failed)}
	for _, j := range t.left {
		if j.live && j.last.running() {
			c.Running++
		} else {
			c.Waiting++
		}
	}
	if c != t.counted {
		t.counted = c
		t.Counted(c)
	}
}

// round looks at the queue once and submits what is missing there. It asks the queue
// before the folder: a job that is no longer in the queue has written all that it will.
func (t *tracker) round(ctx context.Context) error {
	tasks, err := t.arrays.tasks(ctx)
	if err != nil {
		return err
	}
	t.look(tasks)
	var missing []int
	for _, i := range slices.Sorted(maps.Keys(t.left)) {
		absent, err := t.settle(ctx, i)
		if err != nil {
			return err
		}
		if absent {
			missing = append(missing, i)
		}
	}
	return t.submit(ctx, missing, tasks)
}

// look notes which jobs are in the queue, and the newest task of each.
func (t *tracker) look(tasks []task) {
	for _, j := range t.left {
		j.live = false
	}
	for _, task := range tasks {
		j := t.left[task.index()]
		if j == nil {
			continue
		}
		if task.live() {
			j.live, j.tracked = true, true
		}
		if task.array >= j.last.array {
			j.last = task
		}
	}
}

// settle decides what follows for job i, and reports whether it is to be submitted.
func (t *tracker) settle(ctx context.Context, i int) (submit bool, err error) {
	j := t.left[i]
	switch {
	case j.live:
		j.wanted = false
		return false, t.unstick(ctx, i)
	case j.wanted: // as far as limits allowed, it was submitted
		return true, nil
	}
	s, err := t.jobs.State(i)
	if err != nil {
		return false, err
	}
	switch {
	case s.State == study.JobDone:
		delete(t.left, i)
		t.done++
		return false, nil
	case s.State == study.JobRunning: // on a node that Slurm has lost, or in another scheduler's hands
		t.noteOnce(fmt.Sprintf("job %d runs outside Slurm's queue; waiting for it", i))
		return false, nil
	case j.tracked:
		if why, hopeless := t.again(ctx, i, s); hopeless {
			return false, t.fail(i, s, why)
		}
	}
	j.saved, j.wanted = saved(s), true
	return true, t.jobs.RecordFailure(i, nil)
}

// unstick ends the task of a job that Slurm could not start and would not start again.
func (t *tracker) unstick(ctx context.Context, i int) error {
	last := t.left[i].last
	if !last.stuck() {
		return nil
	}
	t.Note(fmt.Sprintf("job %d: %s", i, last.reason))
	return t.arrays.cancelTask(ctx, last)
}

// again decides whether a job that ended without being done is worth another attempt; if it
// is hopeless, it returns why.
func (t *tracker) again(ctx context.Context, i int, s study.JobStatus) (why string, hopeless bool) {
	j := t.left[i]
	if j.last.live() { // when it was last in squeue's list
		j.last = t.arrays.account(ctx, j.last)
	}
	if !saved(s).Equal(j.saved) {
		j.attempts = 0
	}
	j.attempts++
	code, end := j.last.code, j.last.end()
	if s.Failure != nil {
		end = s.Failure.Error
	}
	switch {
	case s.Failure != nil && code != codeNoDevice, code == codeUsage:
		return end, true
	case j.attempts >= t.Attempts:
		return fmt.Sprintf("%s; gave up after %d attempts that saved no checkpoint", end, j.attempts), true
	}
	t.Note(fmt.Sprintf("job %d: %s; submitting it again", i, end))
	return "", false
}

func saved(s study.JobStatus) time.Time {
	if s.Saved == nil {
		return time.Time{}
	}
	return *s.Saved
}

// Exit codes of workers: wrong usage, which another attempt would not mend, and no usable
// device, which another node may have.
const (
	codeUsage    = 2
	codeNoDevice = 3
)

// fail gives a job up. A worker that Slurm ended has not recorded why.
func (t *tracker) fail(i int, s study.JobStatus, why string) error {
	last := t.left[i].last
	delete(t.left, i)
	t.outcome.Failed[i] = why
	t.Note(fmt.Sprintf("job %d failed: %s", i, why))
	if s.Failure != nil {
		return nil
	}
	return t.jobs.RecordFailure(i, &study.JobFailure{Error: why, Host: last.node, Time: time.Now().UTC()})
}

// submit submits jobs, whose indices ascend, as far as limits allow. The next round
// submits the others.
func (t *tracker) submit(ctx context.Context, indices []int, tasks []task) error {
	tasks = slices.DeleteFunc(tasks, func(x task) bool { return !x.live() })
	indices = t.limit(indices)
	atOnce := t.arrays.AtOnce
	if atOnce > 0 {
		var err error
		if atOnce, err = t.share(ctx, tasks); err != nil || atOnce <= 0 {
			return err
		}
	}
	for len(indices) > 0 {
		part := blocks(indices, t.arrays.size)[0]
		part = part[:min(len(part), t.batch)]
		err := t.arrays.submit(ctx, part, atOnce)
		refused := err != nil && tooMany.MatchString(err.Error())
		switch {
		case err == nil:
			t.submitted(part)
			indices = indices[len(part):]
		case refused && len(part) > 1:
			t.batch = len(part) / 2
		case refused && (len(tasks) > 0 || t.outcome.Submitted > 0):
			t.noteOnce(err.Error() + "; trying again")
			return nil
		default:
			return err
		}
		if err == nil && atOnce > 0 { // only one array may have tasks that wait
			return nil
		}
	}
	return nil
}

// tooMany is what sbatch says if the cluster, or one user, has as many jobs as it may.
var tooMany = regexp.MustCompile(`policy|temporarily`)

// submitted notes that jobs were submitted.
func (t *tracker) submitted(part []int) {
	for _, i := range part {
		t.left[i].tracked, t.left[i].wanted = true, false
	}
	t.outcome.Submitted += len(part)
	t.batch = min(2*t.batch, t.arrays.size)
}

// limit sets the time limit if it is known by now, and returns those of some jobs that can
// be submitted.
func (t *tracker) limit(indices []int) []int {
	if t.Limit == nil {
		return indices
	}
	limit, first := t.Limit()
	if len(first) == 0 {
		t.arrays.TimeLimit, t.Limit = limit, nil
		return indices
	}
	return slices.DeleteFunc(indices, func(i int) bool { return !slices.Contains(first, i) })
}

// share divides the places of the jobs that may run at a time: a job array whose tasks
// wait gets those that no others use. It returns the places for the next one, 0 while
// another array has tasks that wait.
func (t *tracker) share(ctx context.Context, tasks []task) (int, error) {
	running, waiting := map[int]int{}, 0
	for _, x := range tasks {
		if x.running() {
			running[x.array]++
		} else {
			waiting = x.array
		}
	}
	free := t.arrays.AtOnce
	for array, n := range running {
		if array != waiting {
			free -= n
		}
	}
	if waiting == 0 {
		return free, nil
	}
	if free <= 0 || t.throttles[waiting] == free {
		return 0, nil
	}
	t.throttles[waiting] = free
	return 0, t.arrays.throttle(ctx, waiting, free)
}
