package nat

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/nat/pmtu"
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestProbeable(t *testing.T) {
	p := &Policy{
		Forbidden:  []netip.Prefix{netip.MustParsePrefix("10.64.0.0/20"), netip.MustParsePrefix("fd00:1::/64")},
		Supernodes: []netip.AddrPort{at("198.51.100.1:7654")},
	}
	for a, want := range map[string]bool{
		"203.0.113.1:4000":           true,
		"192.168.1.2:4000":           true,
		"10.63.255.255:4000":         true,
		"10.64.0.1:4000":             false,
		"[fd00:1::1]:4000":           false,
		"[fd00:1::1%eth0]:4000":      false,
		"[fd00:2::1]:4000":           true,
		"198.51.100.1:7654":          false,
		"198.51.100.1:7655":          true,
		"203.0.113.1:1023":           false,
		"203.0.113.1:1024":           true,
		"203.0.113.1:0":              false,
		"203.0.113.1:1900":           false,
		"203.0.113.1:3478":           false,
		"203.0.113.1:5060":           false,
		"203.0.113.1:5353":           false,
		"203.0.113.1:11211":          false,
		"0.0.0.0:4000":               false,
		"0.1.2.3:4000":               false,
		"127.0.0.1:4000":             false,
		"127.9.9.9:4000":             false,
		"169.254.1.1:4000":           false,
		"224.0.0.251:4000":           false,
		"240.0.0.1:4000":             false,
		"255.255.255.255:4000":       false,
		"[::]:4000":                  false,
		"[::1]:4000":                 false,
		"[ff02::1]:4000":             false,
		"[fe80::1]:4000":             false,
		"[fe80::1%eth0]:4000":        true,
		"[2001:db8::1]:4000":         true,
		"[::ffff:203.0.113.1]:4000":  false, // callers unmap first
		"[::ffff:10.64.0.1]:4000":    false,
		"[::ffff:198.51.100.1]:7654": false,
	} {
		if got := p.Probeable(at(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if p.Probeable(netip.AddrPort{}) {
		t.Error("no address")
	}
}

func TestGather(t *testing.T) {
	p := &Policy{Forbidden: []netip.Prefix{netip.MustParsePrefix("10.64.0.0/10")}}
	var hosts []netip.Addr
	for _, s := range []string{"192.168.1.2", "::ffff:192.168.1.2", "10.64.0.5", "127.0.0.1", "fe80::1", "2001:db8::1"} {
		hosts = append(hosts, parse(s))
	}
	got := Gather(Sources{Host: hosts, Port: 4000, Reflexive: []netip.AddrPort{at("203.0.113.1:4000"), at("203.0.113.1:4000"), at("192.168.1.2:4000")}}, p)
	want := []Candidate{{KindHost, at("192.168.1.2:4000")}, {KindHost, at("[2001:db8::1]:4000")}, {KindReflexive, at("203.0.113.1:4000")}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	hosts = nil
	for i := range 20 {
		hosts = append(hosts, netip.AddrFrom4([4]byte{192, 168, 1, byte(i)}), netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i + 1)}))
	}
	if got := Gather(Sources{Host: hosts, Port: 4000}, p); len(got) != maxCandidates {
		t.Errorf("%d", len(got))
	}
	var reflexive []netip.AddrPort
	for i := range 5 {
		reflexive = append(reflexive, netip.AddrPortFrom(parse("203.0.113.1"), 4000+uint16(i)))
	}
	got = Gather(Sources{Host: hosts, Port: 4000, Reflexive: reflexive}, p)
	if len(got) != 14 || got[12].Addr != reflexive[0] || got[13].Addr != reflexive[1] {
		t.Errorf("%d: %v", len(got), got)
	}
}

func TestHostAddresses(t *testing.T) {
	all, err := HostAddresses(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.IsLoopback() || a.IsLinkLocalUnicast() || a.Is4In6() {
			t.Errorf("%v", a)
		}
	}
	none, err := HostAddresses(func(string) bool { return true })
	if err != nil || len(none) != 0 {
		t.Errorf("%v %v", none, err)
	}
	for name, want := range map[string]bool{"eth0": false, "wg0": true, "tun1": true, "tap0": true, "n2n0": true, "enp3s0": false, "wlan0": false} {
		if IsTunnel(name) != want {
			t.Errorf("%s", name)
		}
	}
}

func TestReflexiveMapping(t *testing.T) {
	type sight struct {
		after        time.Duration
		server, seen string
	}
	for _, c := range []struct {
		name   string
		sights []sight
		want   MappingBehavior
	}{
		{"nothing", nil, MappingUnknown},
		{"one server", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}}, MappingUnknown},
		{"one server, two ports, same", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4000"}}, MappingUnknown},
		{"one server, two ports, other", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4001"}}, MappingAddressAndPortDependent},
		{"two servers, same", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4000"}}, MappingEndpointIndependent},
		{"two servers, other", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4001"}}, MappingAddressAndPortDependent},
		{"two servers with two ports, equal per server", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4000"},
			{0, "198.51.100.2:1", "203.0.113.1:4001"}, {0, "198.51.100.2:2", "203.0.113.1:4001"}}, MappingAddressDependent},
		{"all different", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4001"},
			{0, "198.51.100.2:1", "203.0.113.1:4002"}}, MappingAddressAndPortDependent},
		{"a reboot in between", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {40 * time.Second, "198.51.100.2:1", "203.0.113.1:4001"}}, MappingUnknown},
		{"the same server again", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4000"},
			{time.Second, "198.51.100.1:1", "203.0.113.1:5000"}, {time.Second, "198.51.100.2:1", "203.0.113.1:5000"}}, MappingEndpointIndependent},
		{"IPv6 beside IPv4", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4000"},
			{0, "[2001:db8::1]:1", "[2001:db8::9]:4000"}}, MappingEndpointIndependent},
		{"IPv6 alone", []sight{{0, "[2001:db8::1]:1", "[2001:db8::9]:4000"}, {0, "[2001:db8::2]:1", "[2001:db8::9]:4000"}}, MappingEndpointIndependent},
	} {
		var r Reflexive
		for _, s := range c.sights {
			r.Observe(epoch.Add(s.after), at(s.server), at(s.seen))
		}
		if got := r.Mapping(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestReflexiveList(t *testing.T) {
	var r Reflexive
	a, b := at("203.0.113.1:4000"), at("203.0.113.1:4001")
	s1, s2 := at("198.51.100.1:1"), at("198.51.100.2:1")
	if !r.Observe(epoch, s1, a) || r.Observe(epoch.Add(time.Second), s1, a) || !r.Observe(epoch.Add(2*time.Second), s2, b) {
		t.Error("changed")
	}
	if got := r.List(epoch.Add(3 * time.Second)); !slices.Equal(got, []netip.AddrPort{b, a}) {
		t.Errorf("%v", got)
	}
	if got := r.List(epoch.Add(121 * time.Second)); !slices.Equal(got, []netip.AddrPort{b}) {
		t.Errorf("%v", got)
	}
	if !r.Observe(epoch.Add(4*time.Second), s1, b) || r.Observe(epoch, netip.AddrPort{}, a) {
		t.Error("changed")
	}
	for i := range 100 {
		r.Observe(epoch, netip.AddrPortFrom(s1.Addr(), uint16(i+1)), a)
	}
	if len(r.list) != maxObservations {
		t.Errorf("%d", len(r.list))
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget()
	count := func(now time.Time, next func(i int) netip.Addr, bytes int) (n int) {
		for i := range 10_000 {
			if b.Take(now, next(i), bytes, false) {
				n++
			}
		}
		return n
	}
	many := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{9, 0, byte(i >> 8), byte(i)}) }
	one := func(int) netip.Addr { return parse("203.0.113.1") }
	if n := count(epoch, one, 77); n != 30 {
		t.Errorf("to one address: %d", n)
	}
	if n := count(epoch, many, 77); n != 370 {
		t.Errorf("burst: %d", n)
	}
	if n := count(epoch.Add(time.Second), many, 77); n != 200 {
		t.Errorf("a second: %d", n)
	}
	if n := count(epoch.Add(9999*time.Millisecond), one, 77); n != 0 {
		t.Errorf("too early: %d", n)
	}
	if n := count(epoch.Add(11*time.Second), one, 77); n != 30 {
		t.Errorf("after the span: %d", n)
	}
	if n := count(epoch.Add(time.Hour), many, 1500); n != 32 {
		t.Errorf("bytes: %d", n)
	}
	if n := count(epoch, many, 77); n != 0 {
		t.Errorf("clock back: %d", n)
	}
	now := epoch.Add(2 * time.Hour)
	for i := range 20_000 {
		b.Take(now, netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)}), 77, false)
		now = now.Add(5 * time.Millisecond)
		if len(b.visits) > maxVisits {
			t.Fatalf("%d addresses", len(b.visits))
		}
	}
}

