package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// Jobs are the trainings of an experiment's folder, each with an index, as jobs for any
// machine that sees the folder. The folder describes them completely, wherever it is
// mounted. A description never changes.
type Jobs struct {
	Dir        string
	Experiment string
	Version    string   // of the program that described them; "" if they are not described
	Names      []string // of the jobs' runs, by index
}

// jobsFolder holds the jobs' descriptions, and why jobs have failed.
const jobsFolder = "jobs"

func (j *Jobs) path(i int, extension string) string {
	return filepath.Join(j.Dir, jobsFolder, fmt.Sprint(i)+extension)
}

// WriteJobs makes dir the folder of the experiment, as [Experiment.WriteIndex] does, and
// describes its runs as jobs of a version of this program. Runs that the folder does not
// have yet become its last jobs. If a job has other settings or is of another version,
// the error is [trainer.ErrUsage].
func (e Experiment) WriteJobs(dir, version string) (*Jobs, error) {
	index, err := e.index(dir)
	if err != nil {
		return nil, err
	}
	jobs := index.jobs(dir)
	if err := jobs.CheckVersion(version); jobs.Version != "" && err != nil {
		return nil, err
	}
	if jobs.Version == "" {
		jobs.Version, jobs.Names = version, nil
	}
	missing, err := jobs.missing(e)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(dir, jobsFolder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	// Those of a killed call. Workers may be writing why they have failed.
	if err := atomicfile.RemoveTemporaryOf(folder, func(name string) bool { return filepath.Ext(name) == ".yaml" }); err != nil {
		return nil, err
	}
	if err := jobs.describe(missing); err != nil {
		return nil, err
	}
	index.add(e)
	index.Jobs = jobsIndex{version, jobs.Names}
	return jobs, index.write(dir) // until now, no job was added
}

// writesAtOnce hides the delay of disks and of networks: every file is flushed.
const writesAtOnce = 32

// describe writes the descriptions of the next jobs.
func (j *Jobs) describe(runs []Config) error {
	var writes errgroup.Group
	writes.SetLimit(writesAtOnce)
	for _, c := range runs {
		i := len(j.Names)
		j.Names = append(j.Names, c.Name)
		writes.Go(func() error {
			c, err := c.Absolute()
			if err != nil {
				return err
			}
			c.Out, c.Device, c.DataDir = "", "", "" // for the worker to say
			text, err := c.YAML()
			if err != nil {
				return err
			}
			return atomicfile.Write(j.path(i, ".yaml"), []byte(text))
		})
	}
	return writes.Wait()
}

// missing returns the experiment's runs that are not among the jobs. A job with other
// settings is [trainer.ErrUsage].
func (j *Jobs) missing(e Experiment) ([]Config, error) {
	described := map[string]int{}
	for i, name := range j.Names {
		described[name] = i
	}
	var missing []Config
	for _, g := range e.Groups {
		for _, c := range g.Runs {
			i, ok := described[c.Name]
			if !ok {
				missing = append(missing, c)
				continue
			}
			had, err := j.Config(i)
			if err != nil {
				return nil, err
			}
			if different := differences(had, c); len(different) > 0 {
				return nil, usage("job %d of %s, %s, has other settings (%s), and a job never changes: choose another folder", i, j.Dir, c.Name, strings.Join(different, ", "))
			}
		}
	}
	return missing, nil
}

// ReadJobs reads the list of an experiment's jobs. If its runs are not described as
// jobs, all but [Jobs.Config] and [Jobs.CheckVersion] work nevertheless. A folder without
// an experiment is [trainer.ErrUsage].
func ReadJobs(dir string) (*Jobs, error) {
	index, err := readIndex(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, usage("%s is not the folder of an experiment: it has no %s", dir, ExperimentFile)
	}
	if err != nil {
		return nil, err
	}
	return index.jobs(dir), nil
}

func (x *experimentIndex) jobs(dir string) *Jobs {
	j := &Jobs{Dir: dir, Experiment: x.Name, Version: x.Jobs.Version, Names: x.Jobs.Runs}
	if j.Version == "" {
		for _, g := range x.Groups {
			j.Names = append(j.Names, g.Runs...)
		}
	}
	return j
}

// CheckVersion returns an error ([trainer.ErrUsage]) if the jobs are not those of a
// version of this program: another version may train other weights.
func (j *Jobs) CheckVersion(version string) error {
	switch j.Version {
	case version:
		return nil
	case "":
		return usage("%s has no jobs: its experiment was begun on one machine", j.Dir)
	}
	return usage("the jobs of %s are of version %s, and this is %s: use that version, or another folder", j.Dir, j.Version, version)
}

// Config returns the settings of job i.
func (j *Jobs) Config(i int) (Config, error) {
	if i < 0 || i >= len(j.Names) {
		return Config{}, usage("%s has no job %d: its jobs are 0 to %d", j.Dir, i, len(j.Names)-1)
	}
	c := DefaultConfig()
	text, err := limitedfile.Read(j.path(i, ".yaml"), limitedfile.Settings)
	if errors.Is(err, fs.ErrNotExist) {
		return c, usage("job %d has lost its description: %v; restore that file, or prepare the jobs again in a new folder", i, err)
	}
	if err != nil { // such as a file server that does not answer
		return c, err
	}
	if err := c.ParseYAML(j.path(i, ".yaml"), text); err != nil {
		return c, err
	}
	if c.Name != j.Names[i] {
		return c, usage("%s describes the run %s, and %s has %s there: restore it", j.path(i, ".yaml"), c.Name, ExperimentFile, j.Names[i])
	}
	return c, nil
}

// Run returns the folder of job i's run.
func (j *Jobs) Run(i int) string { return filepath.Join(j.Dir, j.Names[i]) }

// JobFailure says why a job has failed.
type JobFailure struct {
	Error string    `json:"error"`
	Host  string    `json:"host"`
	Time  time.Time `json:"time"`
}

// RecordFailure records why job i has failed, for [Jobs.Status]. nil removes the record.
func (j *Jobs) RecordFailure(i int, failure *JobFailure) error {
	path := j.path(i, ".failed.json")
	if failure == nil {
		return atomicfile.Remove(path)
	}
	text, err := json.Marshal(failure)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(text, '\n'))
}

