package edge

import (
	"crypto/subtle"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// Times of the handshakes with a supernode.
const (
	hopRekeyAfter = 900 * time.Second // PROTOCOL.md, section 6
	helloWait     = 5 * time.Second   // a WELCOME counts within this time (PROTOCOL.md, section 4)
	helloSilence  = 30 * time.Second  // without a RESP; then a HELLO asks whether the key is another one now
	// otherTries is without an answer to how many INITs another key of a supernode is worth a
	// word: one that answers by two keys shows its newer one, and answers an INIT by the other.
	otherTries  = 3
	resetsEvery = time.Second
	resetDoubt  = time.Minute // after a RESET that did not come from another boot
)

// restart begins a new hop session; the old one lives until then.
func (c *connector) restart(now time.Time, s *supernode) {
	var to netip.AddrPort
	switch {
	case s.init.active():
		return
	case s.fallenBack():
		to = s.hop.at
	case c.streamOnly:
		return // a stream begins it
	case !s.addr().IsValid():
		c.resolve(now, s)
		return
	}
	c.beginAt(now, s, to)
}

// beginAt begins a handshake with a supernode, at one address only if that is
// valid.
func (c *connector) beginAt(now time.Time, s *supernode, to netip.AddrPort) {
	if s.key == nil {
		s.hello.attempts, s.hello.begun, s.hello.to = 0, now, to
		c.sendHello(now, s)
		return
	}
	s.init.to = to
	pkt, err := s.init.initiator.Start(now)
	c.sendInit(now, s, s.target(to), pkt, err)
}

// helloRetryIn returns the wait after the given number of HELLOs: 1, 2 and 4 s, then
// 5 s with jitter.
func helloRetryIn(attempts int, jitter func(time.Duration) time.Duration) time.Duration {
	if attempts <= 3 {
		return time.Second << (attempts - 1)
	}
	return 5*time.Second + jitter(time.Second)
}

// sendHello asks a supernode for its key.
func (c *connector) sendHello(now time.Time, s *supernode) {
	h := &s.hello
	if h.active && h.attempts > 0 {
		h.older = false // the one before was not answered, by nobody of an older protocol either
	}
	h.active, h.sent = true, now
	h.attempts++
	h.retry.Set(now.Add(helloRetryIn(h.attempts, c.random.jitter)))
	s.where.at += min(1, h.attempts-1)
	c.random.fill(h.nonce[:])
	c.reportNoAnswer(now, s, h.attempts, h.begun)
	c.send(now, s, h.mask, s.target(h.to), protocol.AppendHello(nil, h.nonce))
}

// send sends a packet of a handshake, unless the overlay itself would get it.
func (c *connector) send(now time.Time, s *supernode, mask *crypto.Mask, to netip.AddrPort, pkt []byte) {
	// A WELCOME under another mask than that of s is known by its length.
	if len(s.cfg.ObfsKey) > 0 && (mask != s.hello.mask || s.mask == nil) {
		pkt = crypto.Lengthen(pkt, protocol.MaxDatagram)
	}
	c.locator.pointers.spend(now, s, to)
	s.where.maySend(to)
	if underlay.IsSide(to) || !c.transports.Swallowed(now, to, s.cfg.Name) {
		c.out.SendMasked(mask, to, pkt)
	}
}

// handleWelcome pins a supernode's key on first use, or notes that it is not the one
// that was pinned.
func (c *connector) handleWelcome(now time.Time, s *supernode, ev dataplane.HandshakeAnswer) {
	h := &s.hello
	nonce, key, err := protocol.ParseWelcome(ev.Packet)
	if err != nil || !crypto.UsableStatic(key) || !h.active || nonce != h.nonce || ev.Origin.Addr != s.target(h.to) || now.Sub(h.sent) > helloWait {
		c.refusals.note(refusedWelcome, s, "from", ev.Origin)
		return
	}
	to := h.to
	h.end()
	head, _ := protocol.ParseHeader(ev.Packet) // ParseWelcome has read it
	if h.older = head.Older(); h.older {
		c.older(now, s, ev.Origin.Addr, to)
		return
	}
	if s.key != nil {
		h.other = otherKey{key: key, from: ev.Origin.Addr}
		if !s.init.active() || s.init.initiator.Attempts() >= otherTries {
			c.locator.rotations.shows(now, s)
		}
		return
	}
	s.pin(key)
	c.pinned(s)
	c.locator.trusted(s, key)
	c.reports.report(now, control.Event{Kind: control.EventPinned, Supernode: s.cfg.Name, Addr: ev.Origin.Addr, Key: key})
	c.beginAt(now, s, to)
}

// older tells the user once that a supernode speaks the protocol as it was before
// version 1 was final, and asks it again later: it may be updated. Anybody on the way
// could say so: as long as the answers do, the user is not told that there are none, and
// no stream is made, since UDP gets through.
func (c *connector) older(now time.Time, s *supernode, from, to netip.AddrPort) {
	if !s.reported.older {
		s.reported.older = true
		c.reports.report(now, control.Event{Kind: control.EventOlder, Supernode: s.cfg.Name, Addr: from})
	}
	if s.key == nil {
		s.hello.active, s.hello.to = true, to
		s.hello.retry.Set(now.Add(helloSilence))
	}
}

// retryInit repeats an INIT at the supernode's next address, or by another local port.
// While a stream or that serves, anything else is given up soon.
func (c *connector) retryInit(now time.Time, s *supernode) {
	i := &s.init
	if s.fallenBack() && i.to.IsValid() && i.to != s.hop.at && i.initiator.Attempts() >= udpTries {
		i.initiator.Stop()
		return
	}
	if c.locator.rotations.failed(s) {
		c.restart(now, s)
		return
	}
	to := i.to
	if side := s.stream.further.side; !to.IsValid() && side.IsValid() && i.initiator.Attempts()%furtherTurn == 0 {
		to = side
	} else {
		s.where.at++
	}
	pkt, err := i.initiator.Retry(now)
	c.sendInit(now, s, s.target(to), pkt, err)
}

// sendInit sends an INIT to an address of a supernode, unless it could not be made.
func (c *connector) sendInit(now time.Time, s *supernode, to netip.AddrPort, pkt []byte, err error) {
	i := s.init.initiator
	s.init.retry.Set(i.Deadline())
	if err != nil {
		c.refusals.note(refusal(handshake.Reason(err)), s, "initiating")
		return
	}
	if i.Attempts() >= otherTries {
		c.locator.rotations.shows(now, s)
	}
	c.reportNoAnswer(now, s, i.Attempts(), i.Begun())
	c.send(now, s, s.initMask(), to, pkt)
	if i.LookUpAgain() {
		c.resolve(now, s) // its name may stand for another host by now
	}
	unheard := i.Attempts() == 2 && s.hop.session == nil
	if (unheard || now.Sub(i.Begun()) > helloSilence) && !s.hello.active {
		// Perhaps the supernode has another key now, or speaks an older protocol: then
		// the user is told, no more.
		s.hello.begun, s.hello.attempts = now, i.Attempts()
		if unheard {
			s.hello.begun = i.Begun()
		}
		c.sendHello(now, s)
		s.hello.retry.Set(now.Add(helloSilence))
	}
}

// reportNoAnswer tells the user once that a supernode does not answer.
func (c *connector) reportNoAnswer(now time.Time, s *supernode, attempts int, begun time.Time) {
	if attempts < 4 || s.kin.first != nil || s.reported.noAnswer || s.reported.otherKey != "" || s.hello.older || s.hop.session != nil || s.stream.conn != nil {
		return
	}
	s.reported.noAnswer = true
	ev := control.Event{Kind: control.EventNoAnswer, Supernode: s.cfg.Name, Addr: s.addr(), Count: attempts, Elapsed: now.Sub(begun), Err: s.fault()}
	if version := s.missing(c.underlay.Addresses.Policy()); version != 0 {
		ev.Text = control.NoFamily(s.cfg.Name, version)
	} else if ev.Err == nil && len(s.cfg.ObfsKey) > 0 {
		ev.Text = control.NoAnswer(s.cfg.Name, ev.Count, ev.Elapsed, true)
	}
	c.reports.report(now, ev)
}

// handleAnswer handles RESP, COOKIE, RESET and WELCOME of a supernode.
func (c *connector) handleAnswer(now time.Time, h protocol.Header, ev dataplane.HandshakeAnswer) {
	s := c.supernodes[ev.Origin.Supernode.ID()]
	if n := h.Type.Len(); len(s.cfg.ObfsKey) > 0 && n > 0 && len(ev.Packet) >= n+crypto.CoverLen {
		ev.Packet = ev.Packet[:n] // it was made longer
	}
	switch {
	case h.Type == protocol.TypeWelcome:
		c.handleWelcome(now, s, ev)
	case h.Type == protocol.TypeReset:
		c.handleReset(now, s, h, ev)
	case s.init.initiator == nil:
		c.refusals.note(refusal(handshake.Reason(handshake.ErrIndex)), s, "from", ev.Origin)
	default:
		c.handleInitAnswer(now, s, ev)
	}
}

// handleInitAnswer goes on with a handshake, or finishes it.
func (c *connector) handleInitAnswer(now time.Time, s *supernode, ev dataplane.HandshakeAnswer) {
	again, done, err := s.init.initiator.Handle(now, ev.Packet)
	switch {
	case err != nil:
		c.refusals.note(refusal(handshake.Reason(err)), s, "from", ev.Origin)
	case again != nil:
		c.sendInit(now, s, ev.Origin.Addr, again, nil)
	case done != nil:
		c.finished(now, s, done, ev.Origin.Addr)
	}
}

// finished begins to use the session of a handshake. The registrar registers on it
// when this event is settled (registrar.settle).
func (c *connector) finished(now time.Time, s *supernode, done *handshake.Result, from netip.AddrPort) {
	s.init.retry.Stop()
	session, err := crypto.NewHopSession(done.SessionConfig(now))
	if err != nil {
		c.refusals.note(refusedSession, s, "err", err)
		return
	}
	c.locator.rotations.answered(now, s, done.Remote)
	if s.init.initiator.Attempts() == 1 {
		s.keepalive.measure(done.RTT)
	}
	h := &s.hop
	s.reset.judge(now, h.session, session)
	if !underlay.IsSide(from) {
		c.locator.answeredAt(s, from)
		c.locator.pointers.arrived(s, from)
	} else if from == s.stream.side {
		c.locator.pointers.arrived(s, s.stream.place)
	}
	if underlay.IsSide(h.at) != underlay.IsSide(from) {
		h.moved = now
	}
	if h.old != nil {
		c.draft.DropHop(h.old.Crypto().LocalIndex())
	}
	h.old, h.session, h.at, h.hash = h.session, dataplane.NewHopSession(session, s.view, done.Features), from, done.Keys.Hash
	c.draft.SetHop(h.session)
	h.fresh = true
	s.hello.end()
	s.hello.older, s.reported.otherKey = false, ""
}

// handleReset begins a new handshake if the RESET is about our session, once for each
// session: a RESET that comes again must not cut its own handshake short. The old session
// is kept until the new one is confirmed.
func (c *connector) handleReset(now time.Time, s *supernode, h protocol.Header, ev dataplane.HandshakeAnswer) {
	_, token, err := protocol.ParseReset(ev.Packet)
	if err != nil || s.hop.session == nil || h.RX != s.hop.session.Crypto().RemoteIndex() ||
		s.grant.token == ([16]byte{}) || subtle.ConstantTimeCompare(token[:], s.grant.token[:]) != 1 {
		c.refusals.note(refusedReset, s, "from", ev.Origin)
		return
	}
	if r := &s.reset; now.Sub(r.at) < resetsEvery || now.Before(r.doubted) || r.session == s.hop.session && s.init.active() {
		c.refusals.note(refusedResetRate, s, "from", ev.Origin) // the INIT is repeated without it
		return
	}
	s.reset.at, s.reset.session = now, s.hop.session
	// An INIT that was sent before may have found nobody.
	s.init.to = s.hop.at
	pkt, err := s.init.initiator.Start(now)
	c.sendInit(now, s, s.target(s.init.to), pkt, err)
}

// resetIn is the RESET that was obeyed last. A RESET is for sessions of a past boot of the
// supernode, which gives the indices of each boot another top byte.
type resetIn struct {
	at      time.Time             // when
	session *dataplane.HopSession // that it ended; it is not obeyed again for this one while an INIT is under way
	doubted time.Time             // until when further ones are not obeyed
}

// judge compares the session that a RESET brought with the one that it ended: if both are of
// one boot the supernode had no reason for it, and for a while it is believed no more. Its
// restart would be noticed by pings without an answer.
func (r *resetIn) judge(now time.Time, old *dataplane.HopSession, made *crypto.HopSession) {
	if old != nil && r.session == old && old.Crypto().RemoteIndex()>>24 == made.RemoteIndex()>>24 {
		r.doubted = now.Add(resetDoubt)
	}
}

// openHop opens a control packet of a supernode. It returns the messages in it,
// and whether they came in the session in use; nil if it is refused.
func (c *connector) openHop(ev dataplane.HopPacket) (s *supernode, messages []byte, current bool) {
	s = c.supernodes[ev.Origin.Supernode.ID()]
	h, err := protocol.ParseHeader(ev.Packet)
	if err != nil || h.XF != protocol.XFHop {
		c.refusals.note(refusedHopTransform, s, "from", ev.Origin)
		return s, nil, false
	}
	for _, e := range []*dataplane.HopSession{s.hop.session, s.hop.old} {
		if e == nil || e.Crypto().LocalIndex() != h.RX {
			continue
		}
		inner, err := e.Crypto().Open(c.out.Scratch(), ev.Packet)
		if err != nil {
			c.refusals.note(refusedHopOpen, s, "from", ev.Origin, "err", err)
			return s, nil, false
		}
		in, err := protocol.ParseInner(inner)
		if err != nil || in.Kind != protocol.KindControl {
			c.refusals.note(refusedHopInner, s, "from", ev.Origin)
			return s, nil, false
		}
		return s, in.Body, e == s.hop.session
	}
	c.refusals.note(refusedHopSession, s, "from", ev.Origin)
	return s, nil, false
}
