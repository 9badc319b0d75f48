package path

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/address"
)

// live answers a path's pings to some addresses after a time each, for a while.
func live(p *Machine, from time.Time, d time.Duration, rtt map[netip.AddrPort]time.Duration) (end time.Time) {
	type answer struct {
		at    time.Time
		probe Probe
	}
	var due []answer
	for now := from; now.Before(from.Add(d)); now = now.Add(5 * time.Millisecond) {
		p.Used(now)
		for _, x := range p.Poll(now).Probes {
			if t, ok := rtt[x.To]; ok && x.TTL == 0 {
				due = append(due, answer{now.Add(t), x})
			}
		}
		rest := due[:0]
		for _, a := range due {
			if now.Before(a.at) {
				rest = append(rest, a)
				continue
			}
			p.Pong(now, a.probe.Nonce, a.probe.To, at("198.51.100.9:4000"))
		}
		due = rest
	}
	return from.Add(d)
}

// A relayed candidate answers first, but what needs no TURN server is waited for; it is
// nominated when nothing else has answered, and left again for whatever does.
func TestRelayIsTheLastResort(t *testing.T) {
	relay, host := at("203.0.113.3:50000"), at("203.0.113.1:4000")
	list := []address.Candidate{{Kind: address.KindTURN, Addr: relay}, {Kind: address.KindHost, Addr: host}}
	fast := map[netip.AddrPort]time.Duration{relay: 10 * time.Millisecond}

	p := newTestPath()
	p.SetCandidates(epoch, 1, list)
	live(p, epoch, time.Second, map[netip.AddrPort]time.Duration{relay: 10 * time.Millisecond, host: 200 * time.Millisecond})
	if r := p.Route(); r.Direct != host || r.Kind != address.KindHost {
		t.Errorf("with both: %+v", r)
	}

	p = newTestPath()
	p.SetCandidates(epoch, 1, list)
	now := live(p, epoch, time.Second, fast)
	if r := p.Route(); r.Direct.IsValid() {
		t.Errorf("selected after a second: %+v", r)
	}
	now = live(p, now, 3*time.Second, fast)
	if r := p.Route(); r.Direct != relay || r.Kind != address.KindTURN || r.State != StateDirect {
		t.Errorf("with the relay alone: %+v", r)
	}
	fast[host] = 30 * time.Millisecond // it heals, slower than the relay
	live(p, now, 30*time.Second, fast)
	if r := p.Route(); r.Direct != host {
		t.Errorf("after the other path has come up: %+v", r)
	}
}

// Packets that come through a TURN allocation of our own make a path back through it,
// of the same rank.
func TestReceivedByTURN(t *testing.T) {
	p := newTestPath()
	p.prober.policy.Side = sidePrefix
	side := netip.MustParseAddrPort("[100::7]:1")
	p.Used(epoch)
	p.Poll(epoch)
	p.ReceivedByTURN(epoch, side)
	live(p, epoch, 4*time.Second, map[netip.AddrPort]time.Duration{side: 20 * time.Millisecond})
	if r := p.Route(); r.Direct != side || r.Kind != address.KindTURN {
		t.Errorf("%+v", r)
	}
	p = newTestPath() // nobody can name such an address
	p.prober.policy.Side = sidePrefix
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: side}})
	p.Punch(epoch, side, 0)
	live(p, epoch, 4*time.Second, map[netip.AddrPort]time.Duration{side: 20 * time.Millisecond})
	if r := p.Route(); r.Direct.IsValid() || p.Knows(side) {
		t.Errorf("a candidate: %+v", r)
	}
}

// What is said of a path that is not direct.
func TestWhy(t *testing.T) {
	p := newTestPath()
	p.SetCandidates(epoch, 1, []address.Candidate{{Kind: address.KindHost, Addr: at("203.0.113.1:4000")}})
	if got := p.Why(epoch); got != "no traffic, so nothing is tried" {
		t.Error(got)
	}
	now := live(p, epoch, time.Second, nil)
	if got := p.Why(now); got != "trying direct" {
		t.Error(got)
	}
	now = live(p, now, time.Second, nil)
	if got, want := p.Why(now), "none of the peer's 1 addresses answers: a firewall on either side, or UDP is blocked; next try in "; len(got) < len(want) || got[:len(want)] != want {
		t.Error(got)
	}
	hard := address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{1, 40000, 9000}}
	p.Arrange(now, now, hard, hard)
	if got, want := p.Why(now), "both NATs give every destination another port; next try in "; len(got) < len(want) || got[:len(want)] != want {
		t.Error(got)
	}
}
