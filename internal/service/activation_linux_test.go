package service

import (
	"net"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestActivated takes sockets as a service manager passes them: by their names and kinds, not
// those for another process, and once.
func TestActivated(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// As in a process that has just begun: three descriptors in a row, the last of a file.
	const first = 700
	pass := func() {
		for i, of := range []interface{ File() (*os.File, error) }{u.(*net.UDPConn), l.(*net.TCPListener)} {
			f, err := of.File()
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Dup3(int(f.Fd()), first+i, 0); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		null, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(null, first+2, 0); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(null)
	}
	pass()
	defer unix.Close(first + 2)
	say := func(pid int, count string) {
		t.Setenv("LISTEN_PID", strconv.Itoa(pid))
		t.Setenv("LISTEN_FDS", count)
		t.Setenv("LISTEN_FDNAMES", "second:supernode.socket")
	}
	for _, c := range []struct {
		pid   int
		count string
	}{{os.Getpid() + 1, "3"}, {os.Getpid(), "many"}, {os.Getpid(), "1000"}, {os.Getpid(), "-1"}} {
		say(c.pid, c.count)
		if list := takeActivated(first); len(list) != 0 {
			t.Errorf("%+v: %+v", c, list)
		}
	}
	say(os.Getpid(), "3")
	list := takeActivated(first)
	if len(list) != 2 || list.Find(false, "second", false) == nil || list.Find(false, "second", true) != nil || list.Find(true, "second", true) == nil || list.Find(true, "second", false) != nil {
		t.Fatalf("%+v", list)
	}
	for _, s := range list {
		if flags, err := unix.FcntlInt(s.File.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("what this process starts inherits %s: %v", s.Name, err)
		}
	}
	if os.Getenv("LISTEN_FDS") != "" || len(takeActivated(first)) != 0 {
		t.Error("they are taken again")
	}
	for _, s := range list {
		_ = s.File.Close()
	}
}
