package path

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// askEvery is how often an address that sends is asked between attempts.
const askEvery = 10 * time.Second

// Received notes that a packet which the session opened came from an address
// that is not a supernode's. An unknown address becomes a candidate, and is
// asked at once; it is selected only after its PONG. It also tells a path
// on which only pings get lost from a dead one.
func (p *Machine) Received(now time.Time, from netip.AddrPort) {
	p.received(now, from, address.KindPeerReflexive)
}

// ReceivedByTURN is Received for a packet that came through a TURN allocation of our
// own; the address stands for that allocation and the peer behind it.
func (p *Machine) ReceivedByTURN(now time.Time, from netip.AddrPort) {
	p.received(now, from, address.KindTURN)
}

// Asked notes that a ping of the peer came from an address and was answered there.
func Asked(p *Machine, now time.Time, from netip.AddrPort) {
	s := &p.selection
	if s.exists() && address.Unmap(from) == s.remote.addr && !p.usage.active(now) {
		s.heart.spare(now, &p.prober)
		p.reported.wake(now)
	}
}

func (p *Machine) received(now time.Time, from netip.AddrPort, kind address.CandidateKind) {
	from = address.Unmap(from)
	s := &p.selection
	if s.exists() && from == s.remote.addr {
		s.heart.heard = now
		return
	}
	if r := p.remotes.find(from); r != nil {
		r.heard = true
		p.askSender(now, r)
		return
	}
	if !p.prober.allows(p.prober.policy.ReplyRefusal(from)) || !p.hardNAT.countHit(s.exists(), &p.prober) {
		return
	}
	r := p.remotes.learn(now, from, kind, p.selection.remote, p.nomination.remote)
	r.heard = true
	p.tryAtOnce(now, []*remote{r}, "a packet of the peer came from a new address")
	if s.exists() {
		s.heart.pingWithin(resendAfter) // it may have moved
	}
}

// askSender probes a remote that has sent something without being asked: its NAT lets
// us in and its own mapping stands, so that neither primer nor waiting is needed any
// more. It gets one probe more than its plan in an attempt; between attempts it gets
// one of its own every 10 s.
func (p *Machine) askSender(now time.Time, r *remote) {
	a := &p.attempt
	if p.selection.exists() || r == p.nomination.remote || a.running() && (!now.After(a.begun) || r.ponged.After(a.begun)) {
		return
	}
	switch {
	case !a.running():
		if !p.usage.wanted(now) || now.Sub(r.asked) < askEvery {
			return
		}
		a.startEmpty(now, &p.remotes)
		r.plan, r.asked = fullProbes(now), now
	case r.plan.step < firstFull:
		r.plan = fullProbes(now)
	case r.plan.step > firstFull && !r.plan.extra:
		r.plan = oneMore(now)
	default:
		return
	}
	p.schedule()
	p.report(now, "sends although no attempt runs", r)
	p.reported.wake(now)
}

// Used notes that a unicast frame went to the peer or came from it. It is cheap
// enough for every frame. After a silence it wakes the path.
func (p *Machine) Used(now time.Time) {
	quiet := !p.usage.active(now)
	p.usage.last = now
	if !quiet {
		return
	}
	p.reported.wake(now)
	switch {
	case p.selection.exists():
		p.selection.heart.pingWithin(activeBeat)
	case !p.attempt.running() && p.attempt.retry.IsZero():
		p.beginOwn(now)
		p.report(now, "there is traffic", nil)
	}
}

// Keep keeps a direct path that is not used from being let go. It counts for
// nothing else.
func (p *Machine) Keep(now time.Time) {
	if idle := now.Add(-activeFor); p.selection.exists() && p.usage.last.Before(idle) {
		p.usage.last = idle
	}
}

// SendFailed notes that the system refused to send to an address, or that ICMP
// says so. A direct path is in doubt at once, so that traffic also goes by the
// relayed path; a candidate gets no more probes in this attempt.
func (p *Machine) SendFailed(now time.Time, to netip.AddrPort) {
	r := p.remotes.find(address.Unmap(to))
	switch {
	case r == nil:
		p.prober.refuse(RefusedUnknownAddress)
		return
	case r != p.selection.remote:
		r.plan.step = stepsEnd
		if p.nomination.remote == r {
			p.nomination = nomination{}
		}
	case p.selection.heart.missed == 0:
		p.selection.heart.doubt(now)
		p.reported.wake(now)
	}
	p.report(now, "cannot be sent to: the system or ICMP refuses", r)
}

// TooBig notes that the system refused to send a datagram over the direct path
// because it is too long for the first hop. Unless it was a probe, the smallest
// size is used at once, which every path carries, and the sizes are tried anew.
func (p *Machine) TooBig(now time.Time, to netip.AddrPort) {
	if !p.selection.exists() || p.selection.remote.addr != address.Unmap(to) {
		p.prober.refuse(RefusedUnknownAddress)
		return
	}
	p.selection.mtu.Refused()
	p.reported.wake(now)
}

// Reset notes that nothing known of the path holds any more, as when the peer began
// anew: traffic goes back to the relayed path, measurements and outstanding pings are
// forgotten, and a new attempt begins if the path is in use.
func (p *Machine) Reset(now time.Time) {
	wanted := p.usage.wanted(now) || p.selection.exists()
	p.letGo()
	p.remotes.forgetAnswers()
	if wanted {
		p.beginOwn(now)
	}
	p.report(now, "what was known of the path is void", nil)
	p.reported.wake(now)
}

// Roamed notes that addresses or routes of this host have changed. A direct path is
// in doubt until its next answer, so that traffic also goes by the relayed path; everything
// else is tried anew, as often as at first.
func (p *Machine) Roamed(now time.Time) {
	p.hardNAT.tries, p.hardNAT.retry = 0, time.Time{}
	p.attempt.failures = 0
	if p.selection.exists() {
		p.selection.heart.doubt(now)
	}
	if p.selection.exists() || p.usage.wanted(now) {
		p.beginOwn(now)
	}
	p.report(now, "addresses or routes of this host changed", nil)
	p.reported.wake(now)
}
