package service

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hedgerow/internal/cli"
)

// TestFilesAreHandedOver hands the lock and the control socket over: the directory stays
// locked for as long as either process has it, and the socket stays where it is.
func TestFilesAreHandedOver(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	s := newService(t)
	if err := s.Lock(state); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenControl(place(dir), "", "a.sock"); err != nil {
		t.Fatal(err)
	}
	files, err := s.Files()
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	told := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: told, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", told)
	s.HandedOver(4711)
	b := make([]byte, 64)
	if n, err := manager.Read(b); err != nil || string(b[:n]) != "MAINPID=4711" {
		t.Errorf("the service manager hears %q, %v", b[:n], err)
	}
	s.Close()
	if _, err := os.Lstat(filepath.Join(dir, "run", "a.sock")); err != nil {
		t.Errorf("the control socket is gone: %v", err)
	}
	says(t, newService(t).Lock(state), cli.Failure, "another mill of village")
	for _, f := range files {
		if !strings.Contains("lock control", f.Name) {
			t.Errorf("a file %q is handed over", f.Name)
		}
		_ = f.File.Close()
	}
	if err := newService(t).Lock(state); err != nil {
		t.Errorf("after both have ended: %v", err)
	}
	t.Setenv("SYSTEMD_EXEC_PID", strconv.Itoa(os.Getpid()))
	if err := Replaceable(); err != nil {
		t.Errorf("a service that can tell its manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Replaceable(); err == nil || !strings.Contains(err.Error(), "NotifyAccess=main") {
		t.Errorf("a service that cannot: %v", err)
	}
	t.Setenv("SYSTEMD_EXEC_PID", "1")
	if err := Replaceable(); err != nil {
		t.Errorf("what a shell of a service has started: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "nobody"))
	Notify("READY=1") // nobody hears it
}
