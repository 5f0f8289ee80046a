package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// collectAlways makes this process and those that it starts collect garbage all the time,
// which finds memory that Vulkan uses but Go has freed.
func collectAlways(t *testing.T) {
	t.Helper()
	t.Setenv("GOGC", "1")
	before := debug.SetGCPercent(1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// trainsOnly makes the test binary behave as trainOnly.
const trainsOnly = "trains only"

// trainOnly trains in dir, or goes on there, with the settings in a file. It ends after
// the last epoch with the exit code that the program would: what the program does then,
// above all its pictures, takes longer than all the rest.
func trainOnly(dir, settings string) int {
	err := func() error {
		c := study.DefaultConfig()
		if err := c.LoadYAML(settings); err != nil {
			return err
		}
		precision, err := kernels.ParsePrecision(c.Precision)
		if err != nil {
			return err
		}
		d, err := openDevice(deviceFlags{selector: c.Device, cpu: c.CPU, threads: c.Threads, precision: precision})
		if err != nil {
			return err
		}
		fmt.Println(d.announce())
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		data, err := dataset.OpenFolder(ctx, c.Dataset, dataset.FolderOptions{})
		if err == nil {
			_, begun := study.ReadArgs(dir)
			_, err = study.Train(ctx, c, data, d.Backend, trainer.Options{Dir: dir, Environment: d.environment,
				Resume: begun == nil, Progress: untilEpoch{c.Epochs, cancel}})
		}
		return closeDevice(d, err)
	}()
	if code := exitCode(err); code != exitInterrupted {
		fmt.Fprintln(os.Stderr, "fmnist-gpu: "+remedied(err))
		return code
	}
	return exitInterrupted
}

// untilEpoch interrupts a training after an epoch.
type untilEpoch struct {
	last   int
	cancel func()
}

// Start implements [trainer.Progress].
func (u untilEpoch) Start(s trainer.Summary) {
	if s.FirstEpoch > u.last {
		u.cancel()
	}
}

// Step implements [trainer.Progress].
func (untilEpoch) Step(trainer.StepReport) {}

// Epoch implements [trainer.Progress].
func (u untilEpoch) Epoch(r trainer.EpochReport) {
	if r.Epoch == u.last {
		u.cancel()
	}
}

// runTrainOnly executes trainOnly in a process of its own.
func runTrainOnly(t *testing.T, dir, settings string) (stdout, stderr string, code int) {
	t.Helper()
	c := program(t, dir, settings)
	c.Env = append(c.Env, asProgram+"="+trainsOnly)
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	if e := c.Run(); e != nil && c.ProcessState == nil {
		t.Fatal(e)
	}
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

// filesOf returns the content of the files in a folder by their paths, without what
// depends on time: durations, pictures of them, and event files.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), "events.out.tfevents.") || strings.HasSuffix(e.Name(), "_models.png") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		list[name] = untimed(t, path, text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return list
}

// timedKeys are the keys in a run's JSON files whose values depend on time or on memory.
var timedKeys = []string{"seconds", "images_per_second", "training_seconds", "seconds_to_weights", "peak_host_memory_bytes", "peak_device_memory_bytes"}

// untimed returns the text of a file without what depends on time.
func untimed(t *testing.T, path string, text []byte) string {
	t.Helper()
	switch filepath.Ext(path) {
	case ".html":
		return "" // all that it shows is in the other files
	case ".json":
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return fmt.Sprint(withoutKeys(value, timedKeys))
	case ".csv":
		rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil || len(rows) == 0 {
			t.Errorf("%s: %d rows (%v)", path, len(rows), err)
			return ""
		}
		timed := map[int]bool{}
		for i, name := range rows[0] {
			timed[i] = slices.Contains(timedKeys, name)
		}
		for _, row := range rows {
			for i := range row {
				if timed[i] {
					row[i] = ""
				}
			}
		}
		return fmt.Sprint(rows)
	}
	return string(text)
}

// withoutKeys removes the keys from all objects of a JSON value.
func withoutKeys(value any, keys []string) any {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range keys {
			delete(v, key)
		}
		for key, member := range v {
			v[key] = withoutKeys(member, keys)
		}
	case []any:
		for i, member := range v {
			v[i] = withoutKeys(member, keys)
		}
	}
	return value
}

// firstDifference shows where two texts begin to differ, unless they are long.
func firstDifference(got, want string) string {
	if max(len(got), len(want)) > 1<<14 {
		return ""
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	from := max(0, at-30)
	return fmt.Sprintf(" (%q, want %q)", got[from:min(len(got), at+30)], want[from:min(len(want), at+30)])
}

// difference names the files that differ, are missing or are left behind.
func difference(got, want map[string]string) string {
	var list []string
	for name, text := range want {
		if other, ok := got[name]; !ok {
			list = append(list, name+" is missing")
		} else if other != text {
			list = append(list, name+" differs"+firstDifference(other, text))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			list = append(list, name+" is left behind")
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
