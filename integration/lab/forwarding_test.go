//go:build linux

package lab

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
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

// Two who are cut from each other reach everybody else.
func TestCut(t *testing.T) {
	l, a, b := pair(t)
	c := Must(l.Host("c", "203.0.113.3", "2001:db8:1::3"))
	for _, pick := range []func(*Host) netip.Addr{(*Host).Addr, (*Host).Addr6} {
		check := func(step string, from, to *Host, want bool) {
			t.Helper()
			if got := reaches(t, from, pick(to), want); got != want {
				t.Errorf("%s: %s reaches %s: %v", step, from.Name(), pick(to), got)
			}
		}
		check("at first", a, b, true)
		for range 2 {
			if err := l.Internet().Cut(pick(a), pick(b)); err != nil {
				t.Fatal(err)
			}
		}
		check("cut", a, b, false)
		check("cut", b, a, false)
		check("cut", a, c, true)
		check("cut", c, b, true)
		for range 2 {
			// The other way round is the same.
			if err := l.Internet().Heal(pick(b), pick(a)); err != nil {
				t.Fatal(err)
			}
		}
		check("healed", a, b, true)
	}
	if err := l.Internet().Cut(a.Addr(), b.Addr6()); err == nil {
		t.Error("two families were cut from each other")
	}
}

// UDP can be stopped under way and let through again; what else there is stays.
func TestBlockUDP(t *testing.T) {
	l := ForTest(t)
	r := newReflector(t, l)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted))
	host := Must(home.Host("host"))
	c := listen(t, host, "192.168.1.10:5000")
	mapped := seen(t, c, r[0][0])
	for range 2 {
		if err := home.BlockUDP(); err != nil {
			t.Fatal(err)
		}
	}
	if arrives(t, c, r[0][0], local(r[0][0]), false) || arrives(t, r[0][0], c, mapped, false) {
		t.Error("blocked UDP passes")
	}
	if !reaches(t, host, local(r[0][0]).Addr(), true) {
		t.Error("a ping does not pass")
	}
	for range 2 {
		if err := home.UnblockUDP(); err != nil {
			t.Fatal(err)
		}
	}
	if from := seen(t, c, r[0][0]); from != mapped || !arrives(t, r[0][0], c, mapped, true) {
		t.Errorf("afterwards it is seen as %s, not as %s", from, mapped)
	}
	if n := Must(home.Counters()).Blocked.Packets; n != 2 {
		t.Errorf("%d were blocked", n)
	}
}

// What is longer vanishes, to the byte, fragments one by one, on the internet
// and on a router that translates.
func TestSizeHole(t *testing.T) {
	const hole, headers = 1300, 20 + 8
	l := ForTest(t)
	r := newReflector(t, l)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted))
	c := listen(t, Must(home.Host("host")), "192.168.1.10:5000")
	at := r[0][0]
	for _, f := range []*Forwarding{l.Internet().Forwarding, home.Forwarding} {
		if err := f.SetSizeHole(hole, UDP); err != nil {
			t.Fatal(err)
		}
		for size, want := range map[int]bool{hole - headers: true, hole - headers + 1: false, 1472: false, 2 * 1472: false} {
			send(t, c, local(at), string(make([]byte, size)))
			wait := never
			if want {
				wait = soon
			}
			if message, _ := receive(t, at, wait); (message != "") != want {
				t.Errorf("%d bytes: %d arrived", size, len(message))
			}
		}
		if err := f.SetSizeHole(0, UDP); err != nil {
			t.Fatal(err)
		}
		if n := Must(f.Counters()).TooLong.Packets; n != 4 {
			t.Errorf("%d were counted, want one each and two fragments of the longest", n)
		}
	}
	send(t, c, local(at), string(make([]byte, 1472)))
	if message, _ := receive(t, at, soon); len(message) != 1472 {
		t.Errorf("%d bytes without the hole", len(message))
	}
	if err := home.SetSizeHole(-1, UDP); err == nil {
		t.Error("a negative size was accepted")
	}
}

// A line takes its time for what is longer than its burst, each way, and loses
// nothing that its queue holds.
func TestRate(t *testing.T) {
	const rate, size, count = 1 << 20, 1000, 400
	l := ForTest(t)
	r := newReflector(t, l)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted))
	c := listen(t, Must(home.Host("host")), "192.168.1.10:5000")
	at := r[0][0]
	mapped := seen(t, c, at)
	if err := home.SetRate(rate); err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct {
		name     string
		from, to *net.UDPConn
		dst      netip.AddrPort
	}{{"up", c, at, local(at)}, {"down", at, c, mapped}} {
		began := time.Now()
		go func() {
			for range count {
				way.from.WriteToUDPAddrPort(make([]byte, size), way.dst)
			}
		}()
		for i := range count {
			if message, _ := receive(t, way.to, soon); len(message) != size {
				t.Fatalf("%s: %d of %d arrived", way.name, i, count)
			}
		}
		if took, least := time.Since(began), time.Second*(count*size-lineBurst)/rate; took < least {
			t.Errorf("%s: %v, the line needs %v", way.name, took, least)
		}
	}
	if err := home.SetRate(0); err != nil {
		t.Error(err)
	}
	if err := Must(Must(l.Carrier("carrier", "198.51.100.2", PortRestricted)).Router("flat", PortRestricted)).SetRate(rate); err == nil {
		t.Error("a carrier's subscriber got a line")
	}
}