// readFailure returns why job i has failed, nil if it has not.
func (j *Jobs) readFailure(i int) *JobFailure {
	text, err := limitedfile.Read(j.path(i, ".failed.json"), limitedfile.JSON)
	f := new(JobFailure)
	if err != nil || json.Unmarshal(text, f) != nil {
		return nil
	}
	return f
}

// CheckDataset returns an error ([dataset.ErrBadData]) if a job with the settings c would
// train on other images than those that have begun.
func (j *Jobs) CheckDataset(c Config, data *dataset.Dataset) error {
	for i := range j.Names {
		had, err := ReadArgs(j.Run(i))
		if err != nil || had.Dataset != c.Dataset || had.ImageSize != c.ImageSize || had.SkipBad != c.SkipBad {
			continue
		}
		return trainer.CheckDataset(j.Run(i), data) // all that have begun passed this check
	}
	return nil
}

// JobState says how far a job has come.
type JobState string

// The states of a job. A worker holds the lock of a running job's folder; an interrupted
// job goes on from its last checkpoint; a failed one can be tried again.
const (
	JobWaiting     JobState = "waiting"
	JobRunning     JobState = "running"
	JobInterrupted JobState = "interrupted"
	JobFailed      JobState = "failed"
	JobDone        JobState = "done"
)

// JobStates lists the states.
func JobStates() []JobState {
	return []JobState{JobDone, JobRunning, JobInterrupted, JobFailed, JobWaiting}
}

// JobStatus is what an experiment's folder says of a job.
type JobStatus struct {
	Index       int         `json:"index"`
	Name        string      `json:"name"`
	State       JobState    `json:"state"`
	Epochs      int         `json:"epochs"`                 // trained
	Wanted      int         `json:"epochs_wanted"`          // at most; 0 if the job has not begun
	ValAccuracy *float64    `json:"val_accuracy,omitempty"` // of the best epoch, a fraction; on the test images if these select it
	Saved       *time.Time  `json:"saved,omitempty"`        // when its checkpoint or its results were last written
	Failure     *JobFailure `json:"failure,omitempty"`
}

// Status returns what the folder says of each job. It changes nothing and disturbs no
// worker.
func (j *Jobs) Status() ([]JobStatus, error) {
	list := make([]JobStatus, 0, len(j.Names)) // never null in JSON
	for i := range j.Names {
		s, err := j.State(i)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// State returns what the folder says of job i.
func (j *Jobs) State(i int) (JobStatus, error) {
	dir := j.Run(i)
	s := JobStatus{Index: i, Name: j.Names[i], State: JobWaiting}
	state, err := trainer.StateOfRun(dir)
	if err != nil {
		return s, err
	}
	if s.Failure = j.readFailure(i); s.Failure != nil {
		s.State = JobFailed
	}
	switch {
	case state == trainer.RunFinished:
		s.State, s.Failure = JobDone, nil
	case trainer.Locked(dir):
		s.State = JobRunning
	case s.State == JobWaiting && state != trainer.RunNew:
		s.State = JobInterrupted
	}
	if state != trainer.RunNew {
		s.read(dir)
	}
	return s, nil
}

// read reads the progress of a run that may be going on: what is missing is not there yet.
func (s *JobStatus) read(dir string) {
	c, err := ReadArgs(dir)
	if err != nil {
		return
	}
	s.Wanted = c.Epochs
	if saved := trainer.Saved(dir); !saved.IsZero() {
		s.Saved = new(saved.UTC())
	}
	epochs, err := trainer.ReadEpochs(dir)
	if err != nil {
		return
	}
	s.Epochs = len(epochs)
	if best := trainer.BestEpoch(epochs, c.NoEval); best > 0 && !c.NoEval {
		s.ValAccuracy = new(epochs[best-1].ValAccuracy)
	}
}

// Unfinished returns the indices of the jobs that are not done.
func (j *Jobs) Unfinished() ([]int, error) {
	var left []int
	for i := range j.Names {
		state, err := trainer.StateOfRun(j.Run(i))
		if err != nil {
			return nil, err
		}
		if state != trainer.RunFinished {
			left = append(left, i)
		}
	}
	return left, nil
}
