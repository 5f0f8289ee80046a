//go:build !unix

package bench

import "time"

// CPUTime returns 0: it is unknown on this system.
func CPUTime() time.Duration { return 0 }
