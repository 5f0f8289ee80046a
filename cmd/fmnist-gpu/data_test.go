package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// narrow fails the test if a line is wider than a terminal, except the given one.
func narrow(t *testing.T, text, except string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !strings.HasPrefix(line, except) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestDataHelpFitsTerminal(t *testing.T) {
	for _, args := range [][]string{{"data", "--help"}, {"data", "fetch", "--help"}} {
		stdout, _, _ := run(t, args...)
		narrow(t, stdout, "no exception")
	}
}

// A damaged file beside a good one is reported and does no harm. `data fetch` then has
// nothing to do, even without a network.
func TestDataBesideDamaged(t *testing.T) {
	source := datasettest.Full(t).Dir
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20))
	if err := os.CopyFS(filepath.Join(dir, "data", "fashion"), os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "train-labels-idx1-ubyte.gz")
	if err := os.WriteFile(broken, []byte("<html>"), 0o666); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run(t, "data", "--data-dir", dir)
	if code != 0 || strings.Count(stdout, " ok\n") != 4 || !strings.Contains(stdout, "is damaged and not used") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	table, _, _ := strings.Cut(stdout, broken)
	narrow(t, table, "folder: ")
	stdout, stderr, code = run(t, "data", "fetch", "--data-dir", dir, "--mirror", "http://127.0.0.1:9/")
	if code != 0 || !strings.Contains(stdout, "complete and verified in "+filepath.Join(dir, "data", "fashion")) {
		t.Errorf("data fetch: exit code %d: %s\n%s", code, stderr, stdout)
	}
}