// A hostile peer names 16 ports of a victim, others every second, and lets a
// supernode send PUNCH after PUNCH.
func TestHostileCandidates(t *testing.T) {
	p := newTestPath()
	var times []time.Time
	for now := epoch; now.Before(epoch.Add(10 * time.Minute)); now = now.Add(10 * time.Millisecond) {
		p.Used(now)
		if step := now.Sub(epoch); step%time.Second == 0 {
			var list []Candidate
			for i := range 16 {
				list = append(list, Candidate{KindHost, netip.AddrPortFrom(parse("203.0.113.5"), uint16(2000+int(step/time.Second)*16+i))})
			}
			p.SetCandidates(now, uint32(step), list)
			p.Punch(now, netip.AddrPortFrom(parse("203.0.113.5"), uint16(20000+int(step/time.Second))), 0)
		}
		for range p.Poll(now).Probes {
			times = append(times, now)
		}
	}
	for i, a := range times {
		if j := i + visitLimit; j < len(times) && times[j].Sub(a) < 10*time.Second {
			t.Fatalf("more than %d within 10 s", visitLimit)
		}
	}
	if len(times) == 0 || len(p.remotes) > maxCandidates+maxLearnt {
		t.Errorf("%d probes, %d addresses", len(times), len(p.remotes))
	}
}

