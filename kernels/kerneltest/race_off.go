//go:build !race

package kerneltest

// RaceEnabled tells whether this is a test under the race detector, which makes code slow
// and keeps several times as much memory as the code has ever used.
const RaceEnabled = false
