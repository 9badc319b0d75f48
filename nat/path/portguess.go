package path

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// How many sockets an opener uses, and how many ports a prober probes, for each manner
// in which NATs choose ports (docs/NAT.md, with the chances of a hit).
const (
	openSequential = 8
	openPredicted  = 40 // both sides in sequence: each aims at the port in the middle of the other's
	openBlock      = 64
	openRandom     = 256

	probeSequential = 60
	probeRounds     = 3 // of a sequence, since other flows may take ports meanwhile
	probeBlock      = 128
	probeRandom     = 1024

	// fullTTLPredicted is from the primers of two openers that aim at each other to
	// their packets with the full TTL.
	fullTTLPredicted = 200 * time.Millisecond
)

// choose decides who opens and who probes. It reports false where no technique has a
// chance, or none is needed. seen is where a supernode saw the peer.
func (h *hardNAT) choose(seen netip.AddrPort, theirs address.Pattern, s *prober) bool {
	h.target, h.sockets, h.ports = seen, 0, nil
	switch {
	case h.ours == address.PortsStable && h.theirs == address.PortsStable:
		return false
	case h.ours == address.PortsStable:
		h.ports = guessPorts(theirs, s)
	case h.theirs == address.PortsStable:
		h.sockets = socketsFor(h.ours)
	case h.ours == address.PortsSequential && h.theirs == address.PortsSequential:
		port := int(theirs.Ports[len(theirs.Ports)-1]) + openPredicted/2*theirs.Step()
		if port >= 1<<16 {
			return false
		}
		h.target, h.sockets = netip.AddrPortFrom(seen.Addr(), uint16(port)), openPredicted
	default:
		return false
	}
	return h.sockets > 0 || len(h.ports) > 0
}

// socketsFor returns how many sockets we open behind a NAT of ours, if the peer's is
// no hard one.
func socketsFor(ours address.PortClass) int {
	switch ours {
	case address.PortsSequential:
		return openSequential
	case address.PortsBlock:
		return openBlock
	case address.PortsRandom:
		return openRandom
	}
	return 0
}

// guessPorts returns the ports to probe for a pattern, none that is never probed.
func guessPorts(theirs address.Pattern, s *prober) []uint16 {
	switch theirs.Class() {
	case address.PortsSequential:
		return nextPorts(int(theirs.Ports[len(theirs.Ports)-1]), theirs.Step())
	case address.PortsBlock:
		return drawPorts(theirs, probeBlock, s)
	}
	return drawPorts(theirs, probeRandom, s)
}

// nextPorts returns the ports that follow the last one by a step, several times over.
func nextPorts(last, step int) []uint16 {
	var list []uint16
	for range probeRounds {
		for i := 1; i <= probeSequential; i++ {
			if port := last + i*step; port < 1<<16 && address.ProbeablePort(uint16(port)) {
				list = append(list, uint16(port))
			}
		}
	}
	return list
}

// drawPorts draws want ports at random from where further ones probably are, none
// twice; fewer from a small range. Each pass of the loop takes one port out of the
// range for good (the shuffle of Fisher and Yates, which keeps only what it has moved),
// so that the range bounds the passes whatever the peer says of its NAT.
func drawPorts(theirs address.Pattern, want int, s *prober) []uint16 {
	low, high := theirs.Range()
	want = min(want, (high-low+1)*3/4)
	var list []uint16
	moved := make(map[int]int, max(want, 0)) // what stands at a place of the range now, if not its own port
	standing := func(place int) int {
		if port, ok := moved[place]; ok {
			return port
		}
		return low + place
	}
	for left := high - low + 1; left > 0 && len(list) < want; left-- {
		place := int(s.random.Uint64() % uint64(left))
		port := standing(place)
		moved[place] = standing(left - 1)
		if address.ProbeablePort(uint16(port)) {
			list = append(list, uint16(port))
		}
	}
	return list
}

// probingTime returns for how long a prober sends: we, or the one that our opened
// sockets wait for.
func (h *hardNAT) probingTime() time.Duration {
	probes := len(h.ports)
	switch h.sockets {
	case openSequential:
		probes = probeSequential * probeRounds
	case openBlock:
		probes = probeBlock
	case openRandom:
		probes = probeRandom
	}
	return time.Duration(probes/probesPerBurst+1) * burstEvery
}

// fullTTLAfter returns when an opener sends with the full TTL. Where the peer probes
// that is at the end: a packet that came to the peer's router before the probes have
// got to its port could move the very mapping that they need (see primerTTL).
func (h *hardNAT) fullTTLAfter() time.Duration {
	if h.sockets == openPredicted {
		return fullTTLPredicted
	}
	return h.probingTime()
}

// duration returns for how long the technique sends.
func (h *hardNAT) duration() time.Duration {
	if h.sockets == 0 {
		return h.probingTime()
	}
	return h.fullTTLAfter() + time.Duration(h.sockets/openingPerBurst+1)*burstEvery
}

// packets is how many packets are sent in all: one to each port, or for each socket
// a primer and a full one.
func (h *hardNAT) packets() int { return 2*h.sockets + len(h.ports) }
