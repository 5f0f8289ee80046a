package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// stripes holds the checkpoints that the tests of predict share, and the pictures that
// they were trained on; TestMain removes them.
var stripes struct {
	sync.Once
	dir string
}

// trainedOnStripes returns a folder with the runs cnn and logistic and the dataset
// pictures.
func trainedOnStripes(t *testing.T) string {
	t.Helper()
	stripes.Do(func() {
		dir, err := os.MkdirTemp("", "stripes")
		if err != nil {
			t.Fatal(err)
		}
		stripes.dir = dir
		isolateCache(t)
		pictures, network := filepath.Join(dir, "pictures"), filepath.Join(dir, "cnn.yaml")
		writeClassFolders(t, pictures, 12, 24, color.White)
		writeFile(t, network, tinyCNN)
		for _, model := range []string{network, "logistic"} {
			wantSuccess(t, append(quickly, "--dataset", pictures, "--epochs", "8", "--model", model, "--out", dir)...)
		}
	})
	if _, err := os.Stat(filepath.Join(stripes.dir, "logistic", trainer.MetricsFile)); err != nil {
		t.Fatalf("the checkpoints were not trained: %v", err)
	}
	return stripes.dir
}

// prediction is an element of predict's JSON.
type prediction struct {
	File        string
	Predictions []struct {
		Class       string
		Label       int
		Probability float64
	}
}

// parsePredictions reads predict's JSON, which must hold nothing else.
func parsePredictions(t *testing.T, text string) (list []prediction) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil || list == nil || d.More() {
		t.Fatalf("no list of predictions (%v): %q", err, text)
	}
	return list
}

// predicted returns what predict --json prints.
func predicted(t *testing.T, args ...string) []prediction {
	t.Helper()
	return parsePredictions(t, wantSuccess(t, append([]string{"predict", "--cpu", "--json"}, args...)...))
}

