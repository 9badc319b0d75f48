package path

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
	"hedgerow/nat/pmtu"
)

// askEvery is how often an address that sends is asked between attempts.
const askEvery = 10 * time.Second

// Machine decides which way traffic to one peer goes, and finds and keeps a direct
// way. It is driven by one goroutine: inputs as they come, Poll after every
// input and at Deadline. It holds at most 20 addresses and 256 outstanding
// pings.
//
// The state is not stored but follows from the parts: a direct address or none,
// pings missed on it, a verification, an attempt.
type Machine struct {
	surroundings
	gen     uint32 // of the peer's candidates
	ids     uint8  // the last number given to an address
	used    time.Time
	better  time.Time // when to look for a better path; zero = not
	remotes []*remote
	direct  *remote
	pings   pings
	attempt attempt
	special special
	verify  verification
	heart   heartbeat
	mtu     pmtu.Discovery // of the direct path
	probes  []Probe
	face    face
}

// surroundings are what a path shares with the other paths of its edge.
type surroundings struct {
	policy *address.Policy
	budget *address.Budget
	random rand.Source
}

// face is what the caller has been told.
type face struct {
	wake time.Time // Deadline; zero = none
	told Route
}

// New returns the path to a peer with which a session is up, by relay at
// first. Policy and budget are those of the edge; random gives nonces and
// jitter, and is used only within calls. A nonce is no secret, since it travels
// inside the session, but must not repeat.
func New(policy *address.Policy, budget *address.Budget, random rand.Source) *Machine {
	p := &Machine{surroundings: surroundings{policy: policy, budget: budget, random: random}}
	p.face.told = p.Route()
	return p
}

// SetCandidates takes the list of candidates that the peer sent, with its
// generation. At most 16 count, 8 of a family, and only such as the policy lets
// probe. An address that was not known before sets the back-off to its
// beginning and is tried at once.
func (p *Machine) SetCandidates(now time.Time, gen uint32, list []address.Candidate) {
	p.gen = gen
	for _, r := range p.remotes {
		r.listed = false
	}
	var fresh []*remote
	families := map[bool]int{}
	for _, c := range list {
		a := address.Unmap(c.Addr)
		is4 := a.Addr().Is4()
		if c.Kind < address.KindHost || c.Kind > address.KindLAN || !p.policy.Probeable(a) ||
			families[is4] >= address.MaxPerFamily || families[true]+families[false] >= address.MaxCandidates {
			continue
		}
		r := p.find(a)
		if r == nil {
			r = p.add(now, a, c.Kind)
			fresh = append(fresh, r)
		}
		if !r.listed {
			families[is4]++
		}
		r.listed, r.kind = true, c.Kind
	}
	p.forget()
	p.tryAtOnce(now, fresh)
}

// Met notes that the peer was met at an address of a link that both share. It is
// tried at once, beside whatever else is going on.
func (p *Machine) Met(now time.Time, addr netip.AddrPort) {
	addr = address.Unmap(addr)
	if !p.policy.Probeable(addr) {
		return
	}
	if r := p.find(addr); r != nil {
		r.kind = address.KindLAN
		return
	}
	p.tryAtOnce(now, []*remote{p.learn(now, addr, address.KindLAN)})
}

// Punch takes a PUNCH from a supernode: the peer was seen as seen, and both ends
// begin after delay. It starts an attempt, also when we are direct, since the
// peer may not be. It does not set the back-off to its beginning unless the
// peer's candidates change: otherwise the requests of two ends that cannot reach
// each other would keep both at the shortest wait for ever.
func (p *Machine) Punch(now time.Time, seen netip.AddrPort, delay time.Duration) {
	seen = address.Unmap(seen)
	if p.policy.Primable(seen) {
		p.special.seen = sighting{seen, now}
	}
	t0 := now.Add(min(max(delay, 0), maxPunchDelay))
	r := p.find(seen)
	if r == nil && p.policy.Primable(seen) {
		r = p.learn(now, seen, address.KindReflexive)
		if p.attempt.running() {
			p.planFrom(now, r, 0)
		}
	}
	p.startAt(now, t0)
}

