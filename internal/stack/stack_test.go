package stack

import (
	"net"
	"net/netip"
	"testing"
)

// A device that does not exist leads nowhere, and has nothing on it.
func TestNoDevice(t *testing.T) {
	s := New(1 << 30)
	for range 2 {
		if s.Named("lo") || s.Holds(1) {
			t.Error("the loopback interface is in the stack")
		}
		if w := s.Egress(netip.MustParseAddr("127.0.0.1")); w != Outside {
			t.Errorf("the egress to this host is %d", w)
		}
		s.Forget()
	}
	if !s.Holds(1 << 30) {
		t.Error("the device is not in its own stack")
	}
}

// A host with a loop of routes to remember forgets them.
func TestRemembersBounded(t *testing.T) {
	s := New(1 << 30)
	a := netip.MustParseAddr("127.0.0.1")
	for range 2*maxRemembered + 1 {
		s.Egress(a)
		a = a.Next()
	}
	if n := len(s.routes); n > maxRemembered {
		t.Errorf("%d routes are remembered", n)
	}
}

func TestStations(t *testing.T) {
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range New(1 << 30).Stations() {
		known := false
		for _, i := range ifs {
			known = known || i.HardwareAddr.String() == a.String()
		}
		if !known {
			t.Errorf("%v is no address of this host", a)
		}
	}
}