func newTestPath() *Path { return NewPath(&Policy{}, NewBudget(), rand.NewPCG(1, 2)) }

// drive polls p from now until the end, answering the pings that answer wants
// answered after the time it returns (below 0: not), and returns the probes.
func drive(p *Path, now, end time.Time, answer func(Probe) time.Duration) (sent []Probe) {
	type pong struct {
		at    time.Time
		probe Probe
	}
	var due []pong
	for !now.After(end) {
		for len(due) > 0 && !due[0].at.After(now) {
			p.Pong(now, due[0].probe.Nonce, due[0].probe.To, at("203.0.113.200:4000"))
			due = due[1:]
		}
		for _, probe := range p.Poll(now).Probes {
			sent = append(sent, probe)
			if d := answer(probe); d >= 0 {
				due = append(due, pong{now.Add(d), probe})
				slices.SortStableFunc(due, func(a, b pong) int { return a.at.Compare(b.at) })
			}
		}
		next := p.Deadline()
		if len(due) > 0 {
			next = earliest(next, due[0].at)
		}
		if next.IsZero() {
			break
		}
		now = next
	}
	return sent
}

// direct returns a path that is direct to a host 20 ms away, at epoch + 1 s.
func direct(t *testing.T, a netip.AddrPort) *Path {
	t.Helper()
	p := newTestPath()
	p.SetCandidates(epoch, 1, []Candidate{{KindHost, a}})
	p.Used(epoch)
	drive(p, epoch, epoch.Add(time.Second), func(Probe) time.Duration { return 20 * time.Millisecond })
	if r := p.Route(); r.State != StateDirect || r.Direct != a {
		t.Fatalf("%+v", r)
	}
	return p
}

func TestOnlyOwnPongProves(t *testing.T) {
	p := newTestPath()
	a, b := at("203.0.113.1:4000"), at("203.0.113.2:4000")
	p.Used(epoch)
	p.SetCandidates(epoch, 1, []Candidate{{KindHost, a}, {KindHost, b}})
	var first Probe
	for _, probe := range drive(p, epoch, epoch.Add(10*time.Millisecond), func(Probe) time.Duration { return -1 }) {
		if probe.To == a {
			first = probe
		}
	}
	now := epoch.Add(20 * time.Millisecond)
	p.Received(now, a)
	for name, ok := range map[string]bool{
		"wrong nonce":      p.Pong(now, [8]byte{1}, a, b),
		"other address":    p.Pong(now, first.Nonce, b, b),
		"unknown address":  p.Pong(now, first.Nonce, at("203.0.113.3:4000"), b),
		"after five secs":  p.Pong(now.Add(5*time.Second), first.Nonce, a, b),
		"it was forgotten": p.Pong(now, first.Nonce, a, b),
	} {
		if ok {
			t.Errorf("%s counted", name)
		}
	}
	if r := p.Route(); r.Direct.IsValid() {
		t.Errorf("%+v", r)
	}
	p = direct(t, a)
	p.Received(epoch.Add(2*time.Second), b) // from a new address: asked, not followed
	sent := drive(p, epoch.Add(2*time.Second), epoch.Add(2*time.Second), func(Probe) time.Duration { return -1 })
	if r := p.Route(); r.Direct != a || len(sent) == 0 || !slices.ContainsFunc(sent, func(x Probe) bool { return x.To == b }) {
		t.Errorf("%+v %v", r, sent)
	}
}

