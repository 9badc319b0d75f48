package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A machine id that does not stay with its machine is none: an edge in a container, or on
// a read-only root, would have another identity with every image and every boot.
func TestLastingID(t *testing.T) {
	for kind, want := range map[int64]bool{
		unix.TMPFS_MAGIC: true, unix.RAMFS_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true, int64(int32(-0x7a7ba70a)): true, // RAMFS_MAGIC in 32 bits
		unix.EXT4_SUPER_MAGIC: false, unix.BTRFS_SUPER_MAGIC: false, unix.XFS_SUPER_MAGIC: false, 0x2fc12fc1: false, // ZFS
	} {
		if got := passing(kind); got != want {
			t.Errorf("%#x: %v", kind, got)
		}
	}
	for _, dir := range []string{"/dev/shm", t.TempDir()} { // in memory, and on a disk
		path := filepath.Join(dir, "machine-id-of-a-test")
		if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		var fs unix.Statfs_t
		if err := unix.Statfs(path, &fs); err != nil {
			t.Fatal(err)
		}
		want := "one"
		if passing(int64(fs.Type)) {
			want = ""
		}
		if got := lastingID(path); got != want {
			t.Errorf("in %s: %q", dir, got)
		}
	}
	if got := lastingID(filepath.Join(t.TempDir(), "none")); got != "" {
		t.Errorf("of no file: %q", got)
	}
}
