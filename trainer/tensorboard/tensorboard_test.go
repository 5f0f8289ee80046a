package tensorboard_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/tensorboardtest"
)

// create writes scalars x at the steps from first to last to a new file, and returns
// its name.
func create(t *testing.T, dir string, first, last int) string {
	t.Helper()
	before := names(t, dir)
	w, err := tensorboard.Create(dir, int64(first))
	if err != nil {
		t.Fatal(err)
	}
	for step := first; step <= last; step++ {
		if err := w.Write(tensorboard.Event{Step: int64(step), Values: []tensorboard.Value{tensorboard.Scalar("x", float64(step)/4)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		t.Fatal(err)
	}
	after := names(t, dir)
	if len(after) != len(before)+1 {
		t.Fatalf("%q became %q", before, after)
	}
	return after[len(after)-1]
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// steps lists the steps of the values in a folder.
func steps(t *testing.T, dir string) string {
	t.Helper()
	var list []int64
	for _, v := range tensorboardtest.Folder(t, dir) {
		if v.Tag != "x" || v.Message.GetSimpleValue() != float32(v.Step)/4 {
			t.Errorf("step %d: %v", v.Step, v.Message)
		}
		list = append(list, v.Step)
	}
	return fmt.Sprint(list)
}

func TestFilesFollowEachOther(t *testing.T) {
	dir := t.TempDir()
	start := float64(time.Now().Unix())
	for i := range 3 { // within a second
		name := create(t, dir, 2*i+1, 2*i+2)
		if !regexp.MustCompile(fmt.Sprintf(`^events\.out\.tfevents\.\d{10}\..+\.%d\.%d$`, os.Getpid(), i)).MatchString(name) {
			t.Errorf("file %d is called %s", i, name)
		}
	}
	if got := steps(t, dir); got != "[1 2 3 4 5 6]" {
		t.Errorf("steps %s", got)
	}
	for _, v := range tensorboardtest.Folder(t, dir) {
		if !(v.Time >= start && v.Time < start+60) {
			t.Errorf("step %d at %v, want about %v", v.Step, v.Time, start)
		}
	}
}

// Wherever a write is cut off, what came before remains.
func TestIncompleteRecordsAreRemoved(t *testing.T) {
	whole := t.TempDir()
	name := create(t, whole, 1, 3)
	data, err := os.ReadFile(filepath.Join(whole, name))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		events, _ := tensorboardtest.Events(t, data[:n])
		if err := tensorboard.Keep(dir, func(int64, []string) bool { return true }); err != nil {
			t.Fatal(err)
		}
		want := [...]string{"[]", "[]", "[]", "[1]", "[1 2]"}[len(events)]
		if got := steps(t, dir); got != want {
			t.Fatalf("the first %d bytes: steps %s, want %s", n, got, want)
		}
		if _, err := os.Stat(path); (err == nil) != (want != "[]") {
			t.Fatalf("the first %d bytes: the file: %v", n, err)
		}
	}
	data[len(data)-6]++
	if err := os.WriteFile(filepath.Join(whole, name), data, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := tensorboard.Keep(whole, func(int64, []string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if got := steps(t, whole); got != "[1 2]" {
		t.Errorf("the last record damaged: steps %s", got)
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, 1, 3)
	second := create(t, dir, 4, 6)
	other := filepath.Join(dir, "results.csv")
	if err := os.WriteFile(other, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	keep := func(last int64) {
		t.Helper()
		if err := tensorboard.Keep(dir, func(step int64, tags []string) bool { return step <= last && tags[0] == "x" && len(tags) == 1 }); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(filepath.Join(dir, second))
	if err != nil {
		t.Fatal(err)
	}
	keep(6)
	if after, err := os.ReadFile(filepath.Join(dir, second)); err != nil || !bytes.Equal(after, before) {
		t.Errorf("all kept: the file has changed (%v)", err)
	}
	keep(5)
	if got := steps(t, dir); got != "[1 2 3 4 5]" {
		t.Errorf("steps %s", got)
	}
	keep(2)
	if got := steps(t, dir); got != "[1 2]" || len(names(t, dir)) != 2 {
		t.Errorf("steps %s in %q, want the empty file removed", got, names(t, dir))
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "mine" {
		t.Errorf("another file: %q, %v", text, err)
	}
	large := filepath.Join(dir, "events.out.tfevents.large")
	if err := errors.Join(os.WriteFile(large, nil, 0o666), os.Truncate(large, 1<<30+1)); err != nil {
		t.Fatal(err)
	}
	keep(1)
	if info, err := os.Stat(large); err != nil || info.Size() != 1<<30+1 {
		t.Errorf("a file too large to read has changed: %v", err)
	}
	if err := os.Remove(large); err != nil {
		t.Fatal(err)
	}
	if got := steps(t, dir); got != "[1]" {
		t.Errorf("beside a large file: steps %s", got)
	}
	if err := tensorboard.Keep(filepath.Join(dir, "missing"), nil); err == nil {
		t.Error("no error for a missing folder")
	}
}

func TestImage(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	v, err := tensorboard.Image("picture", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w, err := tensorboard.Create(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(tensorboard.Event{Step: 7, Values: []tensorboard.Value{v}}), w.Close()); err != nil {
		t.Fatal(err)
	}
	list := tensorboardtest.Folder(t, dir)
	if len(list) != 1 || list[0].Tag != "picture" || list[0].Step != 7 {
		t.Fatalf("%v", list)
	}
	if p := list[0].Message.GetImage(); p.Width != 3 || p.Height != 2 || !bytes.Equal(p.EncodedImageString, b.Bytes()) {
		t.Errorf("%v", p)
	}
	if _, err := tensorboard.Image("none", []byte("text")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("not a PNG file: %v", err)
	}
}

func TestSession(t *testing.T) {
	start, err := tensorboard.Started(map[string]any{"lr": .5, "shuffle": true, "optimizer": "adam", "epochs": 3})
	if err != nil {
		t.Fatal(err)
	}
	end, err := tensorboard.Finished()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w, err := tensorboard.Create(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(tensorboard.Event{Values: []tensorboard.Value{start, end}}), w.Close()); err != nil {
		t.Fatal(err)
	}
	list := tensorboardtest.Folder(t, dir)
	if len(list) != 2 || list[0].Tag != "_hparams_/session_start_info" || list[1].Tag != "_hparams_/session_end_info" {
		t.Fatalf("%v", list)
	}
	info := list[0].HParams(t).GetSessionStartInfo()
	if h := info.GetHparams(); len(h) != 4 || h["lr"].GetNumberValue() != .5 || !h["shuffle"].GetBoolValue() || h["optimizer"].GetStringValue() != "adam" || h["epochs"].GetNumberValue() != 3 {
		t.Errorf("%v", h)
	}
	if e := list[1].HParams(t).GetSessionEndInfo(); e.Status.String() != "STATUS_SUCCESS" || !(e.EndTimeSecs >= info.GetStartTimeSecs()) {
		t.Errorf("%v", e)
	}
	if _, err := tensorboard.Started(map[string]any{"lr": struct{}{}}); err == nil {
		t.Error("a struct is accepted as a hyperparameter")
	}
}
