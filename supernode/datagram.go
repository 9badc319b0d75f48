package supernode

import (
	"net/netip"
	"time"

	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// handleDatagram finds out which packet a datagram is and calls its handler, in the
// order of PROTOCOL.md, section 5: STUN, our own mask keys, then the HELLO mask key.
// It changes pkt in place. The caller holds the mutex.
func (s *Server) handleDatagram(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	switch {
	case len(pkt) > protocol.MaxDatagram:
		s.refused.about(dropLong, false, out.origin(from), nil)
		return
	case stun.IsMessage(pkt):
		s.relayer.crowded.handled(now, len(pkt))
		s.strangers.binding.answer(now, out, pkt, from, s.sockets.alternate)
		return
	case len(pkt) < shortest:
		s.refused.about(dropShort, false, out.origin(from), nil)
		return
	}
	maybeHello := len(pkt) == protocol.HelloLen
	if maybeHello {
		copy(out.spare[:], pkt) // unmasking destroys a packet that is masked with another key
	}
	out.came.us.key = s.sockets.keys.show(out.sc, pkt)
	h, err := protocol.ParseHeader(pkt)
	if err == nil && h.Type == protocol.TypeRelay && h.OfHop() {
		s.relayer.relay(now, out, pkt, from, h)
		return
	}
	s.relayer.crowded.handled(now, len(pkt))
	out.run = relayRun{} // any other packet may change the tables that it was looked up in
	switch {
	case (err != nil || !h.OfHop()) && s.strangers.binding.isCovered(now, out, pkt, from, s.sockets):
	case maybeHello && (err != nil || h.XF != protocol.XFHop):
		s.strangers.greeter.answer(now, out, out.spare[:], from)
	case err != nil:
		s.refused.about(dropHeader, false, out.origin(from), nil)
	case !h.OfHop():
		s.refused.about(dropTransform, false, out.origin(from), nil)
	case h.Type == protocol.TypeData:
		s.controls.handleData(now, out, pkt, from, h)
	case h.Type == protocol.TypeInit:
		s.strangers.handshakes.screen(now, out, pkt, from)
	default:
		s.refused.about(dropUnexpected, false, out.origin(from), nil)
	}
}
