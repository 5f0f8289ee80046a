package study

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// CheckRun checks that the run in a folder, in progress or finished, is the
// training that c describes. If its settings differ, the error is [trainer.ErrUsage].
func CheckRun(dir string, c Config) error {
	had, err := ReadArgs(dir)
	if err != nil {
		return err
	}
	different := differences(had, c)
	if len(different) > 0 {
		return usage("%s was trained with other settings (%s): choose another folder, or delete that one", dir, strings.Join(different, ", "))
	}
	return nil
}

// differences lists the settings of a recorded run that affect its weights, the
// seed included, and differ from those of c. The folder of a dataset may have moved: its
// hashes tell whether it is the same; see [trainer.CheckDataset].
func differences(had, c Config) []string {
	if had.Dataset != dataset.FashionMNIST.Name && c.Dataset != dataset.FashionMNIST.Name {
		had.Dataset = c.Dataset
	}
	for _, path := range []*string{&had.InitFrom, &c.InitFrom} {
		if absolute, err := filepath.Abs(*path); *path != "" && err == nil {
			*path = absolute // as in args.yaml
		}
	}
	old, now := strings.Split(had.recipe(), "\n"), strings.Split(c.recipe(), "\n")
	if had.Seed != c.Seed {
		old = append(old, fmt.Sprintf("seed: %d", had.Seed))
	}
	different := slices.DeleteFunc(slices.Clone(old), func(line string) bool { return slices.Contains(now, line) })
	for _, line := range now {
		key, _, _ := strings.Cut(line, ":")
		if !slices.ContainsFunc(old, func(o string) bool { return o == line || strings.HasPrefix(o, key+":") }) {
			different = append(different, "without "+key)
		}
	}
	return different
}

// ExperimentFile is the name of the file in an experiment's folder that lists its
// runs.
const ExperimentFile = "experiment.yaml"

// experimentIndex is the content of ExperimentFile.
type experimentIndex struct {
	Name   string       `yaml:"name"`
	Groups []groupIndex `yaml:"groups"`
	Jobs   jobsIndex    `yaml:"jobs,omitempty"`
}

type groupIndex struct {
	Name string   `yaml:"name"`
	Runs []string `yaml:"runs"` // names of folders next to the file
}

// jobsIndex lists the runs that [Jobs] describe, by index.
type jobsIndex struct {
	Version string   `yaml:"version"`
	Runs    []string `yaml:"runs"`
}

func readIndex(dir string) (*experimentIndex, error) {
	path := filepath.Join(dir, ExperimentFile)
	text, err := limitedfile.Read(path, limitedfile.Index)
	if err != nil {
		return nil, err
	}
	return parseIndex(path, text)
}

func parseIndex(path string, text []byte) (*experimentIndex, error) {
	var index experimentIndex
	if err := setting.Decode(path, text, &index); err != nil {
		return nil, usage("%v: restore it, or choose another folder", err)
	}
	for _, g := range append(index.Groups, groupIndex{Runs: index.Jobs.Runs}) {
		for _, run := range g.Runs { // not a path to elsewhere: the file may be anybody's
			if err := setting.FolderName("the name of a run's folder").Check(path, run); err != nil {
				return nil, usage("%v", err)
			}
		}
	}
	return &index, nil
}

// ExperimentName returns the name of the experiment in a folder, or "" if the
// folder holds none.
func ExperimentName(dir string) string {
	if index, err := readIndex(dir); err == nil {
		return index.Name
	}
	return ""
}

// index returns the list of an experiment's runs in dir, an empty one if there is none.
// If dir is the folder of another experiment, the error is [trainer.ErrUsage].
func (e Experiment) index(dir string) (*experimentIndex, error) {
	old, err := readIndex(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &experimentIndex{Name: e.Name}, nil
	case err != nil:
		return nil, err
	case old.Name != e.Name:
		return nil, usage("%s holds the experiment %s, not %s: choose another folder", dir, old.Name, e.Name)
	}
	return old, nil
}

