package path

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
	"hedgerow/nat/pmtu"
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// A hostile peer names 16 ports of a victim, others every second, and lets a
// supernode send PUNCH after PUNCH.
func TestHostileCandidates(t *testing.T) {
	p := newTestPath()
	var times []time.Time
	for now := epoch; now.Before(epoch.Add(10 * time.Minute)); now = now.Add(10 * time.Millisecond) {
		p.Used(now)
		if step := now.Sub(epoch); step%time.Second == 0 {
			var list []address.Candidate
			for i := range 16 {
				list = append(list, address.Candidate{Kind: address.KindHost, Addr: netip.AddrPortFrom(parse("203.0.113.5"), uint16(2000+int(step/time.Second)*16+i))})
			}
			p.SetCandidates(now, uint32(step), list)
			p.Punch(now, netip.AddrPortFrom(parse("203.0.113.5"), uint16(20000+int(step/time.Second))), 0)
		}
		for range p.Poll(now).Probes {
			times = append(times, now)
		}
	}
	for i, a := range times {
		if j := i + address.BurstPerAddress; j < len(times) && times[j].Sub(a) < 10*time.Second {
			t.Fatalf("more than %d within 10 s", address.BurstPerAddress)
		}
	}
	if len(times) == 0 || len(p.remotes.list) > address.MaxCandidates+maxLearnt {
		t.Errorf("%d probes, %d addresses", len(times), len(p.remotes.list))
	}
}

// The lengths of datagrams in these tests: those of a TAP MTU of 1370.
const (
	testPayload = 1370 + 14 + 33
	testPingLen = 49
)

// testPolicy returns the policy of an edge with the usual lengths.
func testPolicy() *address.Policy { return &address.Policy{Payload: testPayload, PingLen: testPingLen} }

func newTestPath() *Machine { return New(testPolicy(), address.NewBudget(), rand.NewPCG(1, 2)) }

// drive polls p from now until the end, answering the pings that answer wants
// answered after the time it returns (below 0: not), and returns the probes.
func drive(p *Machine, now, end time.Time, answer func(Probe) time.Duration) (sent []Probe) {
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
			next = deadline.Earliest(next, due[0].at)
		}
		if next.IsZero() {
			break
		}
		now = next
	}
	return sent
}

// direct returns a path that is direct to a host 20 ms away, at epoch + 1 s.
func direct(t *testing.T, a netip.AddrPort) *Machine {
	t.Helper()
	p := newTestPath()
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: a}})
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
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: a}, {Kind: address.KindHost, Addr: b}})
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
	if r := p.Route(); r.State != StateChecking || r.Direct.IsValid() {
		t.Errorf("%+v", r)
	}
}

// A direct path whose first hop carries less than was measured goes on with the
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
		if x.Pad+testPingLen+overhead4 > 1400 {
			p.TooBig(now, x.To)
			return -1
		}
		return 20 * time.Millisecond
	})
	if r := p.Route(); r.MTU != 1400 || r.Direct != a || r.Relay {
		t.Errorf("%+v", r)
	}
}

// A better path is selected when it is better by enough, and no oftener than
// every 10 s.
func TestBetterPath(t *testing.T) {
	a, b := at("203.0.113.1:4000"), at("192.168.1.2:4000")
	for _, c := range []struct {
		kind address.CandidateKind
		rtt  time.Duration
		want bool
	}{
		{address.KindHost, 20 * time.Millisecond, true}, // private: a LAN's bias
		{address.KindHost, 24 * time.Millisecond, false},
		{address.KindStatic, 19 * time.Millisecond, false},
		{address.KindStatic, 15 * time.Millisecond, true},
		{address.KindTURN, 15 * time.Millisecond, false},
	} {
		p := newTestPath()
		p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindStatic, Addr: a}})
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
		p.SetCandidates(added, 2, []address.Candidate{{Kind: address.KindStatic, Addr: a}, {Kind: c.kind, Addr: b}})
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
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: a}})
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
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: at("203.0.113.1:4000")}})
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
	p.SetCandidates(now, 2, []address.Candidate{{Kind: address.KindHost, Addr: at("203.0.113.2:4000")}})
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
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: at("203.0.113.1:4000")}})
	p.Used(epoch)
	p.Poll(epoch)
	now := epoch.Add(time.Microsecond)
	for b.Loop() {
		p.Used(now)
		p.Poll(now)
	}
}

func TestStrings(t *testing.T) {
	for s := StateIdle; s <= StateSuspect; s++ {
		if got := s.String(); got == "unknown" || got == "" {
			t.Errorf("%d: %q", s, got)
		}
	}
	if State(99).String() != "unknown" {
		t.Error("unknown")
	}
}
