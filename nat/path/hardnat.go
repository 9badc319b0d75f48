package path

import (
	"encoding/binary"
	"net/netip"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
)

// The techniques for hard NATs (docs/NAT.md): they are tried beside plain probes where
// a NAT gives every destination another port, so that no server can tell the peer where
// to send. The side with such a NAT is the opener: many sockets that all send to one
// address, each through a mapping of its own. The other side is the prober: it probes
// many of the ports that those mappings may have. One hit is enough. Where the ports
// are in sequence this is port prediction (RFC 5128, section 3.5), elsewhere birthday
// probing.
const (
	// techniqueLead is from the arranged start to the first packet: plain probes
	// and their answers come first, and mostly there is nothing left to do.
	techniqueLead = 300 * time.Millisecond
	// burstEvery is the time between two bursts of a technique. With 5 probes each
	// that is 500 a second.
	burstEvery      = 10 * time.Millisecond
	probesPerBurst  = 5
	openingPerBurst = 20
	// openTTL ends behind our own NATs and a carrier's, and before the peer's.
	openTTL = 3
	// seenLife is for how long many ports of an address may be probed after a
	// supernode saw the peer there: that address is return-routable, the ones that the
	// peer claims may not be.
	seenLife = 30 * time.Second
	// maxHits is how many of the addresses that a technique opens are tried: pings to
	// all of them would exhaust the budget of one IP address.
	maxHits = 2
)

// When a technique may be tried again: each one fills tables of other people's
// routers.
const (
	techniqueTries   = 3
	techniqueWait    = 10 * time.Minute // after that many, doubling
	maxTechniqueWait = 6 * time.Hour
)

// hardNAT is the technique that is planned or runs, and when another one may.
type hardNAT struct {
	begun   time.Time // zero: none
	end     time.Time
	next    time.Time // the next burst; zero: no more
	target  netip.AddrPort
	sockets int      // that an opener uses
	ports   []uint16 // that a prober probes
	sent    int      // packets
	nonce   [8]byte  // of all its pings
	hits    int      // addresses that answered; after the first nothing more is sent
	tries   int
	retry   time.Time

	ours, theirs address.PortClass // as last told
	told         bool
}

func (h *hardNAT) running() bool { return !h.begun.IsZero() }

// deadline returns when poll has something to do, zero for never.
func (h *hardNAT) deadline() time.Time {
	if !h.running() {
		return time.Time{}
	}
	return deadline.Earliest(h.next, h.end)
}

// stop ends the technique.
func (h *hardNAT) stop() {
	h.begun, h.sockets, h.ports, h.next = time.Time{}, 0, nil, time.Time{}
}

// Arrange tells the path the start that both ends agreed on (CALL, CALLACK, GO) and
// the patterns of both NATs. If a technique can help, it begins some 300 ms later,
// unless there is a direct path by then or its budget is used up.
func (p *Machine) Arrange(now, start time.Time, ours, theirs address.Pattern) {
	h := &p.hardNAT
	h.ours, h.theirs, h.told = ours.Class(), theirs.Class(), true
	if p.selection.exists() {
		return
	}
	if refusal := h.plan(now, start, theirs, &p.prober); refusal != 0 {
		p.prober.refuse(refusal)
		return
	}
	if !p.attempt.running() {
		p.attempt.startEmpty(now, &p.remotes)
	}
	p.schedule()
	p.report(now, "the peer agreed to a technique for hard NATs", nil)
	p.reported.wake(now)
}

// plan prepares the technique that helps with the two NATs, or returns why there is
// none now.
func (h *hardNAT) plan(now, start time.Time, theirs address.Pattern, s *prober) Refusal {
	seen := s.seen
	switch {
	case h.running():
		return RefusedTechniqueBusy
	case now.Before(h.retry):
		return RefusedTechniqueWait
	case !seen.addr.IsValid() || !seen.addr.Addr().Is4() || now.Sub(seen.at) >= seenLife:
		return RefusedNotSeen
	case !h.choose(seen.addr, theirs, s):
		return RefusedNoTechnique
	}
	h.begun = start.Add(techniqueLead)
	if h.begun.Before(now) {
		h.begun = now
	}
	h.next, h.sent, h.hits = h.begun, 0, 0
	binary.BigEndian.PutUint64(h.nonce[:], s.random.Uint64())
	h.end = h.begun.Add(h.duration() + lastAnswer)
	return 0
}