// Agreed is Punch without a supernode: both ends begin at start, with the
// addresses that the peer gave.
func (p *Machine) Agreed(now, start time.Time) {
	p.startAt(now, deadline.Earliest(start, now.Add(maxPunchDelay)))
}

// startAt begins an attempt at t0, or moves the running one there.
func (p *Machine) startAt(now, t0 time.Time) {
	if p.direct != nil {
		p.heart.hurry(resendAfter)
	}
	p.touch(now)
	a := &p.attempt
	switch {
	case !a.running():
		p.begin(now, t0, true)
	case !a.arranged && now.Before(a.t0):
		p.arrange(t0)
	case a.arranged && now.Before(a.t0.Add(punchMerge)):
		p.schedule()
	default:
		p.begin(now, t0, true)
	}
}

// arrange moves the primers of the running attempt to the arranged time.
func (p *Machine) arrange(t0 time.Time) {
	a := &p.attempt
	shift := t0.Sub(a.t0)
	a.t0, a.arranged, a.asks = t0, true, len(asksAt)
	for _, r := range p.remotes {
		if r.primed() && r.plan.step == 0 {
			r.plan.t0 = r.plan.t0.Add(shift)
		}
	}
	p.schedule()
}

// Received notes that a packet which the session opened came from an address
// that is not a supernode's. An unknown address becomes a candidate, and is
// asked at once; it carries traffic only after its PONG. It also tells a path
// on which only pings get lost from a dead one.
func (p *Machine) Received(now time.Time, from netip.AddrPort) {
	p.received(now, from, address.KindPeerReflexive)
}

// ReceivedByTURN is Received for a packet that came through a TURN relay of our
// own; the address stands for that relay and the peer behind it.
func (p *Machine) ReceivedByTURN(now time.Time, from netip.AddrPort) {
	p.received(now, from, address.KindTURN)
}

func (p *Machine) received(now time.Time, from netip.AddrPort, kind address.CandidateKind) {
	from = address.Unmap(from)
	if p.direct != nil && from == p.direct.addr {
		p.heart.heard = now
		return
	}
	r := p.find(from)
	if r == nil {
		if !p.policy.Reachable(from) {
			return
		}
		if !p.counts() {
			return
		}
		r = p.learn(now, from, kind)
		r.heard = true
		p.tryAtOnce(now, []*remote{r})
		if p.direct != nil {
			p.heart.hurry(resendAfter) // it may have moved
		}
		return
	}
	r.heard = true
	p.answerable(now, r)
}

// answerable notes that a candidate has sent something: its NAT lets us in and
// its own mapping stands, so that neither primer nor waiting is needed any
// more. It gets one probe more than its plan in an attempt; between attempts it
// gets one of its own every 10 s.
func (p *Machine) answerable(now time.Time, r *remote) {
	a := &p.attempt
	if p.direct != nil || r == p.verify.remote || a.running() && (!now.After(a.begun) || r.ponged.After(a.begun)) {
		return
	}
	switch {
	case !a.running():
		if !p.wanted(now) || now.Sub(r.asked) < askEvery {
			return
		}
		p.search(now)
		r.plan, r.asked = plainPlan(now), now
	case r.plan.step < firstPlain:
		r.plan = plainPlan(now)
	case r.plan.step > firstPlain && !r.plan.extra:
		r.plan = plainPlan(now.Add(-plainAt[len(plainAt)-1]))
		r.plan.step, r.plan.extra = stepsEnd-1, true
	default:
		return
	}
	p.schedule()
	p.touch(now)
}

// Pong takes a PONG that came from an address, with our address as the peer saw
// it. It reports whether it answers a ping of the last 5 s to just that
// address; any other proves nothing and changes nothing.
func (p *Machine) Pong(now time.Time, nonce [8]byte, from, seen netip.AddrPort) bool {
	from = address.Unmap(from)
	if p.struck(now, nonce, from) {
		return true
	}
	r := p.find(from)
	if r == nil {
		return false
	}
	answer, ok := p.pings.take(now, nonce, r)
	if !ok {
		return false
	}
	r.rtt.add(now.Sub(answer.sent))
	r.heard, r.ponged, r.seen = true, now, address.Unmap(seen)
	r.plan.step = p.afterPong(r)
	p.touch(now)
	if r == p.direct {
		p.answered(now, answer)
		p.mtu.Answered(now, answer.size)
		return true
	}
	if r.failed.IsZero() || now.Sub(r.failed) >= settled {
		p.consider(now, r)
	}
	p.verified(now, r, answer.size)
	return true
}

