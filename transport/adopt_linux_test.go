package transport

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAdoptUDP hands a socket on: what waits in it is read by the one that has it then,
// also after the first has been closed, and the port stays its.
func TestAdoptUDP(t *testing.T) {
	first, err := ListenUDP(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := first.File()
	if err != nil {
		t.Fatal(err)
	}
	second, err := AdoptUDP(f, Options{})
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	sender, err := ListenUDP(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	send := func(text string) {
		t.Helper()
		if n, err := sender.WriteBatch([]Datagram{datagram(at(t, first, "127.0.0.1"), text)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	send("one")
	send("two")
	if d := read(t, first); string(d.Payload()) != "one" {
		t.Errorf("the first reads %q", d.Payload())
	}
	if d := read(t, second); string(d.Payload()) != "two" || second.LocalAddr() != first.LocalAddr() {
		t.Errorf("the second reads %q at %v", d.Payload(), second.LocalAddr())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	send("three")
	if d := read(t, second); string(d.Payload()) != "three" {
		t.Errorf("alone it reads %q", d.Payload())
	}
	if flags, err := unix.FcntlInt(uintptr(second.Fd()), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	if _, err := first.File(); err == nil {
		t.Error("a closed socket is handed on")
	}
}

// TestAdoptNoUDP refuses what is no UDP socket.
func TestAdoptNoUDP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, bad := range []*os.File{f, null} {
		if u, err := AdoptUDP(bad, Options{}); err == nil {
			t.Errorf("%s is a UDP socket", bad.Name())
			_ = u.Close()
		}
	}
}
