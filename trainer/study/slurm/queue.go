package slurm

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// task is what Slurm says of one task of a job array.
type task struct {
	array  int    // number of the job array
	name   string // of the job array
	number int    // of the task in the array
	state  string // such as PENDING
	reason string // why it is in that state; "None" or "" if Slurm gives none
	node   string
	code   int // exit code of a task that has ended
	signal int // that ended it; 0 for none
}

// ended lists the states of tasks that Slurm will not start again. Every other state,
// one that this program does not know too, is of a task that may run.
var ended = map[string]bool{
	"BOOT_FAIL": true, "CANCELLED": true, "COMPLETED": true, "DEADLINE": true, "FAILED": true, "LAUNCH_FAILED": true,
	"NODE_FAIL": true, "OUT_OF_MEMORY": true, "PREEMPTED": true, "RECONFIG_FAIL": true, "REVOKED": true, "TIMEOUT": true,
}

// live reports whether the task runs or may run.
func (t task) live() bool { return t.state != "" && !ended[t.state] }

// running reports whether the task has a node, or may still have one.
func (t task) running() bool {
	return t.live() && !strings.HasPrefix(t.state, "PENDING") && !strings.HasPrefix(t.state, "REQUEUE")
}

// stuck reports whether Slurm could not start the task and has put it aside.
func (t task) stuck() bool {
	return strings.Contains(strings.ReplaceAll(t.reason, "_", " "), "requeued held")
}

// end says how a task ended, in Slurm's words.
func (t task) end() string {
	if !ended[t.state] {
		return "ended, and Slurm does not tell how"
	}
	s := t.state
	switch {
	case t.signal != 0:
		s += fmt.Sprintf(", signal %d", t.signal)
	case t.code != 0:
		s += fmt.Sprintf(", exit code %d", t.code)
	}
	if t.reason != "" && t.reason != "None" && t.reason != "NonZeroExitCode" {
		s += ", " + t.reason
	}
	if t.node != "" {
		s += " on " + t.node
	}
	return s
}

// columns are what squeue prints, each padded to its width.
var columns = []struct {
	name  string
	width int
}{{"ArrayJobID", 12}, {"ArrayTaskID", 12}, {"State", 20}, {"exit_code", 12}, {"NodeList", 64}, {"Reason", 64}, {"Name", 256}}

// queue asks squeue for the user's arrays of that name. Tasks that ended some minutes
// ago (MinJobAge of the cluster's configuration) are no longer listed.
func queue(ctx context.Context, run runner, name string) ([]task, error) {
	var format []string
	for _, c := range columns {
		format = append(format, fmt.Sprintf("%s:%d", c.name, c.width))
	}
	out, err := run(ctx, "squeue", "--me", "--noheader", "--array", "--states=all", "--Format="+strings.Join(format, ","))
	if err != nil {
		return nil, err
	}
	return parseQueue(out, name)
}

// parseQueue returns the tasks of squeue's output whose arrays have that name, or that
// name with a first index.
func parseQueue(out, name string) ([]task, error) {
	var tasks []task
	for line := range strings.Lines(out) {
		fields := make([]string, len(columns))
		rest := strings.TrimRight(line, "\n")
		for i, c := range columns {
			n := min(c.width, len(rest))
			fields[i], rest = strings.TrimSpace(rest[:n]), rest[n:]
		}
		t := task{state: fields[2], node: fields[4], reason: fields[5], name: fields[6]}
		if own, _, _ := strings.Cut(t.name, firstIndex); own != name {
			continue
		}
		if fields[1] == "N/A" && ended[t.state] { // the tasks of a cancelled array that had not begun, as one
			continue
		}
		var err1, err2, err3 error
		t.array, err1 = strconv.Atoi(fields[0])
		t.number, err2 = strconv.Atoi(fields[1])
		t.code, t.signal, err3 = parseStatus(fields[3])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("squeue printed %q: %w", line, err)
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// parseStatus reads an exit code and a signal, written as code:signal or as the status
// that wait returns.
func parseStatus(text string) (code, signal int, err error) {
	if c, s, ok := strings.Cut(text, ":"); ok {
		code, err1 := strconv.Atoi(c)
		signal, err2 := strconv.Atoi(s)
		return code, signal, errors.Join(err1, err2)
	}
	status, err := strconv.Atoi(text)
	return status >> 8, status & 0x7f, err
}

// account asks sacct, if the cluster keeps accounts, how a task ended that squeue no
// longer lists. It returns the task as it was if that is not known.
func (a *Arrays) account(ctx context.Context, t task) task {
	job := fmt.Sprintf("%d_%d", t.array, t.number)
	out, err := a.run(ctx, "sacct", "--noheader", "--parsable2", "--allocations", "--jobs="+job, "--format=JobID,State,ExitCode,NodeList")
	if err != nil {
		return task{array: t.array, number: t.number, name: t.name}
	}
	return parseAccount(out, t)
}

func parseAccount(out string, t task) task {
	end := task{array: t.array, number: t.number, name: t.name}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 4 || fields[0] != fmt.Sprintf("%d_%d", t.array, t.number) {
			continue
		}
		state, _, _ := strings.Cut(fields[1], " ") // "CANCELLED by 1000"
		code, signal, err := parseStatus(fields[2])
		if err == nil && ended[state] {
			end.state, end.code, end.signal, end.node = state, code, signal, fields[3]
		}
	}
	return end
}

// runner runs one of Slurm's commands and returns its output.
type runner func(ctx context.Context, name string, args ...string) (string, error)

func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &failed):
		return "", &CommandError{name, strings.TrimSpace(string(failed.Stderr))}
	case errors.Is(err, exec.ErrNotFound):
		return "", &CommandError{name, "this machine does not have Slurm's commands: use one that has, such as a login node"}
	case err != nil:
		return "", &CommandError{name, err.Error()}
	}
	return string(out), nil
}

// CommandError is the error of one of Slurm's commands.
type CommandError struct{ Command, Message string }

// Error says what failed, in Slurm's words.
func (e *CommandError) Error() string {
	return e.Command + ": " + strings.ReplaceAll(strings.ReplaceAll(e.Message, e.Command+": error: ", ""), "\n", "; ")
}
