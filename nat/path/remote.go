package path

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/nat/address"
)

// maxLearnt is how many addresses beyond the peer's list are known.
const maxLearnt = 4

// remote is a remote candidate (RFC 8445): one that the peer listed, or the source
// of one of its packets.
type remote struct {
	addr   netip.AddrPort
	kind   address.CandidateKind
	id     uint8
	listed bool      // in the peer's newest list; otherwise learnt
	learnt time.Time // when it became known
	heard  bool      // something of the peer came from it
	met    bool      // discovery met the peer there, on a LAN that both share
	ponged time.Time // when it last answered; zero never
	failed time.Time // when it last answered small pings only
	asked  time.Time // when it last was asked because it had sent something
	seen   netip.AddrPort
	rtt    roundTrip
	plan   plan
	opened bool // it answered a technique, whose nonce it shares with others
	// prepaid is how many packets it gets beyond the budget, which the technique that
	// opened it has paid for.
	prepaid int
}

// String returns the address with its kind, for a transition's reason.
func (r *remote) String() string { return r.addr.String() + " (" + r.kind.String() + ")" }

// needsPrimer reports whether the address lies behind a NAT that must not see our
// packet before its own edge has sent one: there the low-TTL primer goes first
// (docs/NAT.md). A peer-reflexive address has sent one by definition.
func (r *remote) needsPrimer() bool {
	return r.addr.Addr().Is4() && (r.kind == address.KindReflexive || r.kind == address.KindMapped)
}

// primersOnly reports whether the address gets primers and nothing more: its port
// is never probed before something came from it, which primers let in.
func (r *remote) primersOnly() bool { return !r.heard && !address.ProbeablePort(r.addr.Port()) }

// proven reports whether the address answered within the last minute.
func (r *remote) proven(now time.Time) bool {
	return !r.ponged.IsZero() && now.Sub(r.ponged) < verifiedLife
}

// smallOnly reports whether only small pings came back from the address when it was
// last nominated, less than 10 s ago.
func (r *remote) smallOnly(now time.Time) bool {
	return !r.failed.IsZero() && now.Sub(r.failed) < stableAfter
}

// Remotes are the addresses at which a peer may be, for who asks.
type Remotes struct{ all *remotes }

// IPv4 returns the IPv4 addresses, none twice: those that a TURN server has to let
// through.
func (l Remotes) IPv4() []netip.Addr {
	var list []netip.Addr
	for _, r := range l.all.list {
		if a := r.addr.Addr(); a.Is4() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// Any reports whether f holds for one of them.
func (l Remotes) Any(f func(a netip.AddrPort) bool) bool {
	return slices.ContainsFunc(l.all.list, func(r *remote) bool { return f(r.addr) })
}

// OfMissing reports whether the peer lists addresses, and all of them are of the IP version
// that this host has no route for.
func (l Remotes) OfMissing(policy *address.Policy) bool { return ofMissing(l.all.list, policy) }

// ofMissing is Remotes.OfMissing.
func ofMissing(list []*remote, policy *address.Policy) bool {
	listed := 0
	for _, r := range list {
		if r.listed && !policy.OfMissing(r.addr.Addr()) {
			return false
		}
		if r.listed {
			listed++
		}
	}
	return listed > 0
}

// Proven reports whether the peer is at an address beyond doubt: it answered a ping to
// just that address within the last minute. Its packets may come from there although
// it is not, since their source may be forged.
func (l Remotes) Proven(now time.Time, a netip.AddrPort) bool {
	r := l.all.find(address.Unmap(a))
	return r != nil && r.proven(now)
}

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

// remotes are all addresses at which the peer may be.
type remotes struct {
	list   []*remote
	lastID uint8 // the last number given to an address
}

// find returns the remote with an address, or nil.
func (l *remotes) find(a netip.AddrPort) *remote {
	for _, r := range l.list {
		if r.addr == a {
			return r
		}
	}
	return nil
}

func (l *remotes) add(now time.Time, a netip.AddrPort, kind address.CandidateKind) *remote {
	l.lastID++
	r := &remote{addr: a, kind: kind, id: l.lastID, learnt: now, plan: plan{step: stepsEnd}}
	l.list = append(l.list, r)
	return r
}

// learn adds an address that the peer did not list. When there are too many of
// those the oldest goes, but none in use.
func (l *remotes) learn(now time.Time, a netip.AddrPort, kind address.CandidateKind, inUse ...*remote) *remote {
	if a.Addr().IsLinkLocalUnicast() {
		kind = address.KindLAN // it means something on a LAN that both share, and nowhere else
	}
	r := l.add(now, a, kind)
	l.evict(inUse...)
	return r
}

// evict drops the oldest addresses that the peer does not list until few enough
// are left. Those in use stay.
func (l *remotes) evict(inUse ...*remote) {
	for {
		learnt, oldest := 0, -1
		for i, r := range l.list {
			if r.listed {
				continue
			}
			learnt++
			if !slices.Contains(inUse, r) && (oldest < 0 || r.learnt.Before(l.list[oldest].learnt)) {
				oldest = i
			}
		}
		if learnt <= maxLearnt || oldest < 0 {
			return
		}
		l.list = slices.Delete(l.list, oldest, oldest+1)
	}
}

// relayedSince returns a relayed candidate that has answered since a time and may be
// nominated, or nil.
func (l *remotes) relayedSince(now, begun time.Time) *remote {
	for _, r := range l.list {
		if r.kind == address.KindTURN && !r.ponged.Before(begun) && !r.smallOnly(now) {
			return r
		}
	}
	return nil
}

// stopPlans cancels all probes that are still planned.
func (l *remotes) stopPlans() {
	for _, r := range l.list {
		r.plan.step = stepsEnd
	}
}

// clearPlans forgets all plans, and that their extra probes are spent.
func (l *remotes) clearPlans() {
	for _, r := range l.list {
		r.plan = plan{step: stepsEnd}
	}
}

// forgetAnswers forgets all measurements.
func (l *remotes) forgetAnswers() {
	for _, r := range l.list {
		r.ponged, r.failed, r.rtt = time.Time{}, time.Time{}, roundTrip{}
	}
}
