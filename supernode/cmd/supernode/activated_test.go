package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"hedgerow/internal/service"
)

// TestActivatedSockets: all sockets of the service manager for connections are used, and those
// that nobody uses are named and closed.
func TestActivatedSockets(t *testing.T) {
	file := func(f *os.File, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	tcp := func() *os.File {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return file(l.File())
	}
	udp := func() (f *os.File, at string) {
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		return file(u.File()), u.LocalAddr().String()
	}
	first, _ := udp()
	extra, at := udp()
	var log bytes.Buffer
	p := &process{log: slog.New(slog.NewTextHandler(&log, nil)), activated: service.Activated{
		{Name: "a.socket", Stream: true, File: tcp()}, {Name: "a.socket", File: first},
		{Name: "b.socket", Stream: true, File: tcp()}, {Name: "c.socket", File: extra},
	}}
	listeners, err := p.openListeners(0)
	if err != nil || len(listeners) != 2 {
		t.Fatalf("%d listeners, %v", len(listeners), err)
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	p.leaveUnused()
	if text := log.String(); strings.Count(text, "is not used") != 1 || !strings.Contains(text, "unit=c.socket") || !strings.Contains(text, at) {
		t.Errorf("it says %q", text)
	}
	if _, err := extra.Stat(); err == nil {
		t.Error("a socket that nobody uses is open")
	}
	if _, err := first.Stat(); err != nil {
		t.Errorf("the UDP port: %v", err)
	}
	log.Reset()
	p.activated = p.activated[:3]
	p.options.Streams.Off = true
	if p.leaveUnused(); strings.Count(log.String(), "is not used") != 2 {
		t.Errorf("without streams it says %q", log.String())
	}
}
