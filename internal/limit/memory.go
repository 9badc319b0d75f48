package limit

import (
	"fmt"
	"os"
	"runtime/debug"
)

// share is how much of the memory of a container the heap may take before garbage is
// collected more often, in parts of a hundred. The rest is for stacks, the kernel's buffers
// of sockets, and files that are mapped.
const share = 80

// KeepMemory has garbage collected in time where a control group limits the memory, since
// the kernel kills who wants more. A GOMEMLIMIT of the user's stands.
func KeepMemory() {
	most, ok := Memory()
	if _, typed := os.LookupEnv("GOMEMLIMIT"); ok && !typed {
		debug.SetMemoryLimit(int64(most / 100 * share))
	}
}

// Fits returns an error, and what to do, if a process that needs so many bytes in all does
// not fit into the memory of the container. What others in it use is not counted: the kernel
// can take back most of that.
func Fits(bytes uint64, what string) error {
	most, ok := Memory()
	return fits(bytes, what, most, ok)
}

func fits(bytes uint64, what string, most uint64, limited bool) error {
	if !limited || most >= bytes {
		return nil
	}
	const mega = 1 << 20
	return fmt.Errorf("%s needs %d MiB of memory for a moment, and this container or service may have %d: the kernel would kill it. Give it more (docker run --memory, systemd MemoryMax=) [E46]",
		what, bytes/mega, most/mega)
}
