package limit

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unlimited is what the kernel shows for no limit in the first version of control groups,
// or more (PAGE_COUNTER_MAX).
const unlimited = 1 << 62

// Memory returns how many bytes the control groups of this process let it use; ok is false
// without a limit.
func Memory() (most uint64, ok bool) { return memory("/proc/self/cgroup", "/sys/fs/cgroup") }

// memory is Memory with the places of its files. A container sees its own group as the
// root of the tree, whatever /proc says of its path, so that both are looked at.
func memory(self, root string) (most uint64, ok bool) {
	b, err := os.ReadFile(self)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		tree, limit := root, "memory.max"
		switch controllers {
		case "":
		case "memory":
			tree, limit = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := filepath.Join(tree, filepath.Clean("/"+path)); len(dir) >= len(tree); dir = filepath.Dir(dir) {
			n, limited := number(filepath.Join(dir, limit))
			if limited && n < unlimited && (!ok || n < most) {
				most, ok = n, true
			}
		}
	}
	return most, ok
}

// number reads a file with one number; "max" is none.
func number(path string) (n uint64, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}