// A policer lets its burst through at once, and no more than its rate adds.
func TestPolicer(t *testing.T) {
	const rate, burst, count = 100, 50, 300
	l, a, b := pair(t)
	from, to := listen(t, a, "203.0.113.1:5000"), listen(t, b, "203.0.113.2:5000")
	if err := l.Internet().SetPolicer(rate, burst, UDP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range count {
		send(t, from, local(to), "numbered")
	}
	most := burst + int(rate*time.Since(began).Seconds()) + 1
	counters := Must(l.Internet().Counters())
	passed := count - int(counters.Policed.Packets)
	if passed < burst || passed > most {
		t.Errorf("%d passed, want %d to %d", passed, burst, most)
	}
	if err := l.Internet().SetPolicer(0, 0, UDP); err != nil {
		t.Fatal(err)
	}
	for range passed {
		receive(t, to, soon)
	}
	if !arrives(t, from, to, local(to), true) {
		t.Error("without a policer nothing passes")
	}
	for _, wrong := range [][2]int{{-1, 5}, {5, -1}} {
		if err := l.Internet().SetPolicer(wrong[0], wrong[1], UDP); err == nil {
			t.Errorf("a policer of %v was accepted", wrong)
		}
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

// A longer internet takes more of the TTL, of both families.
func TestSetHops(t *testing.T) {
	l := ForTest(t)
	b := Must(l.Host("b", "203.0.113.2", "2001:db8:1::2"))
	a := Must(Must(l.Router("home", "198.51.100.1", PortRestricted, "2001:db8:2::/64")).Host("a"))
	to, to6 := listen(t, b, "203.0.113.2:5000"), listen(t, b, "[2001:db8:1::2]:5000")
	c, c6 := listen(t, a, "192.168.1.10:5000"), listen(t, a, "[2001:db8:2::a]:5000")
	for _, hops := range []int{8, 1, 8} {
		if err := l.Internet().SetHops(hops); err != nil {
			t.Fatal(err)
		}
		// And its own router.
		for ttl, want := range map[int]bool{hops + 1: false, hops + 2: true} {
			if err := errors.Join(ipv4.NewConn(c).SetTTL(ttl), ipv6.NewConn(c6).SetHopLimit(ttl)); err != nil {
				t.Fatal(err)
			}
			if four, six := arrives(t, c, to, local(to), want), arrives(t, c6, to6, local(to6), want); four != want || six != want {
				t.Errorf("%d hops, TTL %d: arrived: %v and %v", hops, ttl, four, six)
			}
		}
	}
	if n := Must(l.Internet().Counters()).Expired.Packets; n != 4 {
		t.Errorf("%d were counted, want one of each family at 8 hops, twice", n)
	}
	for _, wrong := range []int{-1, 0, 256} {
		if err := l.Internet().SetHops(wrong); err == nil {
			t.Errorf("%d hops were accepted", wrong)
		}
	}
}

// Loss between two addresses is none for others, and ends.
func TestPathLoss(t *testing.T) {
	l, a, b := pair(t)
	internet := l.Internet()
	from, to := listen(t, a, "203.0.113.1:5000"), listen(t, b, "203.0.113.2:5000")
	from6, to6 := listen(t, a, "[2001:db8:1::1]:5000"), listen(t, b, "[2001:db8:1::2]:5000")
	passes := func(what string, there, back bool) {
		t.Helper()
		for _, s := range []struct {
			from, to *net.UDPConn
			want     bool
		}{{from, to, there}, {to, from, back}, {from6, to6, true}} {
			wait := never
			if s.want {
				wait = soon
			}
			send(t, s.from, local(s.to), "x")
			if got, _ := receive(t, s.to, wait); (got != "") != s.want {
				t.Errorf("%s, to %v: %q", what, s.to.LocalAddr(), got)
			}
		}
	}
	set := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := netip.MustParseAddr("203.0.113.9")
	set(internet.SetPathLoss(a.Addr(), elsewhere, 100))
	passes("on another path", true, true)
	set(internet.SetPathLoss(a.Addr(), b.Addr(), 100))
	passes("on this path", false, false)
	set(internet.SetPathLoss(a.Addr(), b.Addr(), 0))
	passes("ended", true, true)
	for _, err := range []error{internet.SetPathLoss(a.Addr(), b.Addr6(), 1), internet.SetPathLoss(a.Addr(), b.Addr(), 101)} {
		if err == nil {
			t.Error("what cannot be is taken")
		}
	}
}
