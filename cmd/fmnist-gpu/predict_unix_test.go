//go:build unix

package main

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// A thousand pictures take little more memory than one.
func TestPredictMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it decodes a thousand pictures")
	}
	checkpoint := filepath.Join(trainedOnStripes(t), "cnn")
	const side, few, many = 256, 8, 1024
	one := filepath.Join(t.TempDir(), "one.png")
	writePicture(t, one, image.NewRGBA(image.Rect(0, 0, side, side)))
	content, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	memory := func(n int) int64 {
		dir := t.TempDir()
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".png"), content, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		c := program(t, "predict", "--cpu", "--csv", "--top", "1", "--checkpoint", checkpoint, dir)
		out, err := c.Output()
		if err != nil || bytes.Count(out, []byte("\n")) != n+1 {
			t.Fatalf("%d lines (%v)", bytes.Count(out, []byte("\n")), err)
		}
		return c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // KiB, or bytes on macOS
	}
	if a, b := memory(few), memory(many); !(b <= 2*a) {
		t.Errorf("%d pictures take %d, %d take %d", few, a, many, b)
	}
}
