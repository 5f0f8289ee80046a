package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// tinyCNN is a small convolutional network for images of any size and any classes.
const tinyCNN = "layers: [{conv: {out: 6, kernel: 3, padding: 1}}, relu, maxpool: 2, flatten, {linear: {out: classes}}]\n"

// quickly are the flags of a training that takes a moment.
var quickly = []string{"train", "--cpu", "--quiet", "--batch-size", "8", "--lr", "0.01"}

// evaluated returns the metrics that eval prints as JSON.
func evaluated(t *testing.T, args ...string) metrics.Metrics {
	t.Helper()
	var m metrics.Metrics
	if err := json.Unmarshal([]byte(wantSuccess(t, append([]string{"eval", "--cpu", "--json"}, args...)...)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Pictures in class folders, grey or in colours, are trained on, evaluated and shown.
func TestClassFolders(t *testing.T) {
	isolateCache(t)
	for name, tints := range map[string][]color.Color{
		"grey":   {color.White},
		"colour": {color.RGBA{255, 128, 128, 255}, color.RGBA{128, 255, 128, 255}, color.RGBA{128, 128, 255, 255}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pictures, network, out := filepath.Join(dir, "pictures"), filepath.Join(dir, "net.yaml"), filepath.Join(dir, "runs")
			writeClassFolders(t, pictures, 12, 24, tints...)
			writeFile(t, network, tinyCNN)
			wantSuccess(t, append(quickly, "--dataset", pictures, "--model", network, "--epochs", "8", "--out", out)...)
			m := evaluated(t, "--checkpoint", filepath.Join(out, "net"), "--dataset", pictures)
			if !(m.Accuracy >= .9) || m.Images != 12 || len(m.PerClass) != 3 || m.PerClass[1].Name != "low" {
				t.Errorf("accuracy %.3f on %d images of the classes %+v", m.Accuracy, m.Images, m.PerClass)
			}
			for _, size := range []string{"0", "20"} {
				shown := filepath.Join(dir, "shown"+size+".png")
				if got := wantSuccess(t, "data", "show", "--dataset", pictures, "--image-size", size, "--count", "5", "--flip", "random", "--out", shown); !strings.Contains(got, "5 train images in "+shown) {
					t.Errorf("data show prints %q", got)
				}
				if info, err := os.Stat(shown); err != nil || info.Size() < 1000 {
					t.Errorf("the picture of samples: %v", err)
				}
			}
			wantFailure(t, []string{"eval", "--cpu", "--checkpoint", filepath.Join(out, "net"), "--dataset", otherClasses(t)}, exitBadFile, "3 classes", "and 2 classes")
			got := wantSuccess(t, "eval", "--cpu", "--checkpoint", filepath.Join(out, "net"), "--dataset", otherNames(t, pictures))
			if want := "note: the dataset's classes have other names: what it calls \"lower\", the model and the figures below call \"low\"\n"; !strings.Contains(got, want) {
				t.Errorf("classes of other names: eval prints %q, want %q", got, want)
			}
		})
	}
}

// No command writes pictures where they would become those of its dataset, also if a link
// leads there. A command that reads no dataset may write beside the classes: that is left out.
func TestOutputsInDataset(t *testing.T) {
	isolateCache(t)
	trained := trainedOnStripes(t)
	checkpoint := filepath.Join(trained, "cnn")
	dir := t.TempDir()
	pictures, list, search := filepath.Join(dir, "pictures"), filepath.Join(dir, "list.yaml"), filepath.Join(dir, "search.yaml")
	writeClassFolders(t, pictures, 12, 12, color.White)
	writeFile(t, list, "base: {model: logistic, epochs: 1, dataset: "+pictures+"}\ngrid: {seed: 0-1}\n")
	writeFile(t, search, "base: {model: logistic, dataset: "+pictures+"}\nranges: {lr: [0.1, 0.01]}\ntrials: 2\nmax-epochs: 1\n")
	if err := os.Symlink(pictures, filepath.Join(dir, "link")); err != nil {
		t.Skip("skipped: links cannot be made here: ", err)
	}
	train := []string{"train", "--cpu", "--model", "logistic", "--epochs", "1", "--dataset", pictures}
	for _, out := range []string{filepath.Join(pictures, "new"), pictures, filepath.Join(dir, "link", "new", "inner"), filepath.Join(pictures, "low")} {
		for _, args := range [][]string{
			train,
			append(train, "--dry-run"),
			append(train, "--replicas", "2"),
			{"experiment", list, "--cpu"},
			{"experiment", "prepare", list},
			{"search", search, "--cpu"},
			{"data", "audit", "--cpu", "--folds", "0", "--dataset", pictures},
			{"eval", "--cpu", "--checkpoint", checkpoint, "--dataset", pictures},
		} {
			wantFailure(t, append(args, "--out", out), exitUsage, "--out "+out, "inside "+pictures, "name a place elsewhere")
		}
		wantFailure(t, []string{"predict", "--cpu", "--checkpoint", checkpoint, pictures, "--explain", out}, exitUsage, "--explain "+out, "inside "+pictures)
	}
	if entries, err := os.ReadDir(pictures); err != nil || len(entries) != len(stripeClasses) {
		t.Errorf("the dataset holds %v (%v)", entries, err)
	}
	t.Chdir(pictures)
	wantSuccess(t, "predict", "--cpu", "--checkpoint", checkpoint, filepath.Join("low", "0.png"), "--explain", "explained")
	elsewhere := filepath.Join(dir, "elsewhere")
	writeClassFolders(t, elsewhere, 12, 12, color.White)
	for _, args := range [][]string{
		append(train[:len(train):len(train)], "--dataset", elsewhere, "--out", "runs"),
		{"eval", "--cpu", "--checkpoint", checkpoint, "--dataset", elsewhere, "--out", "ev"},
		{"data", "audit", "--cpu", "--folds", "0", "--dataset", elsewhere, "--out", "audit"},
	} {
		wantSuccess(t, args...)
	}
	got := wantSuccess(t, append(train, "--out", filepath.Join(dir, "runs"))...)
	for _, want := range []string{": 3 classes", "The folder " + filepath.Join(pictures, "runs") + " is not used", filepath.Join(pictures, "explained") + " is not used", filepath.Join(pictures, "ev") + " is not used", filepath.Join(pictures, "audit") + " is not used"} {
		if !strings.Contains(got, want) {
			t.Errorf("train prints %q, want %q in it", got, want)
		}
	}
	if _, stderr, code := run(t, "predict", "--cpu", "--checkpoint", checkpoint, pictures); code != exitDone || strings.Count(stderr, "is left out: it holds what this program has written") != 4 {
		t.Errorf("predict: exit code %d, %q", code, stderr)
	}
	wantFailure(t, []string{"predict", "--cpu", "--checkpoint", checkpoint, "runs"}, exitBadFile, "the folder runs holds only what this program has written")
}

// otherClasses returns a dataset of two classes.
func otherClasses(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeClassFolders(t, dir, 12, 4, color.White)
	if err := os.RemoveAll(filepath.Join(dir, "low")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// otherNames returns a copy of a dataset of class folders in which one has another name.
func otherNames(t *testing.T, pictures string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(pictures)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "low"), filepath.Join(dir, "lower")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A set like MNIST, with other classes and images that are not square, is trained
// on and evaluated. The run says which data it used.
func TestIDXFolder(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	letters, out := filepath.Join(dir, "letters"), filepath.Join(dir, "runs")
	writeLetters(t, letters, 26*12, 26*2)
	wantSuccess(t, append(quickly, "--dataset", letters, "--model", "logistic", "--epochs", "3", "--out", out)...)
	run1 := filepath.Join(out, "logistic")
	if m := evaluated(t, "--checkpoint", run1, "--dataset", letters); !(m.Accuracy >= .9) || len(m.PerClass) != 26 || m.Parameters != 26*(20*16+1) {
		t.Errorf("accuracy %.3f of %d classes with %d parameters", m.Accuracy, len(m.PerClass), m.Parameters)
	}
	args, err := os.ReadFile(filepath.Join(run1, trainer.ArgsFile))
	if err != nil || !strings.Contains(string(args), "dataset: "+letters+"\n") {
		t.Errorf("args.yaml (%v) does not name the dataset:\n%s", err, args)
	}
	rows, err := os.ReadFile(filepath.Join(run1, "predictions.csv"))
	if err != nil || !strings.HasPrefix(string(rows), "index,label,predicted,p0,") || !strings.Contains(string(rows), ",p25\n") {
		t.Errorf("predictions.csv (%v) begins %.200s", err, rows)
	}
	// An image from an IDX file is classified as it is, even if its corners are light.
	light := bytes.Repeat([]byte{255}, 20*16)
	for i := range 16 {
		light[10*16+i] = 0
	}
	writeIDX(t, filepath.Join(dir, "light"), light, 1, 20, 16)
	classify := func(more ...string) string {
		return fmt.Sprint(predicted(t, append([]string{"--checkpoint", run1, filepath.Join(dir, "light")}, more...)...))
	}
	if as := classify("--invert", "no"); classify() != as || classify("--invert", "yes") == as {
		t.Errorf("as it is, the light image is %s, by default %s, inverted %s", as, classify(), classify("--invert", "yes"))
	}
	wantSuccess(t, "train", "--resume", run1, "--epochs", "4", "--quiet")
	wantSuccess(t, append(quickly, "--dataset", letters, "--image-size", "12", "--model", "logistic", "--max-steps", "3", "--name", "small", "--out", out)...)
	if got := wantSuccess(t, "summary", filepath.Join(out, "small")); !strings.Contains(got, "images of 12×12×1 and 26 classes") {
		t.Errorf("summary prints %q", got)
	}
	// A run says its dataset, a file does not.
	if got := wantSuccess(t, "eval", "--cpu", "--checkpoint", run1); !strings.Contains(got, "26 classes") {
		t.Errorf("eval of a run prints %q", got)
	}
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", filepath.Join(run1, "weights", "best.safetensors")}, exitBadFile, "takes images of 20×16×1 and 26 classes", "fashion-mnist has images of 28×28×1 and 10 classes", "--dataset")
}

// A picture that cannot be read stops a training, unless it is to be left out.
func TestSkipBad(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, out := filepath.Join(dir, "pictures"), filepath.Join(dir, "runs")
	writeClassFolders(t, pictures, 12, 12, color.White)
	writeFile(t, filepath.Join(pictures, "low", "bad.png"), "no picture")
	args := append(quickly, "--dataset", pictures, "--model", "logistic", "--max-steps", "2", "--out", out)
	wantFailure(t, args, exitBadFile, "1 of 37 pictures", "low/bad.png (not a PNG, JPEG, GIF or WebP picture)", "--skip-bad")
	wantFailure(t, []string{"data", "show", "--dataset", pictures, "--out", filepath.Join(dir, "x.png")}, exitBadFile, "low/bad.png")
	wantFailure(t, []string{"summary", "logistic", "--dataset", pictures}, exitBadFile, "low/bad.png", "--skip-bad")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v (%v) left", left, err)
	}
	got := wantSuccess(t, "train", "--cpu", "--dataset", pictures, "--model", "logistic", "--max-steps", "2", "--out", out, "--skip-bad")
	if !strings.Contains(got, "3 classes, images of 12×12×1, 30 to train on, 6 to test on\nnote: ") || !strings.Contains(got, "note: 1 picture cannot be read and is left out: low/bad.png") {
		t.Errorf("train prints\n%s", got)
	}
	wantSuccess(t, "eval", "--cpu", "--checkpoint", filepath.Join(out, "logistic"), "--dataset", pictures, "--skip-bad")
}

// eval refuses a run whose dataset has changed since the training: an added picture changes
// which pictures are test images.
func TestEvalOfChangedDataset(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, other, out := filepath.Join(dir, "pictures"), filepath.Join(dir, "other"), filepath.Join(dir, "runs")
	writeClassFolders(t, pictures, 12, 12, color.White)
	writeClassFolders(t, other, 12, 9, color.White)
	run1 := filepath.Join(out, "logistic")
	wantSuccess(t, append(quickly, "--dataset", pictures, "--model", "logistic", "--max-steps", "2", "--out", out)...)
	wantSuccess(t, "eval", "--cpu", "--checkpoint", run1)
	writePicture(t, filepath.Join(pictures, "low", "more.png"), stripe(12, 2, 50, color.White))
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", run1}, exitBadFile, "pictures differs from the dataset of "+run1+" (changed: ", "or use --dataset to name")
	for named, want := range map[string]string{pictures: "note: " + pictures + " differs from the dataset of ", other: ""} {
		_, stderr, code := run(t, "eval", "--cpu", "--checkpoint", run1, "--dataset", named)
		if code != exitDone || !strings.HasPrefix(stderr, want) || want == "" && stderr != "" {
			t.Errorf("on %s: exit code %d: %s", named, code, stderr)
		}
	}
	_, stderr, code := run(t, append(quickly, "--dataset", pictures, "--init", run1, "--model", "logistic", "--max-steps", "2", "--out", out)...)
	if code != exitDone || !strings.Contains(stderr, "note: "+pictures+" differs from the dataset of "+run1) || !strings.Contains(stderr, "the weights of --init may") {
		t.Errorf("training from the run's weights: exit code %d: %s", code, stderr)
	}
	wantFailure(t, []string{"train", "--resume", run1, "--max-steps", "4"}, exitBadFile, "restore the original, or start a new run")
}

// Wrong data and wrong flags about them are refused, and leave nothing.
func TestWrongDatasets(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, network, letters := filepath.Join(dir, "pictures"), filepath.Join(dir, "net.yaml"), filepath.Join(dir, "letters")
	writeClassFolders(t, pictures, 12, 6, color.White)
	writeLetters(t, letters, 26*4, 26)
	writeFile(t, network, "layers:\n  - flatten\n  - linear: {out: 10}\n")
	empty, one, file := filepath.Join(dir, "empty"), filepath.Join(dir, "one"), filepath.Join(dir, "file")
	writeFile(t, filepath.Join(empty, "cat", "notes.txt"), "")
	writePicture(t, filepath.Join(empty, "dog", "1.png"), stripe(12, 0, 0, color.White))
	writePicture(t, filepath.Join(one, "cat", "1.png"), stripe(12, 0, 0, color.White))
	writeFile(t, file, "")
	out := filepath.Join(dir, "runs")
	for _, c := range []struct {
		args []string
		code int
		say  []string
	}{
		{[]string{"--dataset", "nowhere"}, exitUsage, []string{`--dataset is "nowhere"`, "fashion-mnist", "folder"}},
		{[]string{"--dataset", filepath.Join(dir, "nowhere")}, exitBadFile, []string{"there is no folder " + filepath.Join(dir, "nowhere")}},
		{[]string{"--dataset", file}, exitBadFile, []string{file + " is a file, not a folder"}},
		{[]string{"--dataset", empty}, exitBadFile, []string{"the class folder " + filepath.Join(empty, "cat") + " holds no pictures"}},
		{[]string{"--dataset", one}, exitBadFile, []string{"one class only"}},
		{[]string{"--dataset", pictures, "--data-dir", dir}, exitUsage, []string{"--data-dir", "--dataset"}},
		{[]string{"--image-size", "32"}, exitUsage, []string{"--image-size 32", "28×28×1"}},
		{[]string{"--dataset", pictures, "--image-size", "5000"}, exitUsage, []string{"--image-size is 5000", "1024"}},
		{[]string{"--dataset", letters, "--model", network}, exitUsage, []string{"10 values, but there are 26 classes"}},
		{[]string{"--dataset", pictures, "--model", "fashioncnn", "--image-size", "2"}, exitUsage, []string{"fashioncnn does not fit images of 2×2×1"}},
	} {
		for _, more := range [][]string{nil, {"--dry-run"}} {
			wantFailure(t, append(append([]string{"train", "--cpu", "--quiet", "--out", out}, c.args...), more...), c.code, c.say...)
		}
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: %s is left (%v)", c.args, out, err)
		}
	}
}

// An error about data says what to run, also for a folder whose name the shell would
// split.
func TestRemedies(t *testing.T) {
	fetch := func(dir string) error {
		return fmt.Errorf("loading: %w", &dataset.FetchError{Text: "no Fashion-MNIST in " + dir, Dir: dir})
	}
	for want, err := range map[string]error{
		"run `fmnist-gpu data fetch --data-dir /data`":                                       fetch("/data"),
		"run `fmnist-gpu data fetch --data-dir '/my data'`":                                  fetch("/my data"),
		"run `fmnist-gpu data fetch`, or name the folder of the files with --data-dir or $F": fetch(""),
		"/p cannot be read: a.png; repair or remove them, or leave them out with --skip-bad": &dataset.UnreadableError{Dir: "/p", Total: 2, Problems: []string{"a.png"}},
	} {
		if got := remedied(err); !strings.Contains(got, want) || exitCode(err) != exitBadFile {
			t.Errorf("%q (exit code %d) lacks %q", got, exitCode(err), want)
		}
	}
	for path, want := range map[string]string{"/a/b": "/a/b", "/a b": "'/a b'", "/it's": `'/it'\''s'`, "/a$b": "'/a$b'", "": "''", "a\tb": "'a\tb'", "^a": "'^a'"} {
		if got := quoted(path); got != want {
			t.Errorf("quoted(%s) = %s, want %s", path, got, want)
		}
	}
}

// Where Fashion-MNIST is looked for: the flag wins, then the environment, and a leading
// ~/ is the home folder, which no shell expands after = in FMNIST_DATA='~/data'.
func TestDataFolders(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv(dataEnvironment, "~/data")
	wantFailure(t, []string{"data", "--json"}, exitBadFile, "no Fashion-MNIST in "+filepath.Join(home, "data")+" ($"+dataEnvironment+")", "data fetch --data-dir "+filepath.Join(home, "data"))
	wantFailure(t, []string{"data", "--data-dir=~/my data"}, exitBadFile, "no Fashion-MNIST in "+filepath.Join(home, "my data")+" (--data-dir)", "data fetch --data-dir '"+filepath.Join(home, "my data")+"'")
}

// A dataset that is missing where a run or a file says is told with who says so and how to
// name another; the user's own flag needs no such remedy.
func TestDatasetMoved(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	letters, moved := filepath.Join(dir, "letters"), filepath.Join(dir, "moved")
	writeLetters(t, letters, 260, 52)
	settings := "base: {model: logistic, batch-size: 64, dataset: " + letters + "}\n"
	experiment, search := filepath.Join(dir, "e.yaml"), filepath.Join(dir, "s.yaml")
	writeFile(t, experiment, settings+"grid: {lr: [0.01]}\n")
	writeFile(t, search, settings+"ranges: {lr: {uniform: [0.001, 0.1]}}\n")
	a, b, jobs := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "jobs")
	for _, run := range []string{a, b} {
		wantSuccess(t, "train", "--cpu", "--model", "logistic", "--dataset", letters, "--epochs", "1", "--out", dir, "--name", filepath.Base(run))
	}
	wantSuccess(t, "experiment", "prepare", experiment, "--out", jobs)
	if err := os.Rename(letters, moved); err != nil {
		t.Fatal(err)
	}
	missing := "there is no folder " + letters
	ofRun := missing + ", the dataset of the run " + a + "; if it has moved, name it with --dataset\n"
	resume := []string{"train", "--cpu", "--resume", a, "--epochs", "2"}
	eval := []string{"eval", "--cpu", "--checkpoint", a}
	for _, c := range []struct {
		args []string
		want string
	}{
		{resume, ofRun},
		{append(slices.Clone(resume), "--resume", b), ofRun},
		{eval, ofRun},
		{append(slices.Clone(eval), "--dataset", letters), missing + "\n"},
		{[]string{"experiment", experiment, "--cpu", "--out", filepath.Join(dir, "e")}, missing + ", the dataset of the experiment; if it has moved, name it with --set dataset=PATH\n"},
		{[]string{"experiment", "run-job", "--cpu", "--dir", jobs, "--index", "0"}, missing + ", the dataset of the experiment; if it has moved, or is elsewhere on this machine, name it with --data-dir\n"},
		{[]string{"search", search, "--cpu", "--out", filepath.Join(dir, "s")}, missing + ", the dataset of the search; if it has moved, change it in the search's file\n"},
	} {
		wantFailure(t, c.args, exitBadFile, c.want)
	}
	wantSuccess(t, append(resume, "--dataset", moved)...)
	wantSuccess(t, append(eval, "--dataset", moved)...)
	wantFailure(t, []string{"experiment", experiment, "--set", "dataset=none", "--cpu", "--out", filepath.Join(dir, "e")}, exitBadFile, "there is no folder ", "none, the dataset of the experiment")
}

// Only a dataset that has changed is a reason to name another: not the damage to args.yaml
// that hides whether it has.
func TestDatasetUnknown(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	letters, run := filepath.Join(dir, "letters"), filepath.Join(dir, "run")
	writeLetters(t, letters, 260, 52)
	wantSuccess(t, "train", "--cpu", "--model", "logistic", "--dataset", letters, "--epochs", "1", "--out", dir, "--name", "run")
	args := filepath.Join(run, trainer.ArgsFile)
	text, err := os.ReadFile(args)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "\nenvironment:")
	writeFile(t, args, before+"\nenvironment:\n    vers")
	wantFailure(t, []string{"eval", "--cpu", "--checkpoint", run}, exitBadFile, "is damaged; restore "+args+" from a copy, or start a new run\n")
}
