package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// RunState says how far a run of an experiment is.
type RunState int

// A run in progress has a checkpoint to go on from; a broken one has none and
// begins anew.
const (
	RunNew RunState = iota
	RunBroken
	RunInProgress
	RunFinished
)

// StateOfRun looks at a run's folder.
func StateOfRun(dir string) (RunState, error) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return RunNew, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { // what a killed training leaves before args.yaml
		return e.Name() == lockFile || atomicfile.IsTemporary(e.Name())
	})
	switch {
	case len(entries) == 0:
		return RunNew, nil
	case !has(ArgsFile):
		return RunNew, usage("%s is in the way: it is not a run's folder; choose another --out", dir)
	case has(metricsFile):
		return RunFinished, nil
	case has(stateFile):
		return RunInProgress, nil
	}
	return RunBroken, nil
}

// CheckRun refuses to take what the folder of a run in progress or finished
// holds for the training c, if that was another.
func CheckRun(dir string, c Config) error {
	had, err := ReadArgs(dir)
	if err != nil {
		return err
	}
	different := differences(had, c)
	if len(different) > 0 {
		return usage("%s was trained with other settings (%s): choose another --out, or delete it", dir, strings.Join(different, ", "))
	}
	return nil
}

// differences lists the settings of a recorded run, seed included, that decide
// its weights and are not those of c.
func differences(had, c Config) []string {
	for _, path := range []*string{&had.InitFrom, &c.InitFrom} {
		if absolute, err := filepath.Abs(*path); *path != "" && err == nil {
			*path = absolute // as args.yaml has it
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

// experimentFile names the file of an experiment's folder that lists its runs.
const experimentFile = "experiment.yaml"

// experimentIndex is the content of experimentFile.
type experimentIndex struct {
	Name   string       `yaml:"name"`
	Groups []groupIndex `yaml:"groups"`
}

type groupIndex struct {
	Name string   `yaml:"name"`
	Runs []string `yaml:"runs"` // names of folders beside the file
}

func readIndex(dir string) (*experimentIndex, error) {
	path := filepath.Join(dir, experimentFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var index experimentIndex
	if err := yaml.Unmarshal(text, &index); err != nil {
		return nil, usage("%s: %s: restore it, or choose another folder", path, yamlProblem(err))
	}
	return &index, nil
}

// ExperimentName returns the name of the experiment whose folder this is, or "".
func ExperimentName(dir string) string {
	if index, err := readIndex(dir); err == nil {
		return index.Name
	}
	return ""
}

// WriteIndex makes dir the folder of the experiment, by a file that lists its
// runs. Runs that the experiment had there before, of other seeds, stay in the
// list. A folder of another experiment is [ErrUsage].
func (e Experiment) WriteIndex(dir string) error {
	old, err := readIndex(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = &experimentIndex{Name: e.Name}
	case err != nil:
		return err
	case old.Name != e.Name:
		return usage("%s holds the experiment %s, not %s: choose another --out", dir, old.Name, e.Name)
	}
	for _, g := range e.Groups {
		i := slices.IndexFunc(old.Groups, func(o groupIndex) bool { return o.Name == g.Name })
		if i < 0 {
			i = len(old.Groups)
			old.Groups = append(old.Groups, groupIndex{Name: g.Name})
		}
		for _, c := range g.Runs {
			if !slices.Contains(old.Groups[i].Runs, c.Name) {
				old.Groups[i].Runs = append(old.Groups[i].Runs, c.Name)
			}
		}
	}
	text, err := yaml.Marshal(old)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, experimentFile), text)
}

// RunGroup is finished runs that are compared with each other.
type RunGroup struct {
	Name string // of the experiment's group; "" for runs named one by one
	Runs []*Run
	// Unfinished names the experiment's runs that are not finished: under way,
	// diverged or gone.
	Unfinished []string
}

// ReadGroups reads the finished runs of an experiment's folder, group by group,
// or those of any folders as one group.
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
	found, err := FindRuns(dirs)
	if err != nil {
		return nil, err
	}
	group := RunGroup{}
	for _, dir := range found {
		if err := group.add(dir); err != nil {
			return nil, err
		}
	}
	return []RunGroup{group}, nil
}

func (g *RunGroup) add(dir string) error {
	r, err := ReadRun(dir)
	if err != nil {
		return err
	}
	g.Runs = append(g.Runs, r)
	return nil
}

// read reads the groups' finished runs; groups without any are left out.
func (x *experimentIndex) read(dir string) ([]RunGroup, error) {
	var groups []RunGroup
	for _, g := range x.Groups {
		group := RunGroup{Name: g.Name}
		for _, name := range g.Runs {
			run := filepath.Join(dir, name)
			state, err := StateOfRun(run)
			if err == nil && state == RunFinished {
				err = group.add(run)
			} else if err == nil {
				group.Unfinished = append(group.Unfinished, name)
			}
			if err != nil {
				return nil, err
			}
		}
		if len(group.Runs) > 0 {
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		return nil, usage("%s: no run of the experiment %s is finished", dir, x.Name)
	}
	return groups, nil
}
