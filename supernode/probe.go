package supernode

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
)

const (
	probePause = 500 * time.Millisecond // between two probes of one address
	probeTime  = 5 * time.Second        // for the answer
	// longestRTT bounds what a measurement may claim, so that a late answer
	// cannot delay a punch beyond use.
	longestRTT = time.Second
)

// probe is a PING for whose PONG a session waits. It goes to the address in use, to
// measure the round trip, or to another one that an authentic packet came from: the
// session moves there only after the PONG, and sends at most as many bytes there
// until then as came from it.
type probe struct {
	addr    netip.AddrPort
	nonce   [8]byte
	sent    time.Time
	in, out int // bytes from and to addr while it has not proved itself
}

// maySend reports whether size more bytes may go to an address.
func (h *hop) maySend(to netip.AddrPort, size int) bool {
	return to == h.addr || to == h.probe.addr && h.probe.out+size <= h.probe.in
}

// heardFromNewAddr notes an authentic packet from another address than the one in
// use, and asks that address to prove itself.
func (s *Server) heardFromNewAddr(now time.Time, out *outbox, h *hop, from netip.AddrPort, size int) {
	p := &h.probe
	if p.addr != from {
		s.newProbe(h, from)
	}
	p.in += size
	if now.Sub(p.sent) >= probePause {
		s.sendProbe(now, out, h)
	}
}

// measure asks the edge at its address in use for a PONG.
func (s *Server) measure(now time.Time, out *outbox, h *hop) {
	if h.probe.addr != h.addr && now.Sub(h.probe.sent) < probeTime {
		return // the session is about to move
	}
	s.newProbe(h, h.addr)
	s.sendProbe(now, out, h)
}

// newProbe begins to wait for an address. All PINGs to it carry one nonce, so
// that a round trip longer than the pause between them ends it as well.
func (s *Server) newProbe(h *hop, addr netip.AddrPort) {
	h.probe = probe{addr: addr}
	s.random.fill(h.probe.nonce[:])
}

func (s *Server) sendProbe(now time.Time, out *outbox, h *hop) {
	p := &h.probe
	ping := protocol.Ping{Nonce: p.nonce}
	body := ping.Append(startControl(out.buffer()))
	if room := -protocol.PongRoom(ping, p.addr); h.maySend(p.addr, len(body)+room+protocol.TagLen) {
		// Room for the PONG. After a keepalive, which was too short to pay for it,
		// the PONG is longer than the PING: the edge knows us.
		ping.Pad = room
		body = ping.Append(startControl(body[:0]))
	}
	if s.sender.send(out, h, body, p.addr) {
		p.sent = now
	}
}

// handlePong ends a probe: the address that the PONG came from has proved itself.
func (s *Server) handlePong(x *exchange, value []byte) {
	pong, err := protocol.ParsePong(value)
	if err != nil {
		x.refuse(dropPong)
		return
	}
	h := x.hop
	p := h.probe
	if p.sent.IsZero() || pong.Nonce != p.nonce || x.from != p.addr || x.now.Sub(p.sent) > probeTime {
		x.refuse(dropPongUnexpected)
		return
	}
	h.rtt = x.now.Sub(p.sent)
	h.probe = probe{}
	if h.addr == x.from {
		return
	}
	h.addr, h.source = x.from, x.out.source
	if r := h.reg; r != nil && r.hop == h {
		r.addr = h.addr
		s.save(r)
		s.cfg.Log.Debug("edge moved", "mac", r.mac.String(), "address", h.addr)
	}
}
