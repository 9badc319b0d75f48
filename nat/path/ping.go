package path

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/pmtu"
)

const (
	pingLife     = 5 * time.Second // after which a PONG is too late to count
	maxPings     = 256             // outstanding at once; the oldest goes first
	verifiedLife = time.Minute     // after a PONG; then pings to its address cost budget again
)

// Probe is a PING that the caller sends now.
type Probe struct {
	To    netip.AddrPort
	Nonce [8]byte
	Gen   uint32 // of the peer's candidates
	Path  uint8  // a number of the address, for readers of captures
	Pad   int    // bytes beyond the shortest PING that is sent; the PONG is to be as long
	TTL   uint8  // 0 = the socket's default
	// Socket is 0 for the data socket, else the number of one of those that
	// Sockets asks for.
	Socket int
}

// prober makes pings, as far as the policy and the budget of the edge allow them, and
// knows which ones are outstanding.
type prober struct {
	policy   *address.Policy
	budget   *address.Budget
	share    address.Share // of the budget
	random   rand.Source
	gen      uint32   // of the peer's candidates
	seen     sighting // of the peer
	pings    pings
	out      []Probe
	refusals Refusals
}

// sighting is where a supernode saw the peer, and when.
type sighting struct {
	addr netip.AddrPort
	at   time.Time
}

// refuse counts a refusal.
func (s *prober) refuse(r Refusal) { s.refusals.add(r) }

// allows reports whether a policy's answer is that something is allowed, and
// counts the refusal if not.
func (s *prober) allows(r address.Refusal) bool {
	if r != address.Allowed {
		s.refuse(Refusal(r))
	}
	return r == address.Allowed
}

// fullSize returns the bytes of an IP packet to r that carries the wanted payload.
// No network that matters carries more than Ethernet does.
func (s *prober) fullSize(r *remote) int {
	return min(s.policy.Payload+ipOverhead(r.addr), pmtu.Ethernet)
}

// check sends a connectivity check: a ping that is no heartbeat. size is in bytes of
// its IP packet, 0 for one without padding.
func (s *prober) check(now time.Time, r *remote, size int, ttl uint8) {
	s.send(now, ping{remote: r, size: size}, ttl)
}

// send adds a ping to the output. An address that has not answered within the last
// minute costs budget, and gets nothing when that is used up.
func (s *prober) send(now time.Time, one ping, ttl uint8) {
	r := one.remote
	if !s.allows(s.policy.ReplyRefusal(r.addr)) {
		return
	}
	least := ipOverhead(r.addr) + s.policy.PingLen
	pad := max(0, one.size-least)
	if !r.proven(now) && !s.allows(s.spend(now, r, least+pad)) {
		return
	}
	probe := Probe{To: r.addr, Gen: s.gen, Path: r.id, Pad: pad, TTL: ttl}
	binary.BigEndian.PutUint64(probe.Nonce[:], s.random.Uint64())
	one.nonce, one.sent = probe.Nonce, now
	s.pings.add(one)
	s.out = append(s.out, probe)
}

// spend counts a packet of so many bytes to an address that has not answered within
// the last minute, or returns why it may not be sent. Those that a technique has opened
// are paid for by the technique.
func (s *prober) spend(now time.Time, r *remote, bytes int) address.Refusal {
	if r.prepaid > 0 {
		r.prepaid--
		return address.Allowed
	}
	to, known := s.policy.Target(r.addr), address.Claimed
	switch {
	case !r.ponged.IsZero():
		known = address.Answered
	case to == s.seen.addr.Addr() && now.Sub(s.seen.at) < seenLife:
		known = address.Seen
	case r.met:
		known = address.OnLAN(to)
	}
	return s.share.Spend(s.budget, now, to, bytes, known)
}

// ping is one that was sent and is not answered yet.
type ping struct {
	nonce  [8]byte
	remote *remote
	sent   time.Time
	size   int  // bytes of its IP packet when it was padded, else 0
	beat   bool // a heartbeat, whose loss counts
	missed bool // it was counted as lost
}

// pings are the outstanding ones, oldest first. A nonce counts once.
type pings []ping

func (l *pings) add(p ping) {
	l.expire(p.sent)
	if len(*l) == maxPings {
		*l = append((*l)[:0], (*l)[1:]...)
	}
	*l = append(*l, p)
}

func (l *pings) expire(now time.Time) {
	dead := 0
	for dead < len(*l) && now.Sub((*l)[dead].sent) >= pingLife {
		dead++
	}
	if dead > 0 {
		*l = append((*l)[:0], (*l)[dead:]...)
	}
}

// match removes the ping with the nonce of a PONG that came from r, and returns it.
// There is a refusal if no such ping is outstanding, or if it went elsewhere; the
// latter stays.
func (l *pings) match(now time.Time, nonce [8]byte, r *remote) (ping, Refusal) {
	l.expire(now)
	for i, p := range *l {
		if p.nonce != nonce {
			continue
		}
		if p.remote != r {
			return ping{}, RefusedWrongAddress
		}
		*l = append((*l)[:i], (*l)[i+1:]...)
		return p, 0
	}
	return ping{}, RefusedNonce
}

// Pong handles a PONG that came from an address, with our address as the peer saw
// it. It reports whether it answers a ping of the last 5 s to just that
// address; any other proves nothing and changes nothing.
func (p *Machine) Pong(now time.Time, nonce [8]byte, from, seen netip.AddrPort) bool {
	from = address.Unmap(from)
	if p.techniqueAnswered(now, nonce, from) {
		return true
	}
	r := p.remotes.find(from)
	if r == nil {
		p.prober.refuse(RefusedUnknownAddress)
		return false
	}
	answer, refusal := p.prober.pings.match(now, nonce, r)
	if refusal != 0 {
		p.prober.refuse(refusal)
		return false
	}
	r.rtt.add(now.Sub(answer.sent))
	r.heard, r.ponged, r.seen = true, now, address.Unmap(seen)
	if !p.selection.exists() { // beside a direct path the samples of all probes are wanted
		r.plan.step = stepsEnd
	}
	p.reported.wake(now)
	if r == p.selection.remote {
		p.selection.answered(now, answer, p.usage.active(now), &p.prober)
		p.report(now, "answers again", r)
		return true
	}
	if r.smallOnly(now) {
		p.prober.refuse(RefusedSmall)
	} else {
		p.considerNominating(now, r)
	}
	if p.nomination.remote == r && p.nomination.answered(answer.size, p.prober.fullSize(r)) {
		p.selectRemote(now, r, p.nomination.best)
	}
	return true
}
