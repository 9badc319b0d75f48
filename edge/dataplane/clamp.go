package dataplane

import (
	"hedgerow/protocol"
	"hedgerow/tap/offload"
)

// clamp lowers the maximum segment size in a TCP SYN to or from a peer to what
// fits the peer's path whole: two pieces for every segment cost a third of the
// speed, and no ICMP tells the hosts of a bridge. Where the device's MTU fits the
// path there is nothing to lower.
//
// What counts is the smaller of the direct and the relayed size, whichever path
// frames take at the moment: the announced size holds for the life of a connection,
// the path for seconds. The relayed path has room for 32 bytes less, 2 %, which
// is cheap for never being cut when the direct path fails.
//
// SYNs are looked at on their way out and in, as routers do. Out alone would do
// between two edges that clamp and know the same of their path. In is for peers
// that do not, and for what comes as GROUP before there is a session.
func (d *Plane) clamp(r *Route, frame []byte, h offload.Header, elide bool) {
	if offload.LowerMSS(frame, h, r.packetRoom(frame, elide)) {
		d.total.clamped.Add(1)
	}
}

// packetRoom returns the bytes of the largest IP packet that fits every path of
// the route whole, in use or not, in a frame like the given one.
func (r *Route) packetRoom(f protocol.Frame, elide bool) int {
	const partial = true // the larger of the two, and what TCP mostly has
	ethernet := len(f) - len(f.Payload())
	return r.LeastPacket() - protocol.HeaderLen - protocol.TagLen - protocol.InnerOverhead(f, elide, partial) - ethernet
}
