package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// No command replaces a file that it reads, by any name, or one of a run or a dataset.
func TestOutputIsNoInput(t *testing.T) {
	isolateCache(t)
	dir, trained := t.TempDir(), trainedOnStripes(t)
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	if err := os.CopyFS(at("runs/cnn"), os.DirFS(filepath.Join(trained, "cnn"))); err != nil {
		t.Fatal(err)
	}
	network, letters := at("net.yaml"), at("letters")
	writeFile(t, network, tinyCNN)
	writeLetters(t, letters, 26*12, 26*2)
	best, last := at("runs/cnn/"+trainer.BestWeights), at("runs/cnn/"+trainer.LastWeights)
	bare, twins := at("bare.safetensors"), at("twins.csv")
	writeFile(t, twins, "split_a,index_a,label_a,split_b,index_b,label_b,distance,same_bytes\n")
	weights, err := os.ReadFile(best)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, bare, string(weights))
	if err := os.Symlink("bare.safetensors", at("link")); err != nil {
		t.Skip("skipped: links cannot be made here: ", err)
	}
	args, metrics, images := at("runs/cnn/"+trainer.ArgsFile), at("runs/cnn/"+trainer.MetricsFile), at("letters/train-images-idx3-ubyte")
	pictures := filepath.Join(trained, "pictures")
	wantSuccess(t, "record", at("runs"), "--out", at("earlier"))
	writeFile(t, at("lists/best.yaml"), "base: {model: logistic}\nranges: {lr: [0.1, 0.01]}\ntrials: 2\nmax-epochs: 1\n")
	writeFile(t, at("lists/kubernetes.yaml"), "base: {model: logistic, epochs: 1}\n")
	for name, command := range map[string][]string{
		"best.yaml":       {"search", "--cpu"},
		"kubernetes.yaml": {"experiment", "--executor", "kubernetes", "--image", "i", "--claim", "c"},
	} {
		file := at("lists/" + name)
		wantFailure(t, append(command, file, "--out", at("lists")), exitUsage, file+" would replace what is read")
	}
	before := filesOf(t, dir)
	eval := []string{"eval", "--cpu", "--dataset", pictures, "--checkpoint"}
	for _, c := range [][]string{
		{"export", "--checkpoint", bare, "--format", "onnx", "--out", bare},
		{"export", "--checkpoint", at("link"), "--format", "safetensors", "--out", bare},
		{"export", "--checkpoint", bare, "--format", "safetensors", "--out", at("link")},
		{"export", "--checkpoint", bare, "--model", network, "--format", "onnx", "--out", network},
		{"export", "--checkpoint", best, "--out", last},
		{"export", "--checkpoint", at("runs/cnn"), "--format", "onnx", "--out", metrics},
		append(eval, bare, "--predictions", bare),
		append(eval, at("runs/cnn"), "--predictions", args),
		append(eval, bare, "--ensemble", best, "--predictions", best),
		append(eval, bare, "--without", twins, "--predictions", twins),
		{"eval", "--cpu", "--dataset", letters, "--checkpoint", bare, "--predictions", images},
		{"data", "show", "--dataset", letters, "--out", images},
		{"data", "show", "--dataset", pictures, "--out", filepath.Join(pictures, "low", "0.png")},
		{"data", "show", "--dataset", pictures, "--out", filepath.Join(pictures, "low", "new.png")},
		{"lr-find", "--cpu", "--config", args, "--out", args},
		{"lr-find", "--cpu", "--config", network, "--out", network},
		{"lr-find", "--cpu", "--model", network, "--dataset", pictures, "--out", network},
		{"lr-find", "--cpu", "--init", bare, "--dataset", pictures, "--out", bare},
		{"lr-find", "--cpu", "--dataset", pictures, "--out", filepath.Join(pictures, "low", "new.png")},
		{"report", at("runs/cnn"), "--out", metrics},
		{"report", at("runs"), "--out", args},
		{"record", at("runs"), "--out", at("runs/cnn/metrics")},
		{"record", at("runs"), "--with", at("earlier.json"), "--out", at("earlier")},
	} {
		wantFailure(t, c, exitUsage, c[len(c)-1])
	}
	if text := difference(filesOf(t, dir), before); text != "" {
		t.Error(text)
	}
	for range 2 { // what the commands make may be there
		wantSuccess(t, "report", at("runs/cnn"), "--out", at("runs/cnn/report.html"))
		wantSuccess(t, "record", at("runs/cnn"))
		wantSuccess(t, "record", at("runs"), "--out", at("runs/fast"))
		wantSuccess(t, "export", "--checkpoint", at("runs/cnn"), "--out", at("runs/cnn/model.onnx"))
		wantSuccess(t, append(eval, bare, "--predictions", at("predictions.csv"))...)
		wantSuccess(t, "data", "show", "--dataset", letters, "--out", at("letters/samples.png"))
	}
}

// Standard output is written to, not replaced, and may lead anywhere.
func TestStandardOutputInRun(t *testing.T) {
	if _, err := os.Stat("/dev/stdout"); err != nil {
		t.Skip("skipped: standard output has no path here: ", err)
	}
	run := filepath.Join(t.TempDir(), "cnn")
	if err := os.CopyFS(run, os.DirFS(filepath.Join(trainedOnStripes(t), "cnn"))); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(run, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := program(t, "eval", "--cpu", "--checkpoint", run, "--predictions", "/dev/stdout")
	c.Stdout = log
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(log.Name())
	if before, after, ok := strings.Cut(string(text), "\nindex,label,predicted,"); err != nil || !ok || !strings.HasPrefix(before, "dataset: ") || !strings.Contains(after, "accuracy ") {
		t.Errorf("standard output holds %.300q (%v)", text, err)
	}
}

// A file that cannot be written is found before the work, and what is wrong is told.
func TestOutFileChecked(t *testing.T) {
	dir := t.TempDir()
	file, none := filepath.Join(dir, "file"), filepath.Join(dir, "none")
	writeFile(t, file, "")
	nothing := filepath.Join(dir, "nothing") // which no command gets to read
	for _, c := range [][]string{
		{"export", "--checkpoint", nothing, "--format", "onnx", "--out"},
		{"eval", "--cpu", "--checkpoint", nothing, "--predictions"},
		{"data", "show", "--dataset", nothing, "--out"},
		{"lr-find", "--cpu", "--dataset", nothing, "--out"},
		{"report", nothing, "--out"},
		{"record", nothing, "--out"},
	} {
		flag := c[len(c)-1]
		wantFailure(t, append(c, filepath.Join(none, "x")), exitFailed, "the folder "+none+" does not exist", "create it", flag)
		wantFailure(t, append(c, filepath.Join(file, "x")), exitFailed, file+" is not a folder", flag)
		wantFailure(t, append(c, filepath.Join(file, "inner", "x")), exitFailed, filepath.Join(file, "inner")+" is not a folder", flag)
		if c[0] != "record" { // which writes to a file in that folder
			wantFailure(t, append(c, dir), exitFailed, "a folder of that name is in the way", flag)
		}
	}
}
