package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
)

// writeBareCheckpoint writes the weights of the model logistic, without metadata.
func writeBareCheckpoint(t *testing.T, path string) {
	t.Helper()
	err := checkpoint.Save(path, []checkpoint.Tensor{
		{Name: "linear.weight", Shape: []int{10, 784}, Data: make([]float32, 7840)},
		{Name: "linear.bias", Shape: []int{10}, Data: make([]float32, 10)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	bare := filepath.Join(dir, "bare.safetensors")
	writeBareCheckpoint(t, bare)
	model := filepath.Join(dir, "model.onnx")
	var sizes []int
	for _, more := range [][]string{nil, {"--input", "uint8", "--fold"}} { // the second time, over the first
		stdout, stderr, code := run(t, append([]string{"export", "--checkpoint", bare, "--out", model}, more...)...)
		if want := model + ": logistic, for images of 28×28×1 and 10 classes, "; code != exitDone || stderr != "" || !strings.HasPrefix(stdout, want) {
			t.Fatalf("%v: exit code %d, %q, %q", more, code, stdout, stderr)
		}
		b, err := os.ReadFile(model)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("Ankle boot")) || !bytes.Contains(b, []byte("linear.weight")) {
			t.Errorf("%v: the file has no classes or no weights", more)
		}
		sizes = append(sizes, len(b))
	}
	if sizes[1] <= sizes[0] {
		t.Errorf("%d bytes without and %d with normalisation", sizes[0], sizes[1])
	}

	described := filepath.Join(dir, "described") // the format is named
	if _, stderr, code := run(t, "export", "--checkpoint", bare, "--out", described, "--format", "safetensors"); code != exitDone {
		t.Fatal(code, stderr)
	}
	f, err := checkpoint.Load(described)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"model", "network", "classes", "image_size", "channels", "normalization", "select_on"} {
		if f.Metadata[key] == "" {
			t.Errorf("the metadata has no %s", key)
		}
	}
}

// /dev/stdout is written to, also if it is a file: what is in it stays.
func TestExportToStandardOutput(t *testing.T) {
	dir := t.TempDir()
	bare, plain := filepath.Join(dir, "bare.safetensors"), filepath.Join(dir, "plain")
	writeBareCheckpoint(t, bare)
	export := []string{"export", "--checkpoint", bare, "--format", "safetensors", "--out"}
	wantSuccess(t, append(export, plain)...)
	if _, err := os.Stat("/dev/stdout"); err != nil {
		t.Skip("skipped: standard output has no path here: ", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("precious\n"); err != nil {
		t.Fatal(err)
	}
	c := program(t, append(export, "/dev/stdout")...)
	c.Stdout = log
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	want, errPlain := os.ReadFile(plain)
	got, errLog := os.ReadFile(log.Name())
	if errPlain != nil || errLog != nil || string(got) != "precious\n"+string(want) {
		t.Errorf("%d bytes (%v, %v), want what was there and the model's %d", len(got), errPlain, errLog, len(want))
	}
}

func TestExportFailures(t *testing.T) {
	dir := t.TempDir()
	bare := filepath.Join(dir, "bare.safetensors")
	writeBareCheckpoint(t, bare)
	onnx, none := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "none")
	for _, c := range []struct {
		args  []string
		code  int
		words []string
	}{
		{nil, exitUsage, []string{"--checkpoint is missing"}},
		{[]string{bare}, exitUsage, []string{"takes no arguments", "--checkpoint", "--out"}},
		{[]string{"--checkpoint", bare}, exitUsage, []string{"--out is missing", "model.onnx"}},
		{[]string{"--checkpoint", bare, "--out", "-", "--format", "onnx"}, exitUsage, []string{`--out is "-"`, "/dev/stdout"}},
		{[]string{"--checkpoint", bare, "--out", onnx, "--format", "tflite"}, exitUsage, []string{`--format is "tflite"`, "onnx or safetensors"}},
		{[]string{"--checkpoint", bare, "--out", onnx, "--input", "int8"}, exitUsage, []string{`--input is "int8"`, "float32 or uint8"}},
		{[]string{"--checkpoint", bare, "--out", filepath.Join(dir, "model")}, exitUsage, []string{"ends with neither", "--format onnx"}},
		{[]string{"--checkpoint", bare, "--out", filepath.Join(dir, "m.safetensors"), "--fold"}, exitUsage, []string{"--fold applies only", "onnx"}},
		{[]string{"--checkpoint", bare, "--out", onnx, "--format", "safetensors", "--input", "uint8"}, exitUsage, []string{"--input applies only"}},
		{[]string{"--checkpoint", none, "--out", onnx}, exitBadFile, []string{none}},
		{[]string{"--checkpoint", bare, "--out", filepath.Join(none, "m.onnx")}, exitFailed, []string{"the folder " + none + " does not exist", "create it"}},
		{[]string{"--checkpoint", bare, "--out", dir, "--format", "onnx"}, exitFailed, []string{dir, "a folder of that name is in the way"}},
	} {
		wantFailure(t, append([]string{"export"}, c.args...), c.code, c.words...)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder holds %v, want the checkpoint alone", entries)
	}
}