// The peer moved: its packets come from another address, the old one is dead.
func TestRoaming(t *testing.T) {
	a, b := at("203.0.113.1:4000"), at("203.0.113.2:4000")
	p := direct(t, a)
	moved := epoch.Add(1500 * time.Millisecond)
	p.Used(moved)
	p.Received(moved, b)
	drive(p, moved, moved.Add(time.Second), func(x Probe) time.Duration {
		if x.To == b {
			return 20 * time.Millisecond
		}
		return -1
	})
	if r := p.Route(); r.Direct != b || r.Relay || r.State != StateDirect {
		t.Errorf("%+v", r)
	}
}

func TestSendFailed(t *testing.T) {
	a := at("203.0.113.1:4000")
	p := direct(t, a)
	now := epoch.Add(2 * time.Second)
	p.Used(now)
	p.SendFailed(now, at("203.0.113.9:4000")) // nobody's
	p.SendFailed(now, a)
	if r := p.Route(); r.State != StateSuspect || !r.Relay || r.Direct != a {
		t.Errorf("%+v", r)
	}
	out := p.Poll(now)
	if !out.Changed || len(out.Probes) != 1 {
		t.Errorf("%+v", out)
	}
	p.Pong(now.Add(20*time.Millisecond), out.Probes[0].Nonce, a, a)
	if r := p.Route(); r.State != StateDirect || r.Relay {
		t.Errorf("%+v", r)
	}
	p.SendFailed(now, a)
	drive(p, now, now.Add(800*time.Millisecond), func(x Probe) time.Duration { p.SendFailed(now, x.To); return -1 })
	if r := p.Route(); r.State != StatePunch || r.Direct.IsValid() {
		t.Errorf("%+v", r)
	}
}

// A direct path whose first link takes less than was verified goes on with the
// smallest size at once, and then with what comes through.
func TestTooBig(t *testing.T) {
	a := at("203.0.113.1:4000")
	p := direct(t, a)
	now := epoch.Add(2 * time.Second)
	p.Used(now)
	p.Poll(now)
	p.TooBig(now, at("203.0.113.9:4000")) // nobody's
	if r := p.Route(); r.MTU != 1445 {
		t.Errorf("%+v", r)
	}
	p.TooBig(now, a)
	if r := p.Route(); r.MTU != pmtu.Minimum || r.Direct != a || r.Relay {
		t.Errorf("%+v", r)
	}
	drive(p, now, now.Add(2*time.Second), func(x Probe) time.Duration {
		if x.Pad+pingLen+overhead4 > 1400 {
			p.TooBig(now, x.To)
			return -1
		}
		return 20 * time.Millisecond
	})
	if r := p.Route(); r.MTU != 1400 || r.Direct != a || r.Relay {
		t.Errorf("%+v", r)
	}
}

