package web

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// The most that a list of runs shows: the latest runs, and points of each run's curves.
const (
	mostRuns   = 200
	mostPoints = 500
)

// runSummary is a run in the list of runs.
type runSummary struct {
	Name    string    `json:"name"`  // its folder, relative to the server's, with slashes
	State   string    `json:"state"` // running, unfinished or finished
	Changed time.Time `json:"changed"`
	Report  bool      `json:"report"` // it has one
	Weights bool      `json:"weights"`
	Error   string    `json:"error,omitempty"` // what is wrong with its files
	figures
}

// figures are what a run's files say.
type figures struct {
	Network  string   `json:"network"`
	SelectOn string   `json:"select_on"`
	Seed     uint64   `json:"seed"`
	Epochs   int      `json:"epochs"` // at most
	Done     int      `json:"done"`
	Best     *float64 `json:"best"` // accuracy of the best epoch on the images that selected it
	Test     *float64 `json:"test"` // accuracy on the test images, once finished
	Curve    curve    `json:"curve"`
}

// curve is a run's epochs as columns; null where one was not evaluated.
type curve struct {
	Epoch       []int      `json:"epoch"`
	TrainLoss   []*float64 `json:"train_loss"`
	ValLoss     []*float64 `json:"val_loss"`
	ValAccuracy []*float64 `json:"val_accuracy"`
}

// experiment is a folder of runs.
type experiment struct {
	Name   string `json:"name"`  // its folder, relative to the server's; "." for that itself
	Title  string `json:"title"` // "" for a folder that is no experiment's
	Report bool   `json:"report"`
}

// runList answers GET /api/runs.
type runList struct {
	Folder      string       `json:"folder"`
	Live        string       `json:"live"` // the run of this process, "" for none
	Classifies  bool         `json:"classifies"`
	Experiments []experiment `json:"experiments"`
	Runs        []runSummary `json:"runs"` // the latest first
	Left        int          `json:"left"` // older runs that are not listed
}

