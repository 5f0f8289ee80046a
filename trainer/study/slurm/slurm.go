// Package slurm runs the jobs of an experiment's folder on a Slurm cluster, as tasks of
// job arrays. It needs Slurm's commands (sbatch, squeue, scancel, scontrol) and a folder
// that all nodes see; it asks sacct too if the cluster keeps accounts.
//
// What Slurm says decides which jobs run, and the folder which are done: a job that is
// neither is submitted again. Nothing else is remembered, so any process may go on where
// another has stopped.
package slurm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// Arrays are the job arrays of an experiment.
type Arrays struct {
	Dir string // the experiment's folder, as the nodes see it
	// Worker is the command that runs a job; the job's index follows as its last
	// argument. It saves a checkpoint on SIGUSR1 and SIGTERM.
	Worker []string
	// Options are options of sbatch, such as "--partition=gpu". They win over those that
	// this package sets.
	Options []string
	// AtOnce is the most jobs that run at a time; 0 for as many as the cluster allows.
	AtOnce int
	// TimeLimit is how long a job may run at a time; 0 for the partition's default. A
	// job that takes longer saves a checkpoint and is submitted again.
	TimeLimit time.Duration

	name  string // of the job arrays
	size  int    // of a job array, at most
	run   runner
	pause func(ctx context.Context, lasted time.Duration)
}

const (
	// folder has, in the experiment's folder, the name of the job arrays, their script,
	// and what the jobs print.
	folder        = "slurm"
	nameFile      = "slurm/name"
	scriptFile    = "slurm/job.sh"
	cancelledFile = "slurm/cancelled"
	// firstIndex separates the name of a job array from the index of its task 0.
	firstIndex = "+"
)

// A job is signalled before its time is over. Slurm may do so up to a minute earlier
// than asked for.
const signal = "--signal=B:USR1@60"

// Open prepares the experiment's folder for job arrays: it gives them a name if they
// have none, and writes their script.
func (a *Arrays) Open(ctx context.Context, experiment string) error {
	a.run, a.pause = run, pause
	var err error
	if a.size, err = a.arraySize(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(a.Dir, folder), 0o777); err != nil {
		return err
	}
	a.name, err = readName(a.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		a.name = unlikeName.ReplaceAllString(experiment, "_") + "-" + strings.ToLower(rand.Text()[:8])
		err = atomicfile.Write(filepath.Join(a.Dir, nameFile), []byte(a.name+"\n"))
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(a.Dir, cancelledFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.Write(filepath.Join(a.Dir, scriptFile), []byte(a.script()))
}

// unlikeName is what the name of a job array should not have.
var unlikeName = regexp.MustCompile(`[^\w.-]+`)

// mostName is the most bytes of nameFile: an experiment's name, which a folder can have, and
// what sets it apart.
const mostName = 1 << 12

// readName reads the name of the job arrays, by which jobs are found and ended. What is no
// name is [dataset.ErrBadData].
func readName(dir string) (string, error) {
	path := filepath.Join(dir, nameFile)
	text, err := limitedfile.Read(path, mostName)
	name := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", err
	case err == nil && (name == "" || unlikeName.MatchString(name)):
		err = fmt.Errorf("%s does not hold the name of job arrays", path)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w; restore that file from a copy, or end the jobs with scancel", dataset.ErrBadData, err)
	}
	return name, nil
}

// arraySize returns the most tasks that a job array should have: a power of ten, so
// that an array's number and a task's are together the job's index.
func (a *Arrays) arraySize(ctx context.Context) (int, error) {
	out, err := a.run(ctx, "scontrol", "show", "config")
	if err != nil {
		return 0, err
	}
	most := maxArraySize.FindStringSubmatch(out)
	if most == nil {
		return 0, &CommandError{"scontrol show config", "does not tell MaxArraySize"}
	}
	n, _ := strconv.Atoi(most[1])
	size := 1
	for size*10 <= n {
		size *= 10
	}
	if size == 1 {
		return 0, &CommandError{"scontrol show config", "MaxArraySize = " + most[1] + ": this cluster has no job arrays"}
	}
	return size, nil
}

var maxArraySize = regexp.MustCompile(`(?m)^MaxArraySize\s*=\s*(\d+)`)

// script returns the script of a task. Its argument is the index of the array's task 0.
func (a *Arrays) script() string {
	var words []string
	for _, w := range a.Worker {
		words = append(words, quote(w))
	}
	return fmt.Sprintf(`#!/bin/sh
# One job of the experiment. Its index is the number of the array's task, plus $1.
exec %s "$(($1 + SLURM_ARRAY_TASK_ID))"
`, strings.Join(words, " "))
}

// quote quotes a word for the shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// submit submits jobs as one job array. Their indices ascend.
func (a *Arrays) submit(ctx context.Context, indices []int, atOnce int) error {
	first := indices[0] / a.size * a.size
	array := "--array=" + taskList(indices, first)
	if atOnce > 0 {
		array += fmt.Sprintf("%%%d", atOnce)
	}
	log := "%a.log"
	if first > 0 {
		log = fmt.Sprintf("%d%%%da.log", first/a.size, len(strconv.Itoa(a.size))-1)
	}
	args := []string{"--parsable", array, "--requeue", "--open-mode=append", signal,
		fmt.Sprintf("--job-name=%s%s%d", a.name, firstIndex, first),
		"--output=" + filepath.Join(strings.ReplaceAll(a.Dir, "%", "%%"), folder, log)}
	if a.TimeLimit > 0 {
		args = append(args, fmt.Sprintf("--time=%d", minutes(a.TimeLimit)))
	}
	args = append(append(args, a.Options...), filepath.Join(a.Dir, scriptFile), strconv.Itoa(first))
	_, err := a.run(ctx, "sbatch", args...)
	return err
}

// minutes rounds up.
func minutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }

