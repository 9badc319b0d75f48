//go:build linux

package lab

import (
	"context"
	"math"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
)

// pair is two public hosts, and a socket on each.
func pair(t *testing.T) (l *Lab, a, b *Host) {
	l = ForTest(t)
	return l, Must(l.Host("a", "203.0.113.1", "2001:db8:1::1")), Must(l.Host("b", "203.0.113.2", "2001:db8:1::2"))
}

// reaches reports whether a ping is answered. The time allowed is that of a
// machine that is doing other things.
func reaches(t *testing.T, from *Host, to netip.Addr, expected bool) bool {
	wait := never
	if expected {
		wait = soon
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	_, err := from.Ping(ctx, to)
	return err == nil
}

func TestLossRate(t *testing.T) {
	l, a, b := pair(t)
	const percent, windows, window = 20, 40, 100
	if err := l.Internet().SetLoss(percent, UDP); err != nil {
		t.Fatal(err)
	}
	from, to := listen(t, a, "203.0.113.1:5000"), listen(t, b, "203.0.113.2:5000")
	received, lost := 0, uint64(0)
	for range windows {
		for range window {
			send(t, from, local(to), "numbered")
		}
		// What was not lost must arrive; the window fits the socket's buffer.
		counters := Must(l.Internet().Counters())
		arrive := window - int(counters.Lost.Packets-lost)
		lost = counters.Lost.Packets
		for range arrive {
			if message, _ := receive(t, to, soon); message == "" {
				t.Fatalf("%d arrived and %d were counted as lost", received, lost)
			}
			received++
		}
	}
	counters := Must(l.Internet().Counters())
	if counters.Forwarded.Packets != windows*window || counters.Oversize.Packets != 0 {
		t.Errorf("counters %+v for %d datagrams", counters, windows*window)
	}
	// Six standard deviations of a binomial distribution.
	mean := float64(windows * window * percent / 100)
	if off := math.Abs(float64(lost) - mean); off > 6*math.Sqrt(mean*(1-percent/100.0)) {
		t.Errorf("%d lost of %d, expected %v", lost, windows*window, mean)
	}
}

func TestLossTraffic(t *testing.T) {
	l, a, b := pair(t)
	from, to := listen(t, a, "203.0.113.1:5000"), listen(t, b, "203.0.113.2:5000")
	from6, to6 := listen(t, a, "[2001:db8:1::1]:5000"), listen(t, b, "[2001:db8:1::2]:5000")
	steps := []struct {
		percent   float64
		which     Traffic
		udp, ping bool
	}{
		{0, UDP, true, true},
		{100, UDP, false, true},
		{100, AllTraffic, false, false},
		{0, AllTraffic, true, true},
	}
	for _, s := range steps {
		if err := l.Internet().SetLoss(s.percent, s.which); err != nil {
			t.Fatal(err)
		}
		wait := never
		if s.udp {
			wait = soon
		}
		send(t, from, local(to), "4")
		send(t, from6, local(to6), "6")
		four, _ := receive(t, to, wait)
		six, _ := receive(t, to6, wait)
		if (four != "") != s.udp || (six != "") != s.udp {
			t.Errorf("%+v: got %q and %q", s, four, six)
		}
		if p4, p6 := reaches(t, a, b.Addr(), s.ping), reaches(t, a, b.Addr6(), s.ping); p4 != s.ping || p6 != s.ping {
			t.Errorf("%+v: pings answered: %v and %v", s, p4, p6)
		}
	}
	for _, wrong := range []float64{-1, 101, math.NaN()} {
		if err := l.Internet().SetLoss(wrong, UDP); err == nil {
			t.Errorf("a loss of %v percent was accepted", wrong)
		}
	}
}

func TestBlock(t *testing.T) {
	l, a, b := pair(t)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted, "2001:db8:2::/64"))
	c := Must(home.Host("c"))
	check := func(step string, from *Host, to netip.Addr, want bool) {
		t.Helper()
		if got := reaches(t, from, to, want); got != want {
			t.Errorf("%s: %s reaches %s: %v", step, from.Name(), to, got)
		}
	}
	for _, address := range []netip.Addr{b.Addr(), b.Addr6()} {
		other := a.Addr()
		if address.Is6() {
			other = a.Addr6()
		}
		check("at first", c, address, true)
		for range 2 {
			if err := home.Block(address); err != nil {
				t.Fatal(err)
			}
		}
		check("blocked at home", c, address, false)
		check("blocked at home", c, other, true)
		check("blocked at home", a, address, true)
		for range 2 {
			if err := home.Unblock(address); err != nil {
				t.Fatal(err)
			}
		}
		check("unblocked", c, address, true)
		if err := l.Internet().Block(address); err != nil {
			t.Fatal(err)
		}
		check("blocked on the internet", a, address, false)
		check("blocked on the internet", a, home.WAN(), true)
		if err := l.Internet().Unblock(address); err != nil {
			t.Fatal(err)
		}
	}
	if n := Must(home.Counters()).Blocked.Packets; n != 2 {
		t.Errorf("%d blocked at home, want one of each family", n)
	}
}

// The internet is a router and counts as a hop: a datagram from a home with a
// TTL of 2 ends there.
func TestHops(t *testing.T) {
	l := ForTest(t)
	b := Must(l.Host("b", "203.0.113.2"))
	a := Must(Must(l.Router("home", "198.51.100.1", PortRestricted)).Host("a"))
	to := listen(t, b, "203.0.113.2:5000")
	c := listen(t, a, "192.168.1.10:5000")
	for _, ttl := range []int{1, 2, 3} {
		if err := ipv4.NewConn(c).SetTTL(ttl); err != nil {
			t.Fatal(err)
		}
		send(t, c, local(to), "primer")
		wait := never
		if ttl > 2 {
			wait = soon
		}
		if message, _ := receive(t, to, wait); (message != "") != (ttl > 2) {
			t.Errorf("TTL %d: received %q", ttl, message)
		}
	}
}
