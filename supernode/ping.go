package supernode

import (
	"net/netip"

	"hedgerow/protocol"
)

// answerPing answers with the address that the PING came from. The answer is as
// long as the PING, so that an edge measures the path in both directions. A PING
// without room for its answer is answered still, but only at the address that the
// edge has proved.
func answerPing(x *exchange, value []byte) {
	ping, err := protocol.ParsePing(value)
	if err != nil {
		x.refuse(dropPing)
		return
	}
	answer := ping.Pong(underlayAddr(x.from))
	answer.Highest, answer.Received = x.hop.session.Received()
	x.add(&answer)
}

// answerWhoami is answerPing without the counters. A SEEN must name an address:
// over a stream it is the unspecified one.
func answerWhoami(x *exchange, value []byte) {
	asked, err := protocol.ParseWhoami(value)
	if err != nil {
		x.refuse(dropWhoami)
		return
	}
	seen := underlayAddr(x.from)
	if !seen.IsValid() {
		seen = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	x.add(&protocol.Seen{Nonce: asked.Nonce, Addr: seen})
}
