//go:build !unix

package main

import "os"

// schedulerSignals are the signals by which schedulers announce the end of a job.
var schedulerSignals []os.Signal