// poll sends the packets of the technique that are due, and ends it. One that has sent
// nothing yet is not begun when there is a direct path.
func (h *hardNAT) poll(now time.Time, direct bool, s *prober) {
	if !h.running() {
		return
	}
	if !now.Before(h.end) || h.sent == 0 && (direct || !h.mayBegin(now, s)) {
		h.stop()
		return
	}
	for !h.next.IsZero() && !now.Before(h.next) {
		h.burst(now, s)
	}
}

// mayBegin counts a technique whose time has come, once, and reports whether it
// may begin.
func (h *hardNAT) mayBegin(now time.Time, s *prober) bool {
	if now.Before(h.begun) {
		return true
	}
	if s.budget.Reserve(now, h.target.Addr(), h.packets()+maxHits*len(fullAt)) != address.Allowed {
		s.refuse(RefusedTechniqueRate)
		return false
	}
	if h.tries++; h.tries >= techniqueTries {
		h.retry = now.Add(min(techniqueWait<<min(h.tries-techniqueTries, 10), maxTechniqueWait))
	}
	return true
}

// burst sends the packets of one burst.
func (h *hardNAT) burst(now time.Time, s *prober) {
	left := h.packets() - h.sent
	if h.hits > 0 || left == 0 {
		h.next = time.Time{}
		return
	}
	h.next = h.next.Add(burstEvery)
	if h.sockets == 0 {
		for range min(left, probesPerBurst) {
			h.sendProbe(Probe{To: netip.AddrPortFrom(h.target.Addr(), h.ports[h.sent])}, s)
			h.sent++
		}
		return
	}
	for range min(left, openingPerBurst) {
		x := Probe{To: h.target, Socket: h.sent%h.sockets + 1}
		if h.sent < h.sockets {
			x.TTL = openTTL
		}
		h.sendProbe(x, s)
		if h.sent++; h.sent == h.sockets {
			h.next = h.begun.Add(h.fullTTLAfter())
			return
		}
	}
}

// sendProbe adds one ping of the technique to the output. It was counted when the
// technique began (address.Budget.Reserve).
func (h *hardNAT) sendProbe(x Probe, s *prober) {
	refusal := s.policy.ProbeRefusal(x.To)
	if refusal != address.Allowed && x.TTL > 0 {
		refusal = s.policy.PrimerRefusal(x.To)
	}
	if !s.allows(refusal) {
		return
	}
	x.Nonce, x.Gen = h.nonce, s.gen
	s.out = append(s.out, x)
}

// techniqueAnswered handles a PONG that may answer a ping of the technique, and reports
// whether it does: where it came from is a candidate from now on.
func (p *Machine) techniqueAnswered(now time.Time, nonce [8]byte, from netip.AddrPort) bool {
	h := &p.hardNAT
	if !h.running() || nonce != h.nonce || !h.asked(from, p.prober.policy) || !p.prober.allows(p.prober.policy.ReplyRefusal(from)) {
		return false
	}
	r := p.remotes.find(from)
	switch {
	case r != nil && r.ponged.IsZero() && r.prepaid == 0 && !r.opened: // it has sent us something; now it has answered as well
		r.plan = fullProbes(now)
	case r == nil && h.countHit(p.selection.exists(), &p.prober):
		r = p.remotes.learn(now, from, address.KindPeerReflexive, p.selection.remote, p.nomination.remote)
		p.tryAtOnce(now, []*remote{r}, "a technique for hard NATs opened an address")
	default:
		return true
	}
	// Further pings there cost no budget, which may be exhausted by now. They are what
	// proves the address: all pings of a technique share a nonce.
	r.heard, r.opened, r.prepaid = true, true, len(fullAt)
	p.schedule()
	p.reported.wake(now)
	return true
}

// asked reports whether a ping of the technique may have gone to where its answer came
// from: to the address of its target, or out of a socket of its own.
func (h *hardNAT) asked(from netip.AddrPort, policy *address.Policy) bool {
	return from.Addr() == h.target.Addr() || policy.ProbeRefusal(from) == address.RefusedSide
}

// countHit notes that a new address of the peer showed up, by the technique if one
// has begun and there is no direct path, and reports whether it is still to be tried.
func (h *hardNAT) countHit(direct bool, s *prober) bool {
	if !h.running() || h.sent == 0 || direct {
		return true
	}
	if h.hits++; h.hits > maxHits {
		s.refuse(RefusedHit)
		return false
	}
	return true
}
