package path

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/nat/address"
)

// maxLearnt is how many addresses beyond the peer's list are known.
const maxLearnt = 4

// remote is one address at which the peer may be: a candidate, or the source of
// one of its packets.
type remote struct {
	addr   netip.AddrPort
	kind   address.CandidateKind
	id     uint8
	listed bool      // in the peer's newest list; otherwise learnt
	learnt time.Time // when it became known
	heard  bool      // something of the peer came from it
	ponged time.Time // when it last answered; zero never
	failed time.Time // when it last answered small pings only
	asked  time.Time // when it last was asked because it had sent something
	seen   netip.AddrPort
	rtt    roundTrip
	plan   plan
}

// primed reports whether the address lies behind a NAT that must not see our
// packet before its own edge has sent one: there the low-TTL primer goes first
// (docs/NAT.md). A peer-reflexive address has sent one by definition.
func (r *remote) primed() bool {
	return r.addr.Addr().Is4() && (r.kind == address.KindReflexive || r.kind == address.KindMapped)
}

// quiet reports whether the address gets primers and nothing more: its port is
// never probed before something came from it, which primers let in.
func (r *remote) quiet() bool { return !r.heard && !address.ProbeablePort(r.addr.Port()) }

// roundTrip estimates the time to an address and back as RFC 6298 does.
type roundTrip struct {
	smooth    time.Duration
	variation time.Duration
	samples   int // since the last search for a better path
}

func (t *roundTrip) add(sample time.Duration) {
	sample = max(sample, 0)
	t.samples++
	if t.smooth == 0 {
		t.smooth, t.variation = sample, sample/2
		return
	}
	t.variation += ((t.smooth - sample).Abs() - t.variation) / 4
	t.smooth += (sample - t.smooth) / 8
}

// timeout returns how long to wait for an answer.
func (t *roundTrip) timeout() time.Duration {
	return max(pingTimeout, 2*t.smooth+4*t.variation)
}

func (p *Machine) find(a netip.AddrPort) *remote {
	for _, r := range p.remotes {
		if r.addr == a {
			return r
		}
	}
	return nil
}

// Reachable returns the IPv4 addresses at which the peer may be: those that a
// relay has to let through.
func (p *Machine) Reachable() []netip.Addr {
	var list []netip.Addr
	for _, r := range p.remotes {
		if a := r.addr.Addr(); a.Is4() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// Knows reports whether an address is one at which the peer may be.
func (p *Machine) Knows(a netip.AddrPort) bool { return p.find(address.Unmap(a)) != nil }

func (p *Machine) add(now time.Time, a netip.AddrPort, kind address.CandidateKind) *remote {
	p.ids++
	r := &remote{addr: a, kind: kind, id: p.ids, learnt: now, plan: plan{step: stepsEnd}}
	p.remotes = append(p.remotes, r)
	return r
}

// learn adds an address that is in no list, and drops the oldest such one when
// there are too many.
func (p *Machine) learn(now time.Time, a netip.AddrPort, kind address.CandidateKind) *remote {
	if a.Addr().IsLinkLocalUnicast() {
		kind = address.KindLAN // it means something on a link that both share, and nowhere else
	}
	r := p.add(now, a, kind)
	p.forget()
	return r
}

// forget drops the oldest addresses that are in no list until few enough are
// left. The one in use and the one being verified stay.
func (p *Machine) forget() {
	for {
		learnt, oldest := 0, -1
		for i, r := range p.remotes {
			if r.listed {
				continue
			}
			learnt++
			if r != p.direct && r != p.verify.remote && (oldest < 0 || r.learnt.Before(p.remotes[oldest].learnt)) {
				oldest = i
			}
		}
		if learnt <= maxLearnt || oldest < 0 {
			return
		}
		p.remotes = slices.Delete(p.remotes, oldest, oldest+1)
	}
}
