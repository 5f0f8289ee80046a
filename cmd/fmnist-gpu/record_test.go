package main

import (
	"encoding/json"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// A training becomes a record, with seconds because it was trained in one go.
func TestRecord(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, runs, twins := filepath.Join(dir, "pictures"), filepath.Join(dir, "runs"), filepath.Join(dir, "twins.csv")
	writeClassFolders(t, pictures, 12, 24, color.White)
	wantSuccess(t, append(quickly, "--dataset", pictures, "--model", "logistic", "--epochs", "1", "--out", runs)...)
	writeFile(t, twins, "split_a,index_a,label_a,split_b,index_b,label_b,distance,same_bytes\ntrain,3,0,test,0,0,0.01,false\n")
	var r study.Record
	if err := json.Unmarshal([]byte(wantSuccess(t, "record", runs, "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Twins != nil || len(r.Runs) != 1 || r.Name != "runs" || r.Seconds == nil || r.Seconds.Runs != 1 || !(r.Seconds.Mean > 0 && r.Seconds.Mean < 60) || r.Date == "" || r.Recipe["model"] != "logistic" {
		t.Errorf("%+v", r)
	}
	wantSuccess(t, "record", runs, "--out", dir)
	for _, name := range []string{filepath.Join(runs, "record.json"), filepath.Join(runs, "record.md"), filepath.Join(dir, "record.json")} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if err := json.Unmarshal([]byte(wantSuccess(t, "record", runs, "--json", "--without", twins, "--out", filepath.Join(dir, "fast"))), &r); err != nil {
		t.Fatal(err)
	}
	if r.Name != "fast" || *r.Twins != 1 || r.TestImages != 12 || r.AccuracyWithout.Runs != 1 {
		t.Errorf("without a twin: %+v", r)
	}
	earlier, second := filepath.Join(dir, "record.json"), filepath.Join(dir, "second")
	wantSuccess(t, append(quickly, "--dataset", pictures, "--model", "logistic", "--epochs", "1", "--seed", "7", "--out", second)...)
	if err := json.Unmarshal([]byte(wantSuccess(t, "record", second, "--json", "--with", earlier)), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 2 || r.Runs[0].Seed != 7 || r.Accuracy.Runs != 2 || r.Accuracy.PlusMinus == nil {
		t.Errorf("with an earlier record: %+v", r)
	}
	r = study.Record{}
	if err := json.Unmarshal([]byte(wantSuccess(t, "record", second, "--json", "--with", earlier, "--no-seconds", "a busy machine")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Runs[0].Seconds != nil || r.Runs[0].WithoutTime != "a busy machine" || r.Seconds.Runs != 1 || r.Seconds.Mean != *r.Runs[1].Seconds {
		t.Errorf("without the seconds of one of two runs: %+v", r)
	}
	wantFailure(t, []string{"record", runs, "--with", earlier}, exitUsage, "both records have the seed", earlier)
	wantFailure(t, []string{"record", runs, "--with", twins}, exitUsage, twins+" is not a record")
	wantFailure(t, []string{"record", runs, "--with", filepath.Join(dir, "none.json")}, exitBadFile, "--with", "none.json")
	t.Chdir(runs)
	if err := json.Unmarshal([]byte(wantSuccess(t, "record", ".", "--json")), &r); err != nil || r.Name != "runs" {
		t.Errorf("the record of . is called %q (%v)", r.Name, err)
	}
	if err := os.CopyFS("stopped", os.DirFS("logistic")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join("stopped", "metrics.json")); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"record", runs}, exitUsage, "the run stopped in "+runs+" is not finished")
	wantFailure(t, []string{"record", runs, "--without", filepath.Join(dir, "none.csv")}, exitBadFile, "--without", "none.csv")
	wantFailure(t, []string{"record"}, exitUsage, "name one folder of runs")
	wantFailure(t, []string{"record", pictures}, exitUsage, "holds no finished run")
}

// A finished run of which a file is damaged is not taken for another one: its error names
// the file and says what to do.
func TestDamagedRun(t *testing.T) {
	isolateCache(t)
	dir := t.TempDir()
	pictures, runs := filepath.Join(dir, "pictures"), filepath.Join(dir, "runs")
	writeClassFolders(t, pictures, 12, 24, color.White)
	for _, seed := range []string{"1", "2"} {
		wantSuccess(t, append(quickly, "--dataset", pictures, "--model", "logistic", "--epochs", "1", "--out", runs, "--seed", seed, "--name", "a"+seed)...)
	}
	run := filepath.Join(runs, "a1")
	for _, file := range []string{trainer.ArgsFile, trainer.MetricsFile, trainer.PredictionsFile, trainer.ResultsFile} {
		path := filepath.Join(run, file)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := string(whole[:len(whole)/2])
		if file == trainer.ResultsFile {
			damaged = "" // half of it may be the header
		}
		writeFile(t, path, damaged)
		for _, command := range [][]string{{"compare", runs}, {"record", runs, "--json"}, {"report", run}} {
			wantFailure(t, command, exitBadFile, path, "; restore ")
		}
		if file == trainer.ArgsFile {
			wantFailure(t, []string{"eval", "--cpu", "--checkpoint", run}, exitBadFile, path, "; restore ")
		}
		writeFile(t, path, string(whole))
	}
	wantSuccess(t, "compare", runs)
	wantSuccess(t, "eval", "--cpu", "--checkpoint", run)
}
