// Package report writes the results of a run or an experiment as one HTML file that
// needs no network and no other file. It also writes comparisons as tables.
package report

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	shared "github.com/fmnist-gpu/fmnist-gpu/trainer/internal/page"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// File is the name of a report in the folder that it describes.
const File = "report.html"

//go:embed report.html.tmpl
var files embed.FS

// page is the data of the template.
type page struct {
	Title  string
	Style  template.CSS // that all pages share
	Script template.JS  // the library of curves
	Groups []group
	Runs   []run
	Panels []panel // of groups and runs, which refer to them by index
	Dashes [][]float64
	Left   int // number of recipes without a run in full

	pictures []file // that compare runs
}

// file is a picture to write to the folder.
type file struct {
	name string
	data []byte
}

// Write writes the report of a run's folder, an experiment's folder or any folder of
// runs to the file at path, and returns its path. If path is "", it writes the report
// to the folder itself, with the pictures that compare several runs. For a folder
// without finished runs, the error is [trainer.ErrUsage].
func Write(dir, path string) (string, error) {
	groups, err := study.ReadGroups([]string{dir})
	if err != nil {
		return "", err
	}
	comparisons, err := study.CompareGroups(groups)
	if err != nil {
		return "", err
	}
	return WriteGroups(dir, path, groups, comparisons)
}

// WriteGroups is [Write] for runs of the folder that have been read and compared.
func WriteGroups(dir, path string, groups []study.RunGroup, comparisons []*study.Comparison) (string, error) {
	p := page{Title: study.ExperimentName(dir)}
	if p.Title == "" {
		p.Title = filepath.Base(absolute(dir))
	}
	if err := p.fill(groups, comparisons); err != nil {
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

// absolute returns the absolute path, so that "." has a name too.
func absolute(dir string) string {
	if full, err := filepath.Abs(dir); err == nil {
		return full
	}
	return dir
}

// mostInFull is the largest number of recipes of a comparison that have a run in full:
// the pictures of each run take half a megabyte.
const mostInFull = 7

// fill shows a single run in full. Several are compared, with one run of each of the best
// recipes in full.
func (p *page) fill(groups []study.RunGroup, comparisons []*study.Comparison) error {
	var full []*study.Run
	compared := map[*study.Run]bool{}
	for _, c := range comparisons {
		if err := p.addGroup(c); err != nil {
			return err
		}
		for i, r := range c.Recipes {
			if i < mostInFull {
				full = append(full, r.Runs()[0])
			}
			for _, run := range r.Runs() {
				compared[run] = true
			}
		}
		p.Left += max(0, len(c.Recipes)-mostInFull)
	}
	for _, g := range groups {
		for _, r := range g.Runs {
			if !compared[r] { // the only finished run of its group
				full = append(full, r)
			}
		}
	}
	for _, r := range full {
		if err := p.addRun(r, len(full) > 1); err != nil {
			return err
		}
	}
	return nil
}

// readPicture returns nil if the run does not have the picture: it was trained by a
// version that did not draw it, or its network has no convolutions.
func readPicture(dir, name, title, alt string) (*picture, error) {
	png, err := limitedfile.Read(filepath.Join(dir, name), limitedfile.JSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &picture{title, alt, dataURL(png)}, err
}

func dataURL(png []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
}

// functions are the formatting functions of the template.
var functions = template.FuncMap{
	"percent": func(x float64) string { return fmt.Sprintf("%.2f %%", 100*x) },
	"fixed":   func(x float64) string { return fmt.Sprintf("%.4f", x) },
	"seconds": func(x float64) string { return humanize.CommafWithDigits(x, 1) + " s" },
	"value": func(x float64) string { // "" if the epoch lacks it
		if math.IsNaN(x) {
			return ""
		}
		return fmt.Sprintf("%.4f", x)
	},
	"short":   func(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) },
	"comma":   func(n int) string { return humanize.Comma(int64(n)) },
	"whole":   func(x float64) string { return humanize.Comma(int64(x)) },
	"bytes":   func(n int64) string { return humanize.IBytes(uint64(n)) },
	"mega":    func(n int) string { return fmt.Sprintf("%.3g million", float64(n)/1e6) },
	"title":   capitalised,
	"selects": protocolName,
	"hundred": func(x float64) float64 { return 100 * x },
	"pictured": func(class int, name string) string { // "" if pictures show the name itself
		if label := plots.ClassLabel(class, name); label != strings.Join(strings.Fields(name), " ") {
			return label
		}
		return ""
	},
}

// capitalised returns the text with a capital first letter.
func capitalised(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

func (p *page) render() ([]byte, error) {
	p.Style, p.Script, p.Dashes = template.CSS(shared.Style()), template.JS(shared.Script()), shared.Dashes
	t, err := template.New("report.html.tmpl").Funcs(functions).ParseFS(files, "report.html.tmpl")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}
