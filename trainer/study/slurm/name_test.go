package slurm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// Jobs are ended by the name in a file, which may be anybody's: what is no name, or no file,
// ends none.
func TestDamagedName(t *testing.T) {
	dir := t.TempDir()
	if Submitted(dir) {
		t.Error("jobs were submitted of a folder without a name")
	}
	path := filepath.Join(dir, nameFile)
	if err := os.Mkdir(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "a b\n", "a,b", "a\nb", strings.Repeat("a", mostName+1), "rates-ab12\n"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		name, err := readName(dir)
		if good := text == "rates-ab12\n"; good != (err == nil && name == "rates-ab12") || !good && !errors.Is(err, dataset.ErrBadData) {
			t.Errorf("%.20q: %q, %v", text, name, err)
		}
		if !Submitted(dir) {
			t.Errorf("%.20q: no jobs were submitted", text)
		}
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := Cancel(t.Context(), dir); !errors.Is(err, dataset.ErrBadData) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}
