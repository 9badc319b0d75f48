package stack

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
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

// Where the system tells of changes an answer counts until one, and for a minute at most;
// where it does not, for a second.
func TestAnswersCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		number, told := int64(1), false
		s := New(1 << 30)
		s.Told(func() (int64, bool) { return number, told })
		r := s.reading(time.Now())
		check := func(when string, want bool) {
			t.Helper()
			if got := s.counts(time.Now(), r); got != want {
				t.Errorf("%s: %v", when, got)
			}
		}
		check("at once", true)
		time.Sleep(fresh - 1)
		check("within a second", true)
		time.Sleep(time.Nanosecond)
		check("untold after a second", false)
		told = true
		check("told of nothing since, but of nothing then either", false)
		r = s.reading(time.Now())
		time.Sleep(freshTold - 1)
		check("told", true)
		told = false
		check("nobody tells any more", false)
		told, number = true, 2
		check("after a change", false)
		r = s.reading(time.Now())
		number++
		check("after a change within a second", true) // of a router there are thousands
		r = s.reading(time.Now())
		time.Sleep(freshTold)
		check("after a minute", false)
		if s.counts(time.Now(), reading{}) {
			t.Error("what was never asked counts")
		}
	})
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
