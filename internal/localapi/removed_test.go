package localapi

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// A socket that listens and has not got its name yet is none that was removed.
func TestRemoved(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not say who listens")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	birth := path + ".123"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: birth, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	check := func(when string, want bool) {
		t.Helper()
		if got := isRemoved(path); got != want || slices.Contains(Removed(dir), path) != want {
			t.Errorf("%s: removed %v, want %v", when, got, want)
		}
	}
	check("born", false)
	if err := os.Rename(birth, path); err != nil {
		t.Fatal(err)
	}
	check("named", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("removed", true)
	_ = l.Close()
	check("closed", false)
}