// CheckIndex returns the error of [Experiment.WriteIndex] but writes nothing.
func (e Experiment) CheckIndex(dir, version string) error {
	index, err := e.index(dir)
	if err != nil || index.Jobs.Version == "" {
		return err
	}
	jobs := index.jobs(dir)
	if err := jobs.CheckVersion(version); err != nil {
		return err
	}
	_, err = jobs.missing(e)
	return err
}

// WriteIndex makes dir the folder of the experiment: it writes a file that lists
// the runs. Runs that are already in the list, such as those with other seeds,
// stay there. In a folder with jobs, other runs become jobs, too. If dir is the folder of
// another experiment, or has jobs with other settings or of another version of this
// program, the error is [trainer.ErrUsage].
func (e Experiment) WriteIndex(dir, version string) error {
	index, err := e.index(dir)
	if err != nil {
		return err
	}
	if index.Jobs.Version != "" {
		_, err := e.WriteJobs(dir, version)
		return err
	}
	index.add(e)
	return index.write(dir)
}

// add adds the experiment's runs that are not in the list.
func (x *experimentIndex) add(e Experiment) {
	for _, g := range e.Groups {
		i := slices.IndexFunc(x.Groups, func(o groupIndex) bool { return o.Name == g.Name })
		if i < 0 {
			i = len(x.Groups)
			x.Groups = append(x.Groups, groupIndex{Name: g.Name})
		}
		listed := map[string]bool{}
		for _, run := range x.Groups[i].Runs {
			listed[run] = true
		}
		for _, c := range g.Runs {
			if !listed[c.Name] {
				x.Groups[i].Runs = append(x.Groups[i].Runs, c.Name)
			}
		}
	}
}

func (x *experimentIndex) write(dir string) error {
	text, err := yaml.Marshal(x)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, ExperimentFile), text)
}

// RunGroup holds finished runs that are compared with each other.
type RunGroup struct {
	Name string // of the experiment's group; "" for runs named one by one
	Runs []*Run
	// Unfinished names the other runs of the experiment or folder: they are in
	// progress, have diverged or are missing.
	Unfinished []string
}

// ReadGroups reads the finished runs of an experiment's folder, group by group,
// or those in any other folders as one group. dirs must not be empty. Folders
// without a finished run are [trainer.ErrUsage].
func ReadGroups(dirs []string) ([]RunGroup, error) {
	if info, err := os.Stat(dirs[0]); len(dirs) == 1 && err == nil && info.IsDir() {
		index, err := readIndex(dirs[0])
		if err == nil {
			return index.read(dirs[0])
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	found, unfinished, err := FindRuns(dirs)
	if err != nil {
		return nil, err
	}
	runs, err := readRuns(found)
	return []RunGroup{{Runs: runs, Unfinished: unfinished}}, err
}

// readRuns reads finished runs, several at a time: each has 10,000 predictions.
func readRuns(dirs []string) ([]*Run, error) {
	runs := make([]*Run, len(dirs))
	var reads errgroup.Group
	reads.SetLimit(runtime.GOMAXPROCS(0))
	for i, dir := range dirs {
		reads.Go(func() (err error) {
			runs[i], err = ReadRun(dir)
			return err
		})
	}
	return runs, reads.Wait()
}

// read reads the groups' finished runs and omits groups that have none.
func (x *experimentIndex) read(dir string) ([]RunGroup, error) {
	var groups []RunGroup
	for _, g := range x.Groups {
		group := RunGroup{Name: g.Name}
		var finished []string
		for _, name := range g.Runs {
			run := filepath.Join(dir, name)
			state, err := trainer.StateOfRun(run)
			if err != nil {
				return nil, err
			}
			if state == trainer.RunFinished {
				finished = append(finished, run)
			} else {
				group.Unfinished = append(group.Unfinished, name)
			}
		}
		var err error
		if group.Runs, err = readRuns(finished); err != nil {
			return nil, err
		}
		if len(group.Runs) > 0 {
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		return nil, usage("%s: no run of the experiment %s is finished yet: wait, or run the experiment again to continue it", dir, x.Name)
	}
	return groups, nil
}