// blocks divides ascending indices into those that are in one job array.
func blocks(indices []int, size int) [][]int {
	var list [][]int
	for i, index := range indices {
		if i == 0 || index/size != indices[i-1]/size {
			list = append(list, nil)
		}
		last := len(list) - 1
		list[last] = append(list[last], index)
	}
	return list
}

// taskList writes ascending indices as sbatch wants tasks: 0-3,7.
func taskList(indices []int, first int) string {
	var parts []string
	for i := 0; i < len(indices); {
		j := i
		for j+1 < len(indices) && indices[j+1] == indices[j]+1 {
			j++
		}
		part := strconv.Itoa(indices[i] - first)
		if j > i {
			part += "-" + strconv.Itoa(indices[j]-first)
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// tasks returns what Slurm knows of the jobs, with their indices.
func (a *Arrays) tasks(ctx context.Context) ([]task, error) { return queue(ctx, a.run, a.name) }

// index returns the index of a task's job.
func (t task) index() int {
	_, first, _ := strings.Cut(t.name, firstIndex)
	n, _ := strconv.Atoi(first)
	return n + t.number
}

// throttle lets at most n tasks of a job array run at a time.
func (a *Arrays) throttle(ctx context.Context, array, n int) error {
	_, err := a.run(ctx, "scontrol", "update", fmt.Sprintf("JobId=%d", array), fmt.Sprintf("ArrayTaskThrottle=%d", n))
	return err
}

// cancelTask ends one task.
func (a *Arrays) cancelTask(ctx context.Context, t task) error {
	_, err := a.run(ctx, "scancel", fmt.Sprintf("%d_%d", t.array, t.number))
	return err
}

// Submitted reports whether jobs of an experiment's folder were ever submitted to Slurm, also
// if the name of their arrays is damaged.
func Submitted(dir string) bool {
	_, err := readName(dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// Cancel ends the waiting and running jobs of an experiment's folder, of which the
// running ones save a checkpoint, and returns how many there were. A process that tracks them stops.
func Cancel(ctx context.Context, dir string) (int, error) {
	name, err := readName(dir)
	if err != nil {
		return 0, err
	}
	if err := atomicfile.Write(filepath.Join(dir, cancelledFile), nil); err != nil {
		return 0, err
	}
	ended := map[task]bool{}
	for ; ; pause(ctx, 0) { // the process that tracks them may have submitted more just now
		tasks, err := queue(ctx, run, name)
		if err != nil {
			return len(ended), err
		}
		arrays := map[string]bool{}
		for _, t := range tasks {
			if t.live() && t.state != "COMPLETING" {
				arrays[strconv.Itoa(t.array)] = true
				ended[task{array: t.array, number: t.number}] = true
			}
		}
		if len(arrays) == 0 {
			return len(ended), nil
		}
		if _, err := run(ctx, "scancel", slices.Collect(maps.Keys(arrays))...); err != nil {
			return len(ended), err
		}
	}
}

// cancelled reports whether [Cancel] was called since [Arrays.Open].
func (a *Arrays) cancelled() bool {
	_, err := os.Stat(filepath.Join(a.Dir, cancelledFile))
	return err == nil
}
