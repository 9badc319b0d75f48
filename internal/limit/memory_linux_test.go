package limit

import (
	"os"
	"path/filepath"
	"testing"
)

// The least limit on the way from the group of the process to the root counts, in both
// versions of control groups, and in a container that sees its group as the root.
func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		name, self string
		files      map[string]string
		most       uint64
		ok         bool
	}{
		{"none", "0::/\n", nil, 0, false},
		{"version 2", "0::/system.slice/edge.service\n", map[string]string{"system.slice/edge.service/memory.max": "67108864\n"}, 64 << 20, true},
		{"of a slice", "0::/a/b\n", map[string]string{"a/b/memory.max": "max\n", "a/memory.max": "5000\n"}, 5000, true},
		{"the least", "0::/a/b\n", map[string]string{"a/b/memory.max": "900\n", "a/memory.max": "5000\n"}, 900, true},
		{"a container", "0::/not/here\n", map[string]string{"memory.max": "5000\n"}, 5000, true},
		{"version 1", "5:cpu:/\n4:memory:/docker/77\n0::/\n", map[string]string{"memory/docker/77/memory.limit_in_bytes": "5000\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 5000, true},
		{"version 1 without a limit", "4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0, false},
		{"outside", "0::/../../x\n", map[string]string{"memory.max": "5000\n"}, 5000, true},
		{"junk", "::::\n\n4:memory\n", map[string]string{"memory.max": "x"}, 0, false},
	} {
		root := t.TempDir()
		for name, text := range tt.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		self := filepath.Join(t.TempDir(), "cgroup")
		if err := os.WriteFile(self, []byte(tt.self), 0o600); err != nil {
			t.Fatal(err)
		}
		most, ok := memory(self, root)
		if most != tt.most || ok != tt.ok {
			t.Errorf("%s: %d, %v", tt.name, most, ok)
		}
	}
}
