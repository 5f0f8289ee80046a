// Package report writes what a run or an experiment has found as one HTML file
// that needs nothing else: no network, no other file.
package report

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
)

// File is the name of a report in the folder that it is about.
const File = "report.html"

// The page, and uPlot 1.6.32, which draws its interactive curves
// (https://github.com/leeoniya/uPlot, MIT; npm's package uplot).
//
//go:embed report.html.tmpl uplot
var files embed.FS

// page is what the template shows.
type page struct {
	Title  string
	Style  template.CSS // of the library
	Script template.JS  // the library
	Groups []group
	Runs   []run
	Charts []chart // of groups and runs, which refer to them by index

	pictures []file // that compare runs
}

// file is a picture for the folder, by its name; without data an older one of
// that name goes.
type file struct {
	name string
	data []byte
}

// run is a run in full.
type run struct {
	*trainer.Run
	Best     int    // the epoch whose weights these are, from 1
	Settings string // as YAML
	Loss     int    // index of the chart
	Accuracy int
	Curves   *picture // for readers without scripts; nil if there is none
	Pictures []picture
	Folded   bool // shown when asked for
}

// picture is a PNG as a URL that holds it.
type picture struct {
	Title string
	URL   template.URL
}

// Write writes the report of a run's folder, of an experiment's or of any
// folder of runs to the file at path, or where that is "" into the folder
// itself, with the pictures that compare several runs, and returns where it is.
// A folder without finished runs is [trainer.ErrUsage].
func Write(dir, path string) (string, error) {
	p := page{Title: trainer.ExperimentName(dir)}
	if p.Title == "" {
		p.Title = filepath.Base(absolute(dir))
	}
	if err := p.fill(dir); err != nil {
		return "", err
	}
	html, err := p.render()
	if err != nil {
		return "", err
	}
	if path == "" {
		path = filepath.Join(dir, File)
		if err := p.writePictures(dir); err != nil {
			return "", err
		}
	}
	return path, atomicfile.Write(path, html)
}

func (p *page) writePictures(dir string) error {
	for _, f := range p.pictures {
		if err := atomicfile.Write(filepath.Join(dir, f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

// absolute returns the full path, so that "." has a name too.
func absolute(dir string) string {
	if full, err := filepath.Abs(dir); err == nil {
		return full
	}
	return dir
}

// fill reads the runs: one in full, or several compared, with one of each
// recipe in full.
func (p *page) fill(dir string) error {
	groups, err := trainer.ReadGroups([]string{dir})
	if err != nil {
		return err
	}
	comparisons, err := trainer.CompareGroups(groups)
	if err != nil {
		return err
	}
	var full []*trainer.Run
	for _, c := range comparisons {
		if err := p.addGroup(c); err != nil {
			return err
		}
		for _, r := range c.Recipes {
			full = append(full, r.Runs()[0])
		}
	}
	for _, g := range groups {
		if len(g.Runs) == 1 { // compared with nothing
			full = append(full, g.Runs[0])
		}
	}
	for _, r := range full {
		if err := p.addRun(r, len(full) > 1); err != nil {
			return err
		}
	}
	return nil
}

// pictureTitles are the pictures of a run's folder in the order of the page.
var pictureTitles = []struct{ file, title string }{
	{trainer.MatrixPicture, "Confusion matrix"},
	{trainer.ROCPicture, "ROC"},
	{trainer.ClassF1Picture, "F1 by class"},
	{trainer.MisclassifiedPicture, "Most confident mistakes: what the network said, what is true, and both probabilities"},
	{trainer.GradCAMPicture, "Grad-CAM: where the network saw the class that it said"},
	{trainer.SamplesPicture, "Samples: what the network said, wrong ones framed in red"},
	{trainer.FiltersPicture, "Weights of the first layer: red positive, blue negative"},
}

func (p *page) addRun(r *trainer.Run, folded bool) error {
	settings, err := yaml.Marshal(r.Config)
	if err != nil {
		return err
	}
	view := run{Run: r, Best: r.BestEpoch(), Settings: string(settings), Folded: folded}
	if view.Curves, err = readPicture(r.Dir, trainer.CurvesPicture, "Curves"); err != nil {
		return err
	}
	for _, t := range pictureTitles {
		p, err := readPicture(r.Dir, t.file, t.title)
		if err != nil {
			return err
		}
		if p != nil {
			view.Pictures = append(view.Pictures, *p)
		}
	}
	view.Loss, view.Accuracy = p.addRunCharts(r)
	p.Runs = append(p.Runs, view)
	return nil
}

// readPicture returns nil where the run has no such picture: it is of a version
// that did not draw it, or of a network without convolutions.
func readPicture(dir, name, title string) (*picture, error) {
	png, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &picture{title, dataURL(png)}, err
}

func dataURL(png []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
}

// functions are what the template formats with.
var functions = template.FuncMap{
	"percent": func(x float64) string { return fmt.Sprintf("%.2f %%", 100*x) },
	"fixed":   func(x float64) string { return fmt.Sprintf("%.4f", x) },
	"seconds": func(x float64) string { return fmt.Sprintf("%.1f s", x) },
	"comma":   func(n int) string { return humanize.Comma(int64(n)) },
	"whole":   func(x float64) string { return humanize.Comma(int64(x)) },
	"bytes":   func(n int64) string { return humanize.IBytes(uint64(n)) },
	"mega":    func(n int) string { return fmt.Sprintf("%.3g million", float64(n)/1e6) },
	"title":   func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
	"points":  func(x float64) float64 { return 100 * x },
}

func (p *page) render() ([]byte, error) {
	style, err := files.ReadFile("uplot/uPlot.min.css")
	if err != nil {
		return nil, err
	}
	script, err := files.ReadFile("uplot/uPlot.iife.min.js")
	if err != nil {
		return nil, err
	}
	p.Style, p.Script = template.CSS(style), template.JS(script)
	t, err := template.New("report.html.tmpl").Funcs(functions).ParseFS(files, "report.html.tmpl")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}
