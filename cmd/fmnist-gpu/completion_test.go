package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Flags that take a name or a path complete both; those that take only names, only these.
func TestCompletionOfPaths(t *testing.T) {
	for flag, want := range map[string]cobra.ShellCompDirective{
		"--dataset": cobra.ShellCompDirectiveDefault, "--model": cobra.ShellCompDirectiveDefault, "--optimizer": cobra.ShellCompDirectiveNoFileComp,
	} {
		got := wantSuccess(t, "__complete", "train", flag, "")
		if end := fmt.Sprintf(":%d", want); !strings.Contains(got, "\n"+end+"\n") {
			t.Errorf("%s completes %q, want a last line %s", flag, got, end)
		}
	}
}

// A manual page is written whole or not at all.
func TestManualPages(t *testing.T) {
	out := t.TempDir()
	wantSuccess(t, "man", "--out", out)
	pages, err := filepath.Glob(filepath.Join(out, "fmnist-gpu*.1"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages (%v)", len(pages), err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil || !strings.Contains(string(text), ".SH SYNOPSIS") {
			t.Errorf("%s: %v, %.120q", page, err, text)
		}
	}
	for version, want := range map[string]string{"v0.0.0-20261128110547-9200891361b6": "9200891361b6", "v1.2.0": "v1.2.0", "(devel)": "(devel)"} {
		if got := shortVersion(version); got != want {
			t.Errorf("the version %s is shortened to %s", version, got)
		}
	}
	blocked := filepath.Join(t.TempDir(), "pages")
	if err := os.MkdirAll(filepath.Join(blocked, "fmnist-gpu-bench.1", "in-the-way"), 0o777); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, []string{"man", "--out", blocked}, exitFailed, "manual pages", "fmnist-gpu-bench.1")
}
