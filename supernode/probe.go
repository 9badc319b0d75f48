package supernode

import (
	"log/slog"
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

// prober measures the round trips to edges, and has a new address of one prove itself.
// Its state is the probe of each session.
type prober struct {
	sender   *controlSender
	lanes    lanes
	registry *registry
	store    *store
	random   random
	log      *slog.Logger
}

// heard notes an authentic packet of size bytes from another address than the one in
// use. It reports whether that address is to be asked now to prove itself.
func (p *prober) heard(now time.Time, h *hop, from ends, size int) bool {
	if h.probe.addr != from.addr {
		p.begin(h, from)
	}
	h.probe.us = from.us
	h.probe.in.count(size)
	return now.Sub(h.probe.sent) >= probePause
}

// measure asks the edge at its address in use for a PONG.
func (p *prober) measure(now time.Time, out *outbox, h *hop) {
	if h.probe.addr != h.addr && now.Sub(h.probe.sent) < probeTime {
		return // the session is about to move
	}
	p.begin(h, h.ends)
	p.send(now, out, h)
}

// begin begins to wait for an address. All PINGs to it carry one nonce, so
// that a round trip longer than the pause between them ends it as well.
func (p *prober) begin(h *hop, at ends) {
	h.probe = probe{ends: at}
	p.random.fill(h.probe.nonce[:])
}

// send sends a PING to the address that the session waits for.
func (p *prober) send(now time.Time, out *outbox, h *hop) {
	to := h.probe.addr
	ping := protocol.Ping{Nonce: h.probe.nonce}
	body := ping.Append(startControl(out.buffer()))
	if room := -protocol.PongRoom(ping, to); h.maySend(to, len(body)+room+protocol.TagLen) {
		// Room for the PONG. After a keepalive, which was too short to pay for it,
		// the PONG is longer than the PING: the edge knows us.
		ping.Pad = room
		body = ping.Append(startControl(body[:0]))
	}
	if p.sender.send(out, h, body, to) {
		h.probe.sent = now
	}
}

// sendWith asks the address that a packet came from to prove itself, in one packet with
// the answer, or alone when both are longer than what came from there.
func (p *prober) sendWith(x *exchange) {
	if x.reply == nil {
		p.send(x.now, x.out, x.hop)
		return
	}
	ping := protocol.Ping{Nonce: x.hop.probe.nonce}
	both := ping.Append(x.reply)
	if room := -protocol.PongRoom(ping, x.from); x.hop.maySend(x.from, len(both)+room+protocol.TagLen) {
		ping.Pad = room
		both = ping.Append(x.reply)
	}
	if !x.hop.maySend(x.from, len(both)+protocol.TagLen) {
		x.refuse(dropUnproved)
		p.send(x.now, x.out, x.hop)
		return
	}
	if p.sender.send(x.out, x.hop, both, x.from) {
		x.hop.probe.sent = x.now
	}
}

// handlePong ends a probe: the address that the PONG came from has proved itself.
func (p *prober) handlePong(x *exchange, value []byte) {
	pong, err := protocol.ParsePong(value)
	if err != nil {
		x.refuse(dropPong)
		return
	}
	h := x.hop
	asked := h.probe
	if asked.sent.IsZero() || pong.Nonce != asked.nonce || x.from != asked.addr || x.now.Sub(asked.sent) > probeTime {
		x.refuse(dropPongUnexpected)
		return
	}
	h.rtt = x.now.Sub(asked.sent)
	h.probe = probe{}
	if h.addr == x.from {
		return
	}
	if h.reg != nil {
		p.lanes.leave(h.addr)
		p.lanes.enter(x.from)
	}
	h.ends, h.source, h.kept = x.out.back(x.from), x.out.source, time.Time{}
	if r := h.reg; r != nil && r.hop == h {
		p.registry.moveTo(r, h.addr)
		p.store.save(r)
		p.log.Debug("edge moved", "mac", r.mac.String(), "address", h.addr)
	}
}
