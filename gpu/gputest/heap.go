//go:build cgo && linux

package gputest

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

typedef struct {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
} usage; // struct mallinfo2

// c_bytes looks the function up because only glibc has it.
static long long c_bytes(void) {
	usage (*info)(void) = (usage (*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
	if (!info)
		return -1;
	usage u = info();
	return (long long)(u.uordblks + u.hblkhd);
}
*/
import "C"

import "testing"

// ExactHeap is a variable for the environment of a process in which [CBytes] is exact:
// without it, freed blocks that a thread keeps for itself count as in use.
const ExactHeap = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0"

// CBytes returns how many bytes this process has allocated from C and not freed. It skips
// the test if the C library does not tell.
func CBytes(t testing.TB) int64 {
	t.Helper()
	n := int64(C.c_bytes())
	if n < 0 {
		t.Skip("skipped: this C library does not tell how much memory is in use")
	}
	return n
}