// A better path is taken when it is better by enough, and no oftener than
// every 10 s.
func TestBetterPath(t *testing.T) {
	a, b := at("203.0.113.1:4000"), at("192.168.1.2:4000")
	for _, c := range []struct {
		kind CandidateKind
		rtt  time.Duration
		want bool
	}{
		{KindHost, 20 * time.Millisecond, true}, // private: a LAN's bias
		{KindHost, 24 * time.Millisecond, false},
		{KindStatic, 19 * time.Millisecond, false},
		{KindStatic, 15 * time.Millisecond, true},
		{KindTURN, 15 * time.Millisecond, false},
	} {
		p := newTestPath()
		p.SetCandidates(epoch, 1, []Candidate{{KindStatic, a}})
		p.Used(epoch)
		rtt := func(x Probe) time.Duration {
			if x.To == b {
				return c.rtt
			}
			return 20 * time.Millisecond
		}
		drive(p, epoch, epoch.Add(time.Second), rtt)
		added := epoch.Add(2 * time.Second)
		p.Used(added)
		p.SetCandidates(added, 2, []Candidate{{KindStatic, a}, {c.kind, b}})
		drive(p, added, epoch.Add(10*time.Second), rtt)
		if r := p.Route(); r.Direct != a {
			t.Errorf("%+v: switched within 10 s: %+v", c, r)
		}
		for s := time.Duration(10); s < 65; s++ {
			p.Used(epoch.Add(s * time.Second))
			drive(p, epoch.Add(s*time.Second), epoch.Add((s+1)*time.Second), rtt)
		}
		if r := p.Route(); (r.Direct == b) != c.want || r.Relay {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// A path that dies every few seconds is not tried ever again at once.
func TestFlapping(t *testing.T) {
	p := newTestPath()
	a := at("203.0.113.1:4000")
	p.SetCandidates(epoch, 1, []Candidate{{KindHost, a}})
	ups := 0
	alive := epoch
	for now := epoch; now.Before(epoch.Add(5 * time.Minute)); now = now.Add(10 * time.Millisecond) {
		p.Used(now)
		before := p.Route().Direct.IsValid()
		for _, x := range slices.Clone(p.Poll(now).Probes) {
			if x.Pad > 0 || now.Sub(alive) < 2*time.Second || !before {
				p.Pong(now, x.Nonce, x.To, a)
			}
		}
		p.Poll(now)
		if !before && p.Route().Direct.IsValid() {
			ups, alive = ups+1, now
		}
	}
	if ups < 4 || ups > 12 {
		t.Errorf("%d times direct", ups)
	}
}

func TestBackoff(t *testing.T) {
	p := newTestPath()
	p.SetCandidates(epoch, 1, []Candidate{{KindHost, at("203.0.113.1:4000")}})
	var begun []time.Duration
	wake := epoch
	for now := epoch; now.Before(epoch.Add(20 * time.Minute)); now = now.Add(10 * time.Millisecond) {
		p.Used(now)
		if p.Poll(now).WantPunch && now.Sub(wake) >= 0 {
			begun = append(begun, now.Sub(epoch))
			wake = now.Add(1400 * time.Millisecond)
		}
	}
	// Each attempt takes 1.5 s.
	waits := []time.Duration{2, 5, 10, 30, 60, 120, 300, 300}
	if len(begun) < len(waits)+1 {
		t.Fatalf("%v", begun)
	}
	for i, w := range waits {
		got := begun[i+1] - begun[i] - shortest
		if got < w*time.Second*79/100 || got > w*time.Second*121/100 {
			t.Errorf("wait %d: %v, want about %v s", i, got, int(w))
		}
	}
	// A new address breaks it.
	now := epoch.Add(20 * time.Minute)
	p.SetCandidates(now, 2, []Candidate{{KindHost, at("203.0.113.2:4000")}})
	if out := p.Poll(now); !out.WantPunch || len(out.Probes) == 0 {
		t.Errorf("%+v", out)
	}
}

func TestPollCostsNothing(t *testing.T) {
	p := direct(t, at("203.0.113.1:4000"))
	now := epoch.Add(1100 * time.Millisecond)
	p.Poll(now)
	if n := testing.AllocsPerRun(1000, func() {
		p.Used(now)
		p.Received(now, at("203.0.113.1:4000"))
		if out := p.Poll(now); len(out.Probes) > 0 || out.Changed || p.Deadline().IsZero() || p.Route().Relay {
			t.Fatal("not quiet")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	// A heartbeat and its answer allocate nothing either.
	if n := testing.AllocsPerRun(1000, func() {
		p.Used(now)
		for _, x := range p.Poll(now).Probes {
			p.Pong(now, x.Nonce, x.To, x.To)
		}
		p.Poll(now)
		now = p.Deadline()
	}); n > 0 {
		t.Errorf("%v allocations in a heartbeat", n)
	}
}

func BenchmarkPollQuiet(b *testing.B) {
	p := newTestPath()
	p.SetCandidates(epoch, 1, []Candidate{{KindHost, at("203.0.113.1:4000")}})
	p.Used(epoch)
	p.Poll(epoch)
	now := epoch.Add(time.Microsecond)
	for b.Loop() {
		p.Used(now)
		p.Poll(now)
	}
}

func TestStrings(t *testing.T) {
	for _, s := range []string{KindHost.String(), KindReflexive.String(), KindPeerReflexive.String(), KindMapped.String(), KindStatic.String(),
		KindTURN.String(), KindLAN.String(), StateIdle.String(), StateRelay.String(), StatePunch.String(), StateVerify.String(),
		StateDirect.String(), StateSuspect.String(), MappingEndpointIndependent.String()} {
		if s == "unknown" || s == "" {
			t.Errorf("%q", s)
		}
	}
	if CandidateKind(0).String() != "unknown" || State(99).String() != "unknown" {
		t.Error("unknown")
	}
}

// An address that only a peer names, and that never answers, gets 70 packets
// in twenty minutes, however often it is tried.
func TestBudgetClaims(t *testing.T) {
	b := NewBudget()
	victim := netip.MustParseAddr("203.0.113.66")
	sent := 0
	for now := epoch; now.Before(epoch.Add(20 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		if b.Take(now, victim, 77, true) {
			sent++
		}
	}
	if sent < claimLimit+39 || sent > claimLimit+41 {
		t.Errorf("%d packets", sent)
	}
	if !b.Take(epoch.Add(21*time.Minute), victim, 77, false) {
		t.Error("what a supernode sees there is not limited by it")
	}
}
