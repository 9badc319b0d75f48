package supernode

import (
	"encoding/binary"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// answerInit goes through the checks of PROTOCOL.md, section 6, cheapest first,
// and answers an INIT with RESP, with a challenge or, under load, with COOKIE.
// None of them is longer than the INIT. Nothing but the guard's own bounded
// tables changes before the Noise read has succeeded.
func (s *Server) answerInit(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	switch {
	case len(pkt) != protocol.InitLen:
		s.drops.drop(dropLength)
		return
	case h.Flags != 0:
		s.drops.drop(dropHeader)
		return
	case !s.guard.CheckMAC1(pkt):
		s.drops.drop(dropMAC1)
		return
	}
	source := sourceBytes(from)
	underLoad := s.strangers.inits.add(now) > s.cfg.Limits.InitRate
	if underLoad && !s.guard.CheckMAC2(now, pkt, source[:]) {
		s.drops.drop(dropCookie)
		s.sendCookie(now, out, pkt, from, h, source[:])
		return
	}
	if !s.guard.Allow(now, initSource(from, out.source)) {
		s.drops.drop(dropInitRate)
		return
	}
	if s.hops.guests >= s.cfg.Limits.Guests {
		s.drops.drop(dropGuests)
		return
	}
	reply, err := crypto.ReadInit(s.handshakeConfig(), pkt)
	if err != nil {
		s.drops.drop(dropHandshake)
		return
	}
	s.answerRead(now, out, reply, from, h)
}

// handshakeConfig is that of every handshake between an edge and us: no
// community, and no access key.
func (s *Server) handshakeConfig() crypto.HandshakeConfig {
	return crypto.HandshakeConfig{Hop: true, Local: s.identity, Rand: s.cfg.Rand}
}

// answerRead answers an INIT that has been read, by the rule of stamps: a stamp
// that is newer than the last one of that key makes a session, and so does the
// echo of a challenge; anything else is challenged.
func (s *Server) answerRead(now time.Time, out *outbox, reply *crypto.Reply, from netip.AddrPort, h protocol.Header) {
	init, err := protocol.ParseInitPayload(reply.Payload[:])
	if err != nil {
		s.drops.drop(dropHandshake)
		return
	}
	answer := protocol.RespPayload{Version: protocol.Version, MTU: protocol.MaxDatagram}
	echoed := init.Challenge != [16]byte{} && s.guard.TakeChallenge(now, reply.Remote, init.Challenge)
	challenged := !echoed && !s.guard.FreshStamp(reply.Remote, init.Stamp)
	if challenged {
		answer.Flags = protocol.RespChallenge
		answer.Challenge = s.guard.Challenge(now, reply.Remote)
	}
	index := s.hops.freeIndex(s.random32)
	header := answerHeader(protocol.TypeResp, h, uint64(index)<<32)
	var payload [32]byte
	answer.Put(&payload)
	resp, keys, err := reply.Write(header, payload)
	if err != nil {
		s.drops.drop(dropHandshake)
		return
	}
	out.send(resp, from)
	if challenged {
		s.drops.drop(dropStamp)
		return
	}
	session, err := crypto.NewHopSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(protocol.XFHop), KI: protocol.KINone,
		Local: index, Remote: h.RX, Static: reply.Remote, Created: now,
	})
	if err != nil {
		s.drops.drop(dropHandshake)
		return
	}
	s.hops.add(&hop{
		session: session, static: reply.Remote, hash: keys.Hash,
		addr: from, source: out.source, created: now, heard: now,
	})
}

// sendCookie asks an initiator to prove its address first.
func (s *Server) sendCookie(now time.Time, out *outbox, init []byte, from netip.AddrPort, h protocol.Header, source []byte) {
	header := answerHeader(protocol.TypeCookie, h, 0)
	out.send(s.guard.AppendCookie(out.buffer(), now, header, init, source), from)
}

// answerHeader returns the header of an answer to the INIT with header h.
func answerHeader(t protocol.Type, h protocol.Header, ctr uint64) (b [protocol.HeaderLen]byte) {
	protocol.Header{Type: t, XF: protocol.XFHop, KI: protocol.KINone, RX: h.RX, CTR: ctr}.Put(b[:])
	return b
}

// sourceBytes returns what a cookie is bound to: address and port.
func sourceBytes(from netip.AddrPort) (b [18]byte) {
	a := from.Addr().As16()
	copy(b[:], a[:])
	binary.BigEndian.PutUint16(b[16:], from.Port())
	return b
}

// confirm notes the first authentic packet of a session: it proves that the
// edge received RESP at the address that sent INIT.
func (h *hop) confirm(now time.Time) {
	h.confirmed = true
	h.rtt = now.Sub(h.created)
}
