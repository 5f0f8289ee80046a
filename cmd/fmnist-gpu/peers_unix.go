//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// isolate makes the end of a command's context end the programs too that the command has
// started. They are a session, not just a group of processes: one that asks for a
// password then fails, for lack of a terminal, where it would be stopped for reading
// from its group's background, and the caller would wait forever. Keys such as Ctrl-C
// reach the caller alone.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
