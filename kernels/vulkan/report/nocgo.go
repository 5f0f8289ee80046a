//go:build !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "report: this build has no Vulkan; build it with cgo")
	os.Exit(1)
}
