package edge

import (
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/pmtu"
)

// How the size of a relayed path is watched.
const (
	relayWatch   = 5 * time.Second        // between padded pings, while frames are relayed
	relayTimeout = 500 * time.Millisecond // for a pong, at least
	sizedPings   = 16                     // outstanding; the oldest goes first
)

// relayIPLen is what IP and UDP add to a relayed packet where they add most.
const relayIPLen = 1500 - dataplane.MaxDatagramIPv6

// relaySize finds out how large the packets are that the relayed path to a peer
// carries, through the accesses of both edges and of the supernode. The path is
// assumed to carry the usual size until the contrary is seen, since no frame waits for
// a relayed path to be measured. The zero value stands for no relayed path.
type relaySize struct {
	mtu   pmtu.Discovery // as if every hop were IPv6
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

// limit returns the bytes of the largest datagram that the relayed path carries, 0
// for the usual one.
func (s *relaySize) limit() int { return max(0, s.mtu.Size()-relayIPLen) }

// sent notes a ping that waits for its pong.
func (s *relaySize) sent(nonce [8]byte, size int) {
	s.pings[s.next%sizedPings] = sizedPing{nonce: nonce, size: size}
	s.next++
}

// answered removes a ping by its nonce and returns its size.
func (s *relaySize) answered(nonce [8]byte) (size int, ok bool) {
	for i, ping := range s.pings {
		if ping.nonce == nonce && nonce != ([8]byte{}) {
			s.pings[i] = sizedPing{}
			return ping.size, true
		}
	}
	return 0, false
}
