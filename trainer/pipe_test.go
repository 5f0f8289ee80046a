//go:build unix

package trainer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// A pipe in the place of a run's file is refused before the training waits for its other end.
func TestPipeInRun(t *testing.T) {
	for _, file := range []string{lockFile, ResultsFile, StepsFile, LastWeights, BestWeights, MetricsFile, stateFile} {
		f := folder{t.TempDir()}
		if err := os.MkdirAll(filepath.Dir(f.path(file)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(f.path(file), 0o600); err != nil {
			t.Skipf("skipped: there are no named pipes here: %v", err)
		}
		_, err := f.progressOf(DefaultRecipe(), model.Network{}, nil, Options{Dir: f.dir, Resume: true})
		if file == lockFile {
			_, err = LockFolder(f.dir, "training")
			if Locked(f.dir) {
				t.Error("the folder is locked")
			}
		}
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), f.path(file)+" is not a regular file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
