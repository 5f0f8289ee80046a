package trainer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestStateOfRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	want := func(state RunState) {
		t.Helper()
		if got, err := StateOfRun(dir); got != state || err != nil {
			t.Errorf("state %v (%v), want %v", got, err, state)
		}
	}
	touch := func(name string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want(RunNew)
	touch("precious.txt")
	if _, err := StateOfRun(dir); !errors.Is(err, ErrUsage) {
		t.Errorf("a folder of something else: %v, want a usage error", err)
	}
	if err := os.Rename(filepath.Join(dir, "precious.txt"), filepath.Join(dir, "."+ArgsFile+".00c0ffee.tmp")); err != nil {
		t.Fatal(err)
	}
	want(RunNew) // killed while it wrote its first file
	touch(ArgsFile)
	want(RunBroken)
	touch(stateFile)
	want(RunInProgress)
	touch(MetricsFile)
	want(RunFinished)
}
