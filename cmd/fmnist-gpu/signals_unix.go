//go:build unix

package main

import (
	"os"
	"syscall"
)

// schedulerSignals are the signals by which schedulers announce the end of a job.
var schedulerSignals = []os.Signal{syscall.SIGUSR1}