// A folder's pictures are classified, from the checkpoint alone.
func TestPredict(t *testing.T) {
	dir := trainedOnStripes(t)
	moved := filepath.Join(t.TempDir(), "moved.safetensors")
	weights, err := os.ReadFile(filepath.Join(dir, "cnn", "weights", "best.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, moved, string(weights))
	pictures := filepath.Join(dir, "pictures")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(pictures, link); err != nil {
		t.Skip(err)
	}
	list := predicted(t, "--checkpoint", moved, link)
	right := 0
	for _, p := range list {
		sum, last := 0., 1.
		for _, c := range p.Predictions {
			if stripeClasses[c.Label] != c.Class || c.Probability > last {
				t.Errorf("%s: %+v", p.File, p.Predictions)
			}
			sum, last = sum+c.Probability, c.Probability
		}
		if len(p.Predictions) != 3 || !(sum > .999 && sum < 1.001) {
			t.Errorf("%s: %+v", p.File, p.Predictions)
		}
		if p.Predictions[0].Class == filepath.Base(filepath.Dir(p.File)) {
			right++
		}
	}
	if len(list) != 72 || right < 65 || list[0].File != filepath.Join(link, "high", "0.png") {
		t.Errorf("%d pictures, %d right, the first is %s", len(list), right, list[0].File)
	}
	// A picture of another size and format gives much the same.
	large := filepath.Join(t.TempDir(), "large.png")
	writePicture(t, large, stripe(60, 2, 0, color.White))
	if got := predicted(t, "--checkpoint", moved, large, "--top", "1"); len(got) != 1 || len(got[0].Predictions) != 1 || got[0].Predictions[0].Class != "low" {
		t.Errorf("a large picture: %+v", got)
	}
	text := wantSuccess(t, "predict", "--cpu", "--checkpoint", moved, large, "--top", "2")
	if !strings.HasPrefix(text, large+"  low ") || strings.Count(text, " %") != 2 || strings.Count(text, "\n") != 1 {
		t.Errorf("predict prints %q", text)
	}
	rows, err := csv.NewReader(strings.NewReader(wantSuccess(t, "predict", "--cpu", "--checkpoint", moved, large, "--csv"))).ReadAll()
	if err != nil || len(rows) != 4 || strings.Join(rows[0], ",") != "file,rank,class,label,probability" || rows[1][0] != large || rows[1][2] != "low" || rows[3][1] != "3" {
		t.Errorf("--csv prints %v (%v)", rows, err)
	}
}

// Pictures in folders that links lead to are found, each once; names that are not text do no
// harm.
func TestPredictLinksAndNames(t *testing.T) {
	checkpoint, dir, elsewhere := filepath.Join(trainedOnStripes(t), "cnn"), t.TempDir(), t.TempDir()
	odd := "b\xff\t\n.png"
	if runtime.GOOS != "linux" {
		odd = "b\t\n.png"
	}
	for _, folder := range []string{filepath.Join(dir, "real"), elsewhere} {
		writePicture(t, filepath.Join(folder, "a.png"), stripe(12, 0, 1, color.White))
		writePicture(t, filepath.Join(folder, odd), stripe(12, 1, 1, color.White))
	}
	if err := errors.Join(os.Symlink("../real", filepath.Join(dir, "real", "again")), os.Symlink("real", filepath.Join(dir, "same")), os.Symlink(elsewhere, filepath.Join(dir, "to.png"))); err != nil {
		t.Skip("this system has no links: ", err)
	}
	lines := strings.Split(strings.TrimSpace(wantSuccess(t, "predict", "--cpu", "--checkpoint", checkpoint, dir)), "\n")
	if all := strings.Join(lines, ""); len(lines) != 4 || strings.Contains(all, "\t") || !utf8.ValidString(all) || !strings.HasPrefix(lines[3], filepath.Join(dir, "to.png", "b")) {
		t.Errorf("predict prints %q", lines)
	}
	rows, err := csv.NewReader(strings.NewReader(wantSuccess(t, "predict", "--cpu", "--checkpoint", checkpoint, dir, "--top", "1", "--csv"))).ReadAll()
	if err != nil || len(rows) != 5 || rows[2][0] != filepath.Join(dir, "real", odd) {
		t.Errorf("--csv prints %q (%v)", rows, err)
	}
	_, stderr, code := run(t, "predict", "--cpu", "--checkpoint", checkpoint, dir, "--json")
	if note := "note: some names of files are not UTF-8"; code != exitDone || strings.HasPrefix(stderr, note) != !utf8.ValidString(odd) {
		t.Errorf("--json: exit code %d, %q", code, stderr)
	}
}

// A negative of a picture is the same to the network if it is inverted.
func TestPredictInvert(t *testing.T) {
	dir := trainedOnStripes(t)
	dark, light := stripe(12, 1, 3, color.White), stripe(12, 1, 3, color.White)
	for i := range light.Pix {
		if i%4 != 3 {
			light.Pix[i] = 255 - light.Pix[i]
		}
	}
	files := []string{filepath.Join(t.TempDir(), "dark.png"), filepath.Join(t.TempDir(), "light.png")}
	writePicture(t, files[0], dark)
	writePicture(t, files[1], light)
	checkpoint := filepath.Join(dir, "cnn")
	as, inverted := predicted(t, "--checkpoint", checkpoint, files[0], "--invert", "no"), predicted(t, "--checkpoint", checkpoint, files[1], "--invert", "yes")
	if a, b := fmt.Sprint(as[0].Predictions), fmt.Sprint(inverted[0].Predictions); a != b || as[0].Predictions[0].Class != "middle" {
		t.Errorf("the picture is %s, its negative inverted %s", a, b)
	}
	if plain := predicted(t, "--checkpoint", checkpoint, files[1], "--invert", "no"); fmt.Sprint(plain[0].Predictions) == fmt.Sprint(as[0].Predictions) {
		t.Errorf("without --invert the negative is also %v", as[0].Predictions)
	}
}

// Wrong usage and missing files are refused in one line.
func TestPredictRefuses(t *testing.T) {
	dir := trainedOnStripes(t)
	checkpoint, picture, empty := filepath.Join(dir, "cnn"), filepath.Join(dir, "pictures", "low", "1.png"), t.TempDir()
	writeFile(t, filepath.Join(empty, "notes.txt"), "")
	writeFile(t, filepath.Join(empty, ".hidden", "x.png"), "")
	explained := filepath.Join(t.TempDir(), "explained")
	for _, c := range []struct {
		args []string
		code int
		say  []string
	}{
		{nil, exitUsage, []string{"name the pictures to classify"}},
		{[]string{picture}, exitUsage, []string{"--checkpoint is missing"}},
		{[]string{picture, "--checkpoint", filepath.Join(dir, "nowhere")}, exitBadFile, []string{"nowhere"}},
		{[]string{picture, "--checkpoint", picture}, exitBadFile, []string{picture}},
		{[]string{"nowhere.png", "--checkpoint", checkpoint}, exitBadFile, []string{"cannot read nowhere.png: no such file"}},
		{[]string{empty, "--checkpoint", checkpoint}, exitBadFile, []string{"the folder " + empty + " holds no pictures"}},
		{[]string{picture, "--checkpoint", checkpoint, "--json", "--csv"}, exitUsage, []string{"--json and --csv"}},
		{[]string{picture, "--checkpoint", checkpoint, "--top", "0"}, exitUsage, []string{"--top is 0"}},
		{[]string{picture, "--checkpoint", checkpoint, "--invert", "maybe"}, exitUsage, []string{"--invert", "auto, yes or no"}},
		{[]string{picture, "--checkpoint", checkpoint, "--index", "0"}, exitUsage, []string{"--index applies only to IDX files, and " + picture}},
		{[]string{picture, "--checkpoint", checkpoint, "--cam", "gradcam"}, exitUsage, []string{"--cam", "--explain"}},
		{[]string{picture, "--checkpoint", filepath.Join(dir, "logistic"), "--explain", explained}, exitUsage, []string{"--explain", "logistic has no convolutions"}},
		{[]string{picture, "--checkpoint", checkpoint, "--explain", picture}, exitFailed, []string{"cannot create the folder " + picture, "--explain"}},
		{[]string{picture, "--checkpoint", checkpoint, "--device", "99"}, exitNoDevice, nil},
	} {
		args := append([]string{"predict"}, c.args...)
		if c.code != exitNoDevice {
			args = append(args, "--cpu")
		}
		wantFailure(t, args, c.code, c.say...)
		if stdout, _, _ := run(t, args...); stdout != "" {
			t.Errorf("%v: printed %q", args, stdout)
		}
	}
	if _, err := os.Stat(explained); err == nil {
		t.Error("--explain made its folder for a network that cannot be explained")
	}
}

// Pictures that cannot be read do not keep the others from being classified.
func TestPredictUnreadable(t *testing.T) {
	checkpoint := filepath.Join(trainedOnStripes(t), "cnn")
	dir := t.TempDir()
	good := filepath.Join(dir, "good.png")
	writePicture(t, good, stripe(12, 0, 0, color.White))
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.png")
	writeFile(t, bad, string(whole[:len(whole)-20]))
	args := []string{"predict", "--cpu", "--json", "--checkpoint", checkpoint, dir, filepath.Join(dir, "good.png"), os.DevNull}
	stdout, stderr, code := run(t, args...)
	if list := parsePredictions(t, stdout); len(list) != 2 || list[0].File != good || list[1].File != good {
		t.Errorf("%+v", list)
	}
	if code != exitBadFile || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fmnist-gpu: bad or missing data: 2 of 4 pictures cannot be read: "+bad+" (damaged PNG") || !strings.Contains(stderr, os.DevNull+" (not a regular file)") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	many := t.TempDir()
	for i := range 12 {
		writeFile(t, filepath.Join(many, strconv.Itoa(i)+".png"), "x")
	}
	stdout, stderr, code = run(t, "predict", "--cpu", "--json", "--checkpoint", checkpoint, many)
	if stdout != "[]\n" || code != exitBadFile || !strings.Contains(stderr, "12 of 12 pictures") || strings.Count(stderr, ".png") != 10 || !strings.HasSuffix(stderr, " and 2 more\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// An IDX file is recognised by its content, and gives the images asked for.
func TestPredictIDX(t *testing.T) {
	checkpoint := filepath.Join(trainedOnStripes(t), "cnn")
	dir := t.TempDir()
	var pixels []byte
	for _, class := range []int{0, 1, 2, 1} {
		for i, v := range stripe(12, class, 5, color.White).Pix {
			if i%4 == 0 {
				pixels = append(pixels, v)
			}
		}
	}
	images, packed := filepath.Join(dir, "images"), filepath.Join(dir, "images.dat")
	writeIDX(t, images, pixels, 4, 12, 12)
	content, err := os.ReadFile(images)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w := gzip.NewWriter(&file)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, packed, file.String())
	var got []string
	for _, p := range predicted(t, "--checkpoint", checkpoint, images) {
		got = append(got, filepath.Base(p.File)+" "+p.Predictions[0].Class)
	}
	for _, p := range predicted(t, "--checkpoint", checkpoint, packed, "--index", "2,0-1") {
		got = append(got, filepath.Base(p.File)+" "+p.Predictions[0].Class)
	}
	if want := "images[0] high, images[1] middle, images[2] low, images[3] middle, images.dat[2] low, images.dat[0] high, images.dat[1] middle"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
	turned := make([]byte, len(pixels)) // as EMNIST has them
	for i, v := range pixels {
		turned[i/144*144+i%12*12+i%144/12] = v
	}
	emnist := filepath.Join(dir, "emnist-stripes-test-images-idx3-ubyte")
	writeIDX(t, emnist, turned, 4, 12, 12)
	for i, p := range predicted(t, "--checkpoint", checkpoint, emnist) {
		if want := []string{"high", "middle", "low", "middle"}[i]; p.Predictions[0].Class != want {
			t.Errorf("%s is %s, want %s", p.File, p.Predictions[0].Class, want)
		}
	}
	named := filepath.Join(dir, "t10k-images-idx3-ubyte") // but a picture
	writePicture(t, named, stripe(12, 2, 1, color.White))
	if list := predicted(t, "--checkpoint", checkpoint, named); len(list) != 1 || list[0].Predictions[0].Class != "low" {
		t.Errorf("a picture with the name of an IDX file: %+v", list)
	}
	labels, cut := filepath.Join(dir, "labels"), filepath.Join(dir, "cut")
	writeIDX(t, labels, []byte{1, 2}, 2)
	writeFile(t, cut, string(content[:100]))
	wantFailure(t, []string{"predict", "--cpu", "--checkpoint", checkpoint, images, "--index", "4"}, exitUsage, "--index 4: the file has images 0 to 3")
	wantFailure(t, []string{"predict", "--cpu", "--checkpoint", checkpoint, images, "--index", "x"}, exitUsage, "--index is", "such as 0,3 or 0-9")
	wantFailure(t, []string{"predict", "--cpu", "--checkpoint", checkpoint, labels}, exitBadFile, labels+" (holds data of shape (2), want (N, height, width)")
	wantFailure(t, []string{"predict", "--cpu", "--checkpoint", checkpoint, cut}, exitBadFile, cut+" (cut short")
}

// --explain writes one picture for each, also where names would be the same.
func TestPredictExplain(t *testing.T) {
	checkpoint := filepath.Join(trainedOnStripes(t), "cnn")
	dir := t.TempDir()
	t.Chdir(dir)
	files := []string{"a/b.png", "a_b.png", "A_B.png", strings.Repeat("long/", 100) + "c.png"}
	for i, file := range files {
		writePicture(t, file, stripe(12, i%3, 0, color.White))
	}
	out := filepath.Join(dir, "explained")
	for _, cam := range []string{"hirescam", "gradcam"} {
		args := append([]string{"--checkpoint", checkpoint, "--explain", out, "--cam", cam}, files...)
		if list := predicted(t, args...); len(list) != len(files) {
			t.Errorf("%d predictions", len(list))
		}
	}
	written, err := filepath.Glob(filepath.Join(out, "*.png"))
	if err != nil || len(written) != len(files) {
		t.Fatalf("%v (%v) written for %d pictures", written, err, len(files))
	}
	for i, name := range []string{"a_b.png.png", "a_b.png-2.png", "A_B.png-3.png"} {
		file, err := os.Open(filepath.Join(out, name))
		if err != nil {
			t.Error(err)
			continue
		}
		p, err := png.Decode(file)
		if err != nil || p.Bounds() != image.Rect(0, 0, 2*276, 276) {
			t.Fatalf("%s: %v", name, err)
		}
		// The left half is what the network saw, the class's stripe in it.
		if r, _, _, _ := p.At(100, 23*(2+i*2)+35).RGBA(); r>>8 < 128 {
			t.Errorf("%s: the stripe of class %d is dark: %d", name, i, r>>8)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Names of pictures and folders reach a terminal without what it would take for a command.
func TestNamesArePrintable(t *testing.T) {
	isolateCache(t)
	checkpoint, dir := filepath.Join(trainedOnStripes(t), "cnn"), t.TempDir()
	writeClassFolders(t, dir, 12, 12, color.White)
	const name = "\x1b]0;changed title\a\u009b1m.png"
	if err := os.WriteFile(filepath.Join(dir, "low", name), []byte("GIF89a"), 0o666); err != nil {
		t.Skip("skipped: this file system takes no such name: ", err)
	}
	writeFile(t, filepath.Join(dir, "\x1b[31m", trainer.ArgsFile), "")
	train := []string{"train", "--cpu", "--dataset", dir, "--dry-run"}
	for _, c := range []struct {
		args []string
		code int
	}{
		{train, exitBadFile},
		{append(train, "--skip-bad"), exitDone},
		{[]string{"predict", "--cpu", "--checkpoint", checkpoint, dir}, exitBadFile},
		{[]string{"predict", "--cpu", "--checkpoint", checkpoint, filepath.Join(dir, "\x1b[31m")}, exitBadFile},
	} {
		stdout, stderr, code := run(t, c.args...)
		if all := stdout + stderr; code != c.code || strings.ContainsAny(all, "\x1b\a\u009b") || !strings.ContainsRune(all, utf8.RuneError) {
			t.Errorf("%q: exit code %d, prints %q", c.args, code, all)
		}
	}
}

// An interruption ends the program with its exit code and no result.
func TestPredictInterrupted(t *testing.T) {
	checkpoint := filepath.Join(trainedOnStripes(t), "cnn")
	dir := t.TempDir()
	images, out := filepath.Join(dir, "images"), filepath.Join(dir, "explained")
	const n = 20_000
	writeIDX(t, images, make([]byte, n*12*12), n, 12, 12)
	c := program(t, "predict", "--cpu", "--json", "--checkpoint", checkpoint, images, "--explain", out)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if written, err := os.ReadDir(out); err == nil && len(written) > 1 { // than the mark of the folder
			break
		}
		if time.Since(began) > time.Minute {
			_ = c.Process.Kill()
			t.Fatalf("nothing is explained: %s", stderr.String())
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted || stdout.Len() != 0 || stderr.Len() != 0 {
		t.Errorf("exit code %d, printed %q and %q", code, stdout.String(), stderr.String())
	}
}