// afterPong returns the step to go on with at an address that answered: while a
// direct path is in use the samples of all plain probes are wanted.
func (p *Machine) afterPong(r *remote) int {
	if p.direct == nil {
		return stepsEnd
	}
	return r.plan.step
}

// Used notes that a unicast frame went to the peer or came from it. It is cheap
// enough for every frame. After a silence it wakes the path.
func (p *Machine) Used(now time.Time) {
	quiet := !p.active(now)
	p.used = now
	if !quiet {
		return
	}
	p.touch(now)
	switch {
	case p.direct != nil:
		p.heart.hurry(activeBeat)
	case !p.attempt.running() && p.attempt.retry.IsZero():
		p.beginOwn(now)
	}
}

// Keep keeps a direct path that is not used from being let go. It counts for
// nothing else.
func (p *Machine) Keep(now time.Time) {
	if idle := now.Add(-activeFor); p.direct != nil && p.used.Before(idle) {
		p.used = idle
	}
}

// SendFailed notes that the system refused to send to an address, or that ICMP
// says so. A direct path is in doubt at once, so that traffic also goes by
// relay; a candidate gets no more probes in this attempt.
func (p *Machine) SendFailed(now time.Time, to netip.AddrPort) {
	r := p.find(address.Unmap(to))
	switch {
	case r == nil:
		return
	case r != p.direct:
		r.plan.step = stepsEnd
		if p.verify.remote == r {
			p.verify = verification{}
		}
		return
	case p.heart.missed == 0:
		h := &p.heart
		h.waiting, h.missed, h.next = false, 1, now
		p.touch(now)
	}
}

// TooBig notes that the system refused to send a datagram over the direct path
// because it is too long for the first link. Unless it was a probe, the smallest
// size is used at once, which every path takes, and the sizes are tried anew.
func (p *Machine) TooBig(now time.Time, to netip.AddrPort) {
	if p.direct == nil || p.direct.addr != address.Unmap(to) {
		return
	}
	p.mtu.Refused()
	p.touch(now)
}

// Reset notes that the edge's own links changed: traffic goes back to the
// relay, what was measured and outstanding is forgotten, and a new attempt
// begins if the path is in use.
func (p *Machine) Reset(now time.Time) {
	wanted := p.wanted(now) || p.direct != nil
	p.rest()
	for _, r := range p.remotes {
		r.ponged, r.failed, r.rtt = time.Time{}, time.Time{}, roundTrip{}
	}
	if wanted {
		p.beginOwn(now)
	}
	p.touch(now)
}

// rest lets everything go: nothing is sent until the next use.
func (p *Machine) rest() {
	p.direct, p.heart, p.verify, p.attempt = nil, heartbeat{}, verification{}, attempt{}
	p.better = time.Time{}
	p.special.stop()
	p.pings = nil
	p.probes = nil
	for _, r := range p.remotes {
		r.plan.step = stepsEnd
	}
}

// tryAtOnce tries addresses that have just become known: within the running
// attempt, beside a direct path in one of their own, else in a new one over
// all. Of the last kind there is one in 30 s; an edge whose addresses change
// with every packet gains nothing by more.
func (p *Machine) tryAtOnce(now time.Time, fresh []*remote) {
	a := &p.attempt
	if len(fresh) == 0 || !a.running() && p.direct == nil && !p.wanted(now) {
		return
	}
	breaks := a.fresh.IsZero() || now.Sub(a.fresh) >= freshEvery
	if breaks {
		a.failures, a.fresh = 0, now
	}
	switch {
	case a.running():
	case p.direct != nil:
		p.search(now)
	case breaks:
		p.beginOwn(now)
		p.touch(now)
		return
	default:
		return
	}
	for i, r := range fresh {
		p.planFrom(now, r, i)
	}
	p.schedule()
	p.touch(now)
}
