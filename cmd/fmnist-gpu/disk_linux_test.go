package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

var diskSizes = flag.Int("disk-sizes", 0, "TestDiskFull trains on file systems of so many sizes; 0 skips it")

// A training whose disk is full or read-only ends in one line of error, leaves no part
// of a file, and goes on, once there is room, as if nothing had happened.
func TestDiskFull(t *testing.T) {
	if *diskSizes == 0 {
		t.Skip("skipped: make torture runs it")
	}
	d := disk{t: t, dir: t.TempDir(), full: "no space left on device"}
	if err := syscall.Mount("none", d.dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("skipped: this test needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, 0) })
	d.limit = func(bytes int) { d.remount(0, fmt.Sprintf("size=%d", bytes)) }
	d.train()
	d.sweep(0)
	d.readOnly()
}

// The same holds where a quota is used up.
func TestDiskQuota(t *testing.T) {
	if *diskSizes == 0 {
		t.Skip("skipped: make torture runs it")
	}
	root, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 400<<20); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"mkfs.btrfs -q " + image, "mount -o loop " + image + " " + root} {
		if err := exec.Command("sh", "-c", c).Run(); err != nil {
			t.Skipf("skipped: this test needs btrfs and the right to mount it: %s: %v", c, err)
		}
	}
	t.Cleanup(func() { _ = syscall.Unmount(root, 0) })
	d := disk{t: t, dir: filepath.Join(root, "volume"), full: "disk quota exceeded"}
	d.btrfs("quota", "enable", root)
	d.btrfs("subvolume", "create", d.dir)
	d.limit = func(bytes int) { d.btrfs("qgroup", "limit", fmt.Sprint(bytes), d.dir) }
	d.train()
	d.sweep(80 << 10) // with less, the quota itself cannot be changed
}

// disk is a file system of one's own, and what is trained there.
type disk struct {
	t     *testing.T
	dir   string
	limit func(bytes int) // sets its size
	full  string          // the error of a full one
	begin []string
	want  map[string]string
}

// room is a size for everything.
const room = 64 << 20

// train trains where there is room, for later comparison.
func (d *disk) train() {
	d.t.Helper()
	isolateCache(d.t)
	letters := d.t.TempDir()
	writeLetters(d.t, letters, 260, 52)
	d.begin = []string{"train", "--cpu", "--model", "logistic", "--dataset", letters, "--epochs", "3", "--checkpoint-every", "0.001", "--log-every", "1", "--out", "runs", "--name", "r"}
	if stderr, code := d.run(d.begin...); code != 0 {
		d.t.Fatal(stderr)
	}
	d.want = filesOf(d.t, d.dir)
}

// sweep trains on disks of at least so many bytes, up to what the training takes.
func (d *disk) sweep(least int) {
	d.t.Helper()
	blocks, err := exec.Command("du", "-sk", d.dir).Output()
	if err != nil {
		d.t.Fatal(err)
	}
	var most int // KiB
	if _, err := fmt.Sscan(string(blocks), &most); err != nil {
		d.t.Fatal(err)
	}
	full := 0
	for i := range *diskSizes {
		if d.fill(max(least, most<<10*(i+1) / *diskSizes)) {
			full++
		}
	}
	d.t.Logf("%d of %d sizes up to %d KiB were too small", full, *diskSizes, most)
	if full < *diskSizes/2 {
		d.t.Errorf("only %d sizes were too small", full)
	}
}

// btrfs executes a command of that file system's tools.
func (d *disk) btrfs(args ...string) {
	d.t.Helper()
	if text, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
		d.t.Fatalf("btrfs %v: %v: %s", args, err, text)
	}
}

// run executes the program in the disk's folder.
func (d *disk) run(args ...string) (stderr string, code int) {
	d.t.Helper()
	c := program(d.t, args...)
	c.Dir = d.dir
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		d.t.Fatal(err)
	}
	return errs.String(), c.ProcessState.ExitCode()
}

// remount changes the disk's options.
func (d *disk) remount(flags uintptr, options string) {
	d.t.Helper()
	if err := syscall.Mount("none", d.dir, "tmpfs", syscall.MS_REMOUNT|flags, options); err != nil {
		d.t.Fatal(err)
	}
}

// fill trains anew on a disk of a size, then goes on with room for everything. It
// reports whether the disk was too small.
func (d *disk) fill(size int) bool {
	if err := os.RemoveAll(filepath.Join(d.dir, "runs")); err != nil {
		d.t.Fatal(err)
	}
	d.limit(size)
	stderr, code := d.run(d.begin...)
	if code != 0 {
		d.wantError(fmt.Sprintf("%d bytes", size), stderr, code, d.full)
		d.wantWhole(fmt.Sprintf("%d bytes", size))
	}
	d.limit(room)
	if code != 0 {
		d.goOn(fmt.Sprintf("%d bytes", size))
	}
	return code != 0
}

// wantError checks that a training has ended in one line of error.
func (d *disk) wantError(what, stderr string, code int, words string) {
	d.t.Helper()
	if code != exitFailed || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "fmnist-gpu: ") || !strings.Contains(stderr, words) {
		d.t.Errorf("%s: exit code %d, %q, want one line with %q", what, code, stderr, words)
	}
}

// wantWhole checks that nothing is left of what could not be written.
func (d *disk) wantWhole(what string) {
	d.t.Helper()
	readable(d.t, d.dir, ", "+what)
	_ = filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".") {
			d.t.Errorf("%s: %s is left", what, path)
		}
		return err
	})
}

// goOn finishes the training and checks what comes of it.
func (d *disk) goOn(what string) {
	d.t.Helper()
	args := d.begin
	if _, err := study.ReadArgs(filepath.Join(d.dir, "runs", "r")); err == nil {
		args = []string{"train", "--resume", "runs/r"}
	}
	if stderr, code := d.run(args...); code != 0 {
		d.t.Errorf("%s: afterwards: exit code %d, %s", what, code, stderr)
	}
	if got := filesOf(d.t, d.dir); !maps.Equal(got, d.want) {
		d.t.Errorf("%s: %s", what, difference(got, d.want))
	}
}

// readOnly trains, and goes on, where nothing can be written.
func (d *disk) readOnly() {
	for _, name := range []string{"metrics.json", "report.html", "predictions.csv"} { // as if it had been killed
		if err := os.Remove(filepath.Join(d.dir, "runs", "r", name)); err != nil {
			d.t.Fatal(err)
		}
	}
	d.remount(syscall.MS_RDONLY, "")
	for _, args := range [][]string{append(d.begin[:len(d.begin):len(d.begin)], "--name", "other"), {"train", "--resume", "runs/r"}} {
		stderr, code := d.run(args...)
		d.wantError("read-only", stderr, code, "read-only file system")
	}
	d.limit(room)
	d.goOn("read-only")
}
