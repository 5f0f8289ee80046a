// Package hostmemorytest makes control groups that limit memory, for tests.
package hostmemorytest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Group makes a control group of version 1 or 2 below this process' own that allows the
// given number of bytes, and removes it after the test. It returns the group's folder and
// where its hierarchy is mounted, or skips the test if no group can be made.
func Group(t testing.TB, bytes int64) (dir, mount string) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip("skipped: ", err)
	}
	for line := range strings.Lines(string(own)) { // hierarchy:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		mount, file := "/sys/fs/cgroup", "memory.max"
		if fields[1] == "memory" {
			mount, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if fields[1] != "" {
			continue
		}
		dir := filepath.Join(mount, fields[2], "fmnist-gpu-test-"+strconv.Itoa(os.Getpid()))
		if os.Mkdir(dir, 0o777) != nil {
			continue
		}
		limit, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
		if err == nil {
			_, err = limit.WriteString(strconv.FormatInt(bytes, 10))
			limit.Close()
		}
		if err != nil { // no hierarchy of groups is mounted there, or not for memory
			os.Remove(dir)
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		return dir, mount
	}
	t.Skip("skipped: no control group can be made here")
	return "", ""
}
