package path

import (
	"encoding/binary"
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// The special techniques (docs/NAT.md): what is tried beside plain probes where
// a NAT gives every destination another port, so that nobody can tell the peer
// where to send. The side with such a NAT opens a fan: many sockets that all
// send to one address, each through a mapping of its own. The other side sprays:
// it probes many of the ports that those mappings may have. One hit is enough.
const (
	// specialLead is from the arranged start to the first packet: plain probes
	// and their answers come first, and mostly there is nothing left to do.
	specialLead = 300 * time.Millisecond
	specialPace = 10 * time.Millisecond
	// sprayAPace is 500 probes a second (NAT.md, section 1.6).
	sprayAPace = 5
	fanAPace   = 20
	// predictAgain is from the primers of two fans that aim at each other to
	// their packets with the full TTL.
	predictAgain = 200 * time.Millisecond
	// fanTTL ends behind our own NATs and a carrier's, and before the peer's.
	fanTTL = 3
	// seenLife is for how long an address that a supernode saw the peer at may
	// be sprayed at: it is the return-routable one, whatever the peer claims.
	seenLife = 30 * time.Second
)

// How many sockets and ports each technique takes (NAT.md, sections 1.3 and 3,
// with the chances of a hit).
const (
	fanSequential = 8
	fanPredicted  = 40 // both sides in sequence: each aims at the port in the middle of the other's
	fanBlock      = 64
	fanRandom     = 256

	spraySequential = 60
	sprayRounds     = 3 // of a sequence, since other flows may take ports meanwhile
	sprayBlock      = 128
	sprayRandom     = 1024
)

// When a special technique may be tried again (NAT.md, section 1.3): each one
// fills tables of other people's routers.
const (
	specialTries = 3
	specialWait  = 10 * time.Minute // after that many, doubling
	specialMost  = 6 * time.Hour
)

// special is the technique that is planned or runs, and when another one may.
type special struct {
	begun   time.Time // zero: none
	end     time.Time
	next    time.Time // the next burst; zero: no more
	target  netip.AddrPort
	sockets int      // of the fan
	ports   []uint16 // of the spray
	sent    int      // packets
	nonce   [8]byte  // of all its pings
	hits    int      // addresses that answered; after the first nothing more is sent
	tries   int
	retry   time.Time

	mine, theirs address.PortClass // as last told
	told         bool
	seen         sighting // of the peer
}

func (s *special) running() bool { return !s.begun.IsZero() }

// heavy reports whether it fills tables of routers by the hundred.
func (s *special) heavy() bool {
	return s.sockets > fanPredicted || len(s.ports) > spraySequential*sprayRounds
}

// stop ends the technique.
func (s *special) stop() {
	s.begun, s.sockets, s.ports, s.next = time.Time{}, 0, nil, time.Time{}
}

// Arrange takes the start that both ends agreed on (CALL, CALLACK, GO) and what
// both know of their NATs. If a special technique can help, it begins some
// 300 ms later, unless there is a direct path by then or its budget is used up.
func (p *Machine) Arrange(now, start time.Time, mine, theirs address.Pattern) {
	s := &p.special
	s.mine, s.theirs, s.told = mine.Class(), theirs.Class(), true
	if p.direct != nil || s.running() || now.Before(s.retry) || !p.seenLately(now) || !p.technique(mine, theirs) {
		return
	}
	s.begun = start.Add(specialLead)
	if s.begun.Before(now) {
		s.begun = now
	}
	s.next, s.sent, s.hits = s.begun, 0, 0
	binary.BigEndian.PutUint64(s.nonce[:], p.random.Uint64())
	s.end = s.begun.Add(s.length() + lastAnswer)
	if !p.attempt.running() {
		p.search(now)
	}
	p.schedule()
	p.touch(now)
}

// seenLately reports whether a supernode saw the peer at an IPv4 address lately.
func (p *Machine) seenLately(now time.Time) bool {
	seen := &p.special.seen
	return seen.addr.IsValid() && seen.addr.Addr().Is4() && now.Sub(seen.at) < seenLife
}

// technique chooses who opens a fan and who sprays. It reports false where none
// has a chance, or none is needed.
func (p *Machine) technique(mine, theirs address.Pattern) bool {
	s := &p.special
	s.target, s.sockets, s.ports = s.seen.addr, 0, nil
	a, b := s.mine, s.theirs
	switch {
	case a == address.PortsStable && b == address.PortsStable:
		return false
	case a == address.PortsStable:
		s.ports = p.guesses(theirs)
	case b == address.PortsStable:
		s.sockets = map[address.PortClass]int{address.PortsSequential: fanSequential, address.PortsBlock: fanBlock, address.PortsRandom: fanRandom}[a]
	case a == address.PortsSequential && b == address.PortsSequential:
		port := int(theirs.Ports[len(theirs.Ports)-1]) + fanPredicted/2*theirs.Step()
		if port >= 1<<16 {
			return false
		}
		s.target, s.sockets = netip.AddrPortFrom(s.seen.addr.Addr(), uint16(port)), fanPredicted
	default:
		return false
	}
	return s.sockets > 0 || len(s.ports) > 0
}

// guesses returns the ports to spray at for a pattern, none that is never probed.
func (p *Machine) guesses(theirs address.Pattern) []uint16 {
	var list []uint16
	class := theirs.Class()
	if class == address.PortsSequential {
		last, step := int(theirs.Ports[len(theirs.Ports)-1]), theirs.Step()
		for range sprayRounds {
			for i := 1; i <= spraySequential; i++ {
				if port := last + i*step; port < 1<<16 && address.ProbeablePort(uint16(port)) {
					list = append(list, uint16(port))
				}
			}
		}
		return list
	}
	want := sprayRandom
	if class == address.PortsBlock {
		want = sprayBlock
	}
	low, high := theirs.Range()
	drawn := make(map[uint16]bool, want)
	for want = min(want, (high-low+1)*3/4); len(list) < want; {
		port := uint16(low + int(p.random.Uint64()%uint64(high-low+1)))
		if !drawn[port] && address.ProbeablePort(port) {
			drawn[port] = true
			list = append(list, port)
		}
	}
	return list
}

// sprayTime returns how long a spray takes: ours, or the one that a fan of ours
// waits for.
func (s *special) sprayTime() time.Duration {
	probes := len(s.ports)
	switch s.sockets {
	case fanSequential:
		probes = spraySequential * sprayRounds
	case fanBlock:
		probes = sprayBlock
	case fanRandom:
		probes = sprayRandom
	}
	return time.Duration(probes/sprayAPace+1) * specialPace
}

// again returns when a fan sends with the full TTL. Where the peer sprays that is
// at the end: a packet that came to the peer's router before the spray has got to
// its port could move the very mapping that it needs (see primerTTL).
func (s *special) again() time.Duration {
	if s.sockets == fanPredicted {
		return predictAgain
	}
	return s.sprayTime()
}

// length returns how long the sending takes.
func (s *special) length() time.Duration {
	if s.sockets == 0 {
		return s.sprayTime()
	}
	return s.again() + time.Duration(s.sockets/fanAPace+1)*specialPace
}

// fanPackets is how many packets a fan of all its sockets sends: primers, then
// full ones.
func (s *special) fanPackets() int { return 2 * s.sockets }

// Sockets returns how many sockets of its own the path needs open now, each with
// a mapping of its own, numbered from 1 (Probe.Socket). All of them stay open
// until the number has fallen to 0 again, since the two ends may settle on
// different ones, and then those whose address Knows has.
func (p *Machine) Sockets() int {
	if !p.special.running() {
		return 0
	}
	return p.special.sockets
}

// pollSpecial sends what is due of the technique, and ends it.
func (p *Machine) pollSpecial(now time.Time) {
	s := &p.special
	if !s.running() {
		return
	}
	if !now.Before(s.end) || s.sent == 0 && (p.direct != nil || !p.begins(now)) {
		s.stop()
		return
	}
	for !s.next.IsZero() && !now.Before(s.next) {
		p.burst(now)
	}
}

// begins counts a technique whose time has come, once, and reports whether it
// may begin.
func (p *Machine) begins(now time.Time) bool {
	s := &p.special
	if now.Before(s.begun) {
		return true
	}
	if s.heavy() && !p.budget.Reserve(now) {
		return false
	}
	if s.tries++; s.tries >= specialTries {
		s.retry = now.Add(min(specialWait<<min(s.tries-specialTries, 10), specialMost))
	}
	return true
}

// burst sends the packets of one pace.
func (p *Machine) burst(now time.Time) {
	s := &p.special
	left := s.fanPackets() + len(s.ports) - s.sent
	if s.hits > 0 || left == 0 {
		s.next = time.Time{}
		return
	}
	s.next = s.next.Add(specialPace)
	if s.sockets == 0 {
		for range min(left, sprayAPace) {
			p.shoot(Probe{To: netip.AddrPortFrom(s.target.Addr(), s.ports[s.sent])})
			s.sent++
		}
		return
	}
	for range min(left, fanAPace) {
		x := Probe{To: s.target, Socket: s.sent%s.sockets + 1}
		if s.sent < s.sockets {
			x.TTL = fanTTL
		}
		p.shoot(x)
		if s.sent++; s.sent == s.sockets {
			s.next = s.begun.Add(s.again())
			return
		}
	}
}

// shoot adds one ping of the technique to the output. It is not counted against
// the budget for unverified addresses: it goes only to where a supernode sees
// the peer, at a pace and in a number of its own.
func (p *Machine) shoot(x Probe) {
	if !p.policy.Probeable(x.To) && (x.TTL == 0 || !p.policy.Primable(x.To)) {
		return
	}
	x.Nonce, x.Gen = p.special.nonce, p.gen
	p.probes = append(p.probes, x)
}

// struck takes the answer to a ping of the technique: where it came from is a
// candidate from now on. It reports whether it was one.
func (p *Machine) struck(now time.Time, nonce [8]byte, from netip.AddrPort) bool {
	s := &p.special
	if !s.running() || nonce != s.nonce || !p.policy.Reachable(from) {
		return false
	}
	r := p.find(from)
	switch {
	case r != nil && r.ponged.IsZero(): // it has sent us something; now it has answered as well
		r.plan = plainPlan(now)
	case r == nil && p.counts():
		r = p.learn(now, from, address.KindPeerReflexive)
		p.tryAtOnce(now, []*remote{r})
	default:
		return true
	}
	// It answered a ping that went to just that address: what follows is not
	// counted as sent to a stranger, of which there may have been many by now.
	r.heard, r.ponged = true, now
	p.schedule()
	p.touch(now)
	return true
}

// mostHits is how many of the ways that a technique opens are looked at: pings to
// all of them would use up what may go to one address.
const mostHits = 2

// counts notes that a technique has hit, and reports whether that way is still to
// be looked at.
func (p *Machine) counts() bool {
	s := &p.special
	if !s.running() || s.sent == 0 || p.direct != nil {
		return true
	}
	s.hits++
	return s.hits <= mostHits
}

// sighting is where a supernode saw the peer.
type sighting struct {
	addr netip.AddrPort
	at   time.Time
}