func (s *Server) runs(w http.ResponseWriter, r *http.Request) {
	list, err := s.list()
	if err != nil {
		answer(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(list) // an error is the client's, who has gone
}

// list looks for runs in the folder and, one level down, in folders of runs.
func (s *Server) list() (*runList, error) {
	list := &runList{Folder: s.options.Folder, Classifies: s.options.OpenBackend != nil, Experiments: []experiment{}, Runs: []runSummary{}}
	if s.options.Hub != nil {
		list.Live = s.options.Run
	}
	var runs []string
	if s.has(".", trainer.ArgsFile) {
		runs = append(runs, ".")
	}
	for _, name := range s.folders(".") {
		if s.has(name, trainer.ArgsFile) {
			runs = append(runs, name)
			continue
		}
		inner := slices.DeleteFunc(s.folders(name), func(run string) bool { return !s.has(run, trainer.ArgsFile) })
		if runs = append(runs, inner...); len(inner) > 0 {
			list.Experiments = append(list.Experiments, s.experiment(name))
		}
	}
	if s.has(".", report.File) && !s.has(".", trainer.ArgsFile) {
		list.Experiments = append(list.Experiments, s.experiment("."))
	}
	for _, name := range runs {
		info, err := s.root.Stat(path.Join(name, trainer.ArgsFile))
		if err != nil {
			continue // gone since
		}
		changed := info.ModTime()
		if info, err := s.root.Stat(path.Join(name, trainer.ResultsFile)); err == nil && info.ModTime().After(changed) {
			changed = info.ModTime()
		}
		list.Runs = append(list.Runs, runSummary{Name: name, Changed: changed})
	}
	slices.SortStableFunc(list.Runs, func(a, b runSummary) int { return b.Changed.Compare(a.Changed) })
	list.Left = max(0, len(list.Runs)-mostRuns)
	list.Runs = list.Runs[:len(list.Runs)-list.Left]
	s.summarise(list.Runs)
	s.summaries.keep(func(name string) bool {
		return slices.ContainsFunc(list.Runs, func(r runSummary) bool { return r.Name == name })
	})
	s.titles.keep(func(name string) bool {
		return slices.ContainsFunc(list.Experiments, func(e experiment) bool { return e.Name == name })
	})
	return list, nil
}

func (s *Server) experiment(name string) experiment {
	e := experiment{Name: name, Report: s.has(name, report.File)}
	if s.has(name, study.ExperimentFile) {
		e.Title = s.titles.get(name, s.stamps(name, study.ExperimentFile), func() string {
			return study.ExperimentName(filepath.Join(s.options.Folder, filepath.FromSlash(name)))
		})
	}
	return e
}

// folders lists the folders in a folder, without hidden ones.
func (s *Server) folders(name string) []string {
	entries, err := fs.ReadDir(s.root.FS(), name)
	if err != nil {
		return nil // gone, or not to be read
	}
	var list []string
	for _, e := range entries {
		inner := path.Join(name, e.Name())
		if e.Name()[0] == '.' {
			continue
		}
		// Stat refuses a link to somewhere outside.
		if info, err := s.root.Stat(inner); err == nil && info.IsDir() {
			list = append(list, inner)
		}
	}
	return list
}

func (s *Server) has(run, file string) bool {
	info, err := s.root.Stat(path.Join(run, file))
	return err == nil && info.Mode().IsRegular()
}

// readFiles are the files of a run that the server reads by their paths.
var readFiles = []string{trainer.ArgsFile, trainer.ResultsFile, trainer.StepsFile, trainer.MetricsFile, trainer.LastWeights, trainer.BestWeights}

// runFolder returns the path of a run's folder, of which none of the files that are
// read lies outside the server's folder.
func (s *Server) runFolder(name string) (string, error) {
	if name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || !s.has(name, trainer.ArgsFile) {
		return "", fail(http.StatusNotFound, "there is no run %q", name)
	}
	for _, file := range readFiles {
		if info, err := s.root.Stat(path.Join(name, file)); err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			return "", fail(http.StatusForbidden, "the file %s of the run %q is not in its folder", file, name)
		}
	}
	return filepath.Join(s.options.Folder, filepath.FromSlash(name)), nil
}

// stamps returns the stamps of files in a folder.
func (s *Server) stamps(folder string, files ...string) (stamps [3]fileStamp) {
	for i, file := range files {
		if info, err := s.root.Stat(path.Join(folder, file)); err == nil {
			stamps[i] = fileStamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}

// summary is what a run's files say, or why they cannot be read.
type summary struct {
	figures
	problem string
}

// summarise fills in what the runs' files say.
func (s *Server) summarise(runs []runSummary) {
	for i := range runs {
		r := &runs[i]
		read := s.summaries.get(r.Name, s.stamps(r.Name, trainer.ArgsFile, trainer.ResultsFile, trainer.MetricsFile), func() (of summary) {
			var err error
			if of.figures, err = s.figures(r.Name); err != nil {
				of.problem = err.Error()
			}
			return of
		})
		r.figures, r.Error = read.figures, read.problem
		r.Report, r.Weights = s.has(r.Name, report.File), s.has(r.Name, trainer.BestWeights) || s.has(r.Name, trainer.LastWeights)
		switch {
		case s.has(r.Name, trainer.MetricsFile):
			r.State = "finished"
		case s.options.Hub != nil && r.Name == s.options.Run:
			r.State = "running"
		default:
			r.State = "unfinished"
		}
	}
}

// figures reads a run's files.
func (s *Server) figures(name string) (f figures, err error) {
	f.Curve = newCurve(nil) // lists, which the page counts, also if a file is damaged
	dir, err := s.runFolder(name)
	if err != nil {
		return f, err
	}
	c, err := study.ReadArgs(dir)
	if err != nil {
		return f, err
	}
	f.Network, f.SelectOn, f.Seed, f.Epochs = c.Model, c.SelectOn, c.Seed, c.Epochs
	epochs, err := trainer.ReadEpochs(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f.Done = len(epochs)
	if best := trainer.BestEpoch(epochs, false); best > 0 {
		f.Best = number(epochs[best-1].ValAccuracy)
	}
	f.Curve = newCurve(epochs)
	m, err := metrics.Read(filepath.Join(dir, trainer.MetricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.Test = &m.Accuracy
	return f, nil
}

// newCurve keeps evenly spaced epochs if there are many.
func newCurve(epochs []trainer.EpochReport) curve {
	c := curve{Epoch: []int{}, TrainLoss: []*float64{}, ValLoss: []*float64{}, ValAccuracy: []*float64{}}
	n := min(mostPoints, len(epochs))
	for i := range n {
		e := epochs[i*(len(epochs)-1)/max(1, n-1)]
		c.Epoch = append(c.Epoch, e.Epoch)
		c.TrainLoss = append(c.TrainLoss, number(e.TrainLoss))
		c.ValLoss = append(c.ValLoss, number(e.ValLoss))
		c.ValAccuracy = append(c.ValAccuracy, number(e.ValAccuracy))
	}
	return c
}

// number returns nil for what JSON has no number for.
func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// report answers GET /report?run=NAME with the report of a run or an experiment.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("run")
	if name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || !s.has(name, report.File) {
		answer(w, fail(http.StatusNotFound, "%q has no report: a run writes it when it is finished", name))
		return
	}
	file, err := s.root.Open(path.Join(name, report.File))
	if err != nil {
		answer(w, err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		answer(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", reportPolicy)
	http.ServeContent(w, r, "", info.ModTime(), file)
}
