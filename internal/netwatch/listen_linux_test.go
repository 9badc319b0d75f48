package netwatch

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pair returns a listener whose kernel is the test: it writes to the other end of
// a socket pair what the kernel would send.
func pair(t *testing.T) (l *listener, kernel int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	l = &listener{file: os.NewFile(uintptr(fds[0]), "pair"), events: make(chan struct{}, 1)}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	return l, fds[1]
}

// TestListener sends messages of every kind: those that matter leave one token,
// however many they are, and closing ends the events.
func TestListener(t *testing.T) {
	l, kernel := pair(t)
	send := func(b []byte) {
		t.Helper()
		if _, err := unix.Write(kernel, b); err != nil {
			t.Fatal(err)
		}
	}
	token := func() {
		t.Helper()
		select {
		case _, ok := <-l.events:
			if !ok {
				t.Fatal("the listener ended")
			}
		case <-time.After(patience):
			t.Fatal("no token")
		}
	}
	before, _ := Changes()
	send(message(unix.RTM_NEWROUTE, 24)) // before it reads: must not leave a token
	send(message(unix.RTM_NEWROUTE, 24))
	go l.receive()
	time.Sleep(10 * time.Millisecond)
	if len(l.events) != 0 {
		t.Error("a token for a route to a network")
	}
	send(message(unix.RTM_DELROUTE, 0))
	token()
	if n, told := Changes(); n < before+3 || !told {
		t.Errorf("%d changes were told (%v), the routes to networks too", n-before, told)
	}
	send(make([]byte, messageRoom+1)) // too long to be looked at
	token()
	for range 10 {
		send(message(unix.RTM_NEWADDR, 24))
	}
	token()
	l.close()
}

// TestListen opens a real socket, which needs no rights, and closes it.
func TestListen(t *testing.T) {
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	l.close()
	if _, ok := <-l.events; ok {
		t.Error("a token after the end")
	}
}

// TestReadHere compares a reading of this host with that of package net.
func TestReadHere(t *testing.T) {
	r, err := read()
	if err != nil {
		t.Fatal(err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if up := i.Flags&net.FlagRunning != 0 && i.Flags&net.FlagUp != 0; up != (r.interfaces[i.Index] == i.Name) {
			t.Errorf("%s: running %v, read %q", i.Name, up, r.interfaces[i.Index])
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			want := placed{i.Index, p.Addr().Unmap()}
			if !want.addr.IsLinkLocalUnicast() && !slices.Contains(r.addresses, want) { // link-local ones may be tentative
				t.Errorf("%s has %v, which was not read", i.Name, p)
			}
		}
	}
	if _, err := Read(Config{}); err != nil {
		t.Error(err)
	}
}

// TestAddRoute turns the kernel's routes into candidates.
func TestAddRoute(t *testing.T) {
	router, other := net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 2)
	candidateOf := func(ifindex int, gateway string, metric int) candidate {
		c := candidate{Route: Route{Interface: ifindex}, metric: metric}
		if gateway != "" {
			c.Gateway = netip.MustParseAddr(gateway)
		}
		return c
	}
	for name, tt := range map[string]struct {
		route netlink.Route
		want  []candidate
	}{
		"by a router":       {netlink.Route{Type: unix.RTN_UNICAST, LinkIndex: 2, Gw: router, Priority: 100}, []candidate{candidateOf(2, "192.0.2.1", 100)}},
		"without a router":  {netlink.Route{Type: unix.RTN_UNICAST, LinkIndex: 3}, []candidate{candidateOf(3, "", 0)}},
		"by an IPv6 router": {netlink.Route{Type: unix.RTN_UNICAST, LinkIndex: 2, Via: &netlink.Via{Addr: net.ParseIP("fe80::1")}}, []candidate{candidateOf(2, "fe80::1", 0)}},
		"a prohibition":     {netlink.Route{Type: unix.RTN_PROHIBIT, LinkIndex: 2, Gw: router}, nil},
		"several next hops": {netlink.Route{Type: unix.RTN_UNICAST, Priority: 5, MultiPath: []*netlink.NexthopInfo{{LinkIndex: 2, Gw: router}, {LinkIndex: 3, Gw: other}}},
			[]candidate{candidateOf(2, "192.0.2.1", 5), candidateOf(3, "192.0.2.2", 5)}},
	} {
		var r reading
		if r.addRoute(false, &tt.route); !slices.Equal(r.routes, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, r.routes, tt.want)
		}
	}
}
