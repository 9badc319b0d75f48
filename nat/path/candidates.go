package path

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// SetCandidates replaces the list of candidates that the peer sent, with its
// generation. At most 16 count, 8 of a family, and only such as the policy lets
// probe. An address that was not known before sets the back-off to its
// beginning and is tried at once.
func (p *Machine) SetCandidates(now time.Time, gen uint32, list []address.Candidate) {
	p.prober.gen = gen
	for _, r := range p.remotes.list {
		r.listed = false
	}
	var fresh []*remote
	var count families
	for _, c := range list {
		a := address.Unmap(c.Addr)
		if !p.prober.admits(c.Kind, a, &count) {
			continue
		}
		r := p.remotes.find(a)
		if r == nil {
			r = p.remotes.add(now, a, c.Kind)
			fresh = append(fresh, r)
		}
		if !r.listed {
			count.add(a)
		}
		r.listed = true
		if r.kind != address.KindLAN { // what we saw ourselves counts for more
			r.kind = c.Kind
		}
	}
	p.remotes.evict(p.selection.remote, p.nomination.remote)
	p.tryAtOnce(now, fresh, "the peer sent new candidates")
}

// families counts candidates by their address family.
type families struct{ four, six int }

func (f *families) of(a netip.AddrPort) *int {
	if a.Addr().Is4() {
		return &f.four
	}
	return &f.six
}

func (f *families) add(a netip.AddrPort) { *f.of(a)++ }

// admits reports whether one more candidate of the peer counts. The refusal of one
// that does not is counted.
func (s *prober) admits(kind address.CandidateKind, a netip.AddrPort, count *families) bool {
	switch {
	case kind < address.KindHost || kind > address.KindLAN:
		s.refuse(RefusedKind)
	case !s.allows(s.policy.ProbeRefusal(a)):
	case *count.of(a) >= address.MaxPerFamily || count.four+count.six >= address.MaxCandidates:
		s.refuse(RefusedTooMany)
	default:
		return true
	}
	return false
}

// Met notes that discovery met the peer at an address of a LAN that both share. It
// is tried at once, beside the probes of an attempt that runs.
func (p *Machine) Met(now time.Time, addr netip.AddrPort) {
	addr = address.Unmap(addr)
	if !p.prober.allows(p.prober.policy.ProbeRefusal(addr)) {
		return
	}
	if r := p.remotes.find(addr); r != nil {
		r.kind, r.met = address.KindLAN, true
		return
	}
	r := p.remotes.learn(now, addr, address.KindLAN, p.selection.remote, p.nomination.remote)
	r.met = true
	p.tryAtOnce(now, []*remote{r}, "the peer was met on the LAN")
}

// tryAtOnce tries addresses that have just become known: within the running
// attempt, beside a direct path in one of their own, else in a new one over all. New
// addresses begin an attempt over all once in 30 s at most; an edge whose addresses
// change with every packet gains nothing by more.
func (p *Machine) tryAtOnce(now time.Time, fresh []*remote, why string) {
	a := &p.attempt
	switch {
	case len(fresh) == 0:
		return
	case !a.running() && !p.selection.exists() && !p.usage.wanted(now):
		p.prober.refuse(RefusedNoTraffic)
		return
	}
	broke := a.breakBackoff(now)
	switch {
	case a.running():
	case p.selection.exists():
		a.startEmpty(now, &p.remotes)
	case broke:
		p.beginOwn(now)
		p.report(now, why, nil)
		p.reported.wake(now)
		return
	default:
		p.prober.refuse(RefusedBackoff)
		return
	}
	for i, r := range fresh {
		a.plan(now, r, i)
	}
	p.schedule()
	p.reported.wake(now)
}
