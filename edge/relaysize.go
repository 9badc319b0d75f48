package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/pmtu"
	"hedgerow/protocol"
)

// How the size of a relayed path is watched.
const (
	relayWatch   = 5 * time.Second        // between padded pings, while frames are relayed
	relayTimeout = 500 * time.Millisecond // for a pong, at least
	sizedPings   = 16                     // outstanding; the oldest goes first
)

// relayIPLen is what IP and UDP add to a relayed packet where they add most.
const relayIPLen = 1500 - dataplane.MaxDatagramIPv6

// relaySize finds out how large packets the relayed way to a peer takes: both
// access links and the supernode's. It is taken to carry the usual size until
// the contrary is seen, since nobody waits for a relay to be measured. The zero
// value stands for no relay.
type relaySize struct {
	mtu   pmtu.Discovery // as if every link were IPv6
	pings [sizedPings]sizedPing
	next  int // the place of the next one in pings
}

// sizedPing is a ping that waits for its pong.
type sizedPing struct {
	nonce [8]byte // zeros: none
	size  int     // bytes of the IP packet when it was padded, else 0
}

func newRelaySize() relaySize {
	const full = dataplane.MaxDatagramRelayed + relayIPLen
	return relaySize{mtu: pmtu.New(full, full, relayWatch)}
}

// limit returns the bytes of the largest datagram that the relayed path takes, 0
// for the usual one.
func (s *relaySize) limit() int { return max(0, s.mtu.Size()-relayIPLen) }

// take removes a ping by its nonce and returns its size.
func (s *relaySize) take(nonce [8]byte) (size int, ok bool) {
	for i, ping := range s.pings {
		if ping.nonce == nonce && nonce != ([8]byte{}) {
			s.pings[i] = sizedPing{}
			return ping.size, true
		}
	}
	return 0, false
}

// pollRelaySize sends the pings that the size of a peer's relayed path asks for,
// and takes over what is known of it.
func (e *Edge) pollRelaySize(now time.Time, p *peer) {
	s, r := &p.relaySize, p.view.Route()
	relayed := r.Session != nil && r.Supernode != nil && !r.OnlyDirect() && e.active(now, p)
	timeout := max(relayTimeout, 3*p.relayPing.rtt)
	r.Direct = netip.AddrPort{}
	for _, size := range s.mtu.Poll(now, timeout, relayed) {
		ping := &s.pings[s.next%sizedPings]
		s.next++
		*ping = sizedPing{size: size}
		e.fill(ping.nonce[:])
		m := protocol.Ping{Nonce: ping.nonce, Pad: max(pongPad, size-relayIPLen-protocol.RelayOverhead-protocol.PingDatagramLen)}
		e.sendControl(p, &r, 0, m.Append)
	}
	if limit := s.limit(); limit != r.RelayLimit {
		if limit < r.RelayLimit {
			e.host.Log.Info("the relayed path loses large packets, frames are cut for it", "peer", p.about.Name, "datagram", limit)
		}
		e.reroute(now, p)
	}
}

// sizeGroup finds the largest GROUP packet that reaches everybody: a flood is
// sealed once for all.
func (e *Edge) sizeGroup() {
	least := dataplane.MaxDatagramRelayed - protocol.RelayOverhead
	for _, p := range e.peers.byStatic {
		if r := p.view.Route(); r.Session != nil {
			least = min(least, r.LeastPacket())
		}
	}
	e.plane.SetGroupPacket(least)
}
