//go:build !view || !cgo

// Command fmnist-view is the live window of a training. This build has no window, so that
// the project builds on machines without the window system's headers.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "fmnist-view: this build has no window: build it with `make view`, or with cgo and -tags view")
	os.Exit(3)
}
