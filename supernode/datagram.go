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
	if s.strangers.cover != nil {
		out.end = [16]byte(pkt[len(pkt)-16:])
	}
	out.run = relayRun{} // any other packet may change the tables that it was looked up in
	switch {
	case (err != nil || !h.OfHop()) && s.strangers.handle(now, out, pkt, from, s.sockets):
	case maybeHello && (err != nil || h.XF != protocol.XFHop):
		s.strangers.greeter.mask.Show(out.sc, out.spare[:])
		s.strangers.greeter.answer(now, out, out.spare[:], from, 0)
	case err != nil:
		s.refused.about(dropHeader, false, out.origin(from), nil)
	case !h.OfHop():
		s.refused.about(dropTransform, false, out.origin(from), nil)
	case h.Type == protocol.TypeData:
		s.controls.handleData(now, out, pkt, from, h)
	case h.Type == protocol.TypeInit:
		init, most := s.strangers.cover.whole(pkt, h.Type)
		s.strangers.handshakes.screen(now, out, init, from, most)
	default:
		s.refused.about(dropUnexpected, false, out.origin(from), nil)
	}
}

// beginsUnderHello reports whether the first bytes are those of a HELLO, or of STUN.
func beginsUnderHello(head []byte) bool {
	h, err := protocol.ParseHeader(head)
	return stun.Begins(head) || err == nil && h.OfHop() && h.Type == protocol.TypeHello
}

// handle handles a datagram under the mask of HELLO, which was unmasked as what it is not, and
// reports whether it is one.
func (s *strangers) handle(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, k *sockets) bool {
	if s.cover == nil {
		return false
	}
	k.keys.hide(out.sc, pkt)
	inner := s.cover.mask.Uncover(out.sc, pkt, beginsUnderHello)
	switch {
	case inner == nil:
		return false
	case stun.Begins(inner):
		s.binding.answerHidden(now, out, inner, len(pkt), from, k.alternate)
	default:
		hello, most := s.cover.whole(pkt, protocol.TypeHello)
		s.greeter.answer(now, out, hello, from, most)
	}
	return true
}
