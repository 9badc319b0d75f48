package edge

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// handshakeFor is how long an INIT is repeated (PROTOCOL.md, section 6).
const handshakeFor = 90 * time.Second

// handshake is the INIT that a peer has not answered yet.
type handshake struct {
	active     bool
	initiation *crypto.Initiation
	index      uint32 // ours
	epoch      uint8
	attempts   int
	begun      time.Time
	sent       time.Time
	retry      time.Time
	cookie     *[16]byte
	challenge  [16]byte
	avoid      []uint8        // key indices that the peer said it does not take
	direct     netip.AddrPort // try here as well as through the relay
}

// retryIn returns the wait after the given number of attempts: 1, 2 and 4 s,
// then 5 s with jitter.
func retryIn(attempts int, jitter func(time.Duration) time.Duration) time.Duration {
	if attempts <= 3 {
		return time.Second << (attempts - 1)
	}
	return 5*time.Second + jitter(time.Second)
}

// initiate begins a handshake with a peer unless one is under way.
func (e *Edge) initiate(now time.Time, p *peer) {
	if p.handshake.active {
		return
	}
	direct := p.handshake.direct
	p.handshake = handshake{active: true, begun: now, direct: direct}
	e.sendInit(now, p)
}

// retryInit repeats an INIT, or gives up.
func (e *Edge) retryInit(now time.Time, p *peer) {
	if now.Sub(p.handshake.begun) > handshakeFor {
		e.endHandshake(p)
		e.staged.discard(p.view, e.drops)
		e.wake(p)
		return
	}
	e.sendInit(now, p)
}

func (e *Edge) endHandshake(p *peer) {
	delete(e.peers.pending, p.handshake.index)
	p.handshake = handshake{direct: p.handshake.direct}
}

// initEpoch chooses the epoch of an INIT: the one we send under, or the next
// valid one after a NOTICE refused it.
func (e *Edge) initEpoch(now time.Time, h *handshake) (crypto.Epoch, bool) {
	wall := e.plane.Wall(now)
	epoch, ok := e.keys.schedule.Transmit(wall)
	if ok && !slices.Contains(h.avoid, epoch.Index) {
		return epoch, true
	}
	for _, ki := range e.keys.schedule.Acceptable(wall) {
		if !slices.Contains(h.avoid, ki) {
			return e.keys.schedule.CanReceive(wall, ki)
		}
	}
	return epoch, ok
}

// sendInit sends an INIT with a fresh ephemeral key, through the relay and
// directly where an address is known.
func (e *Edge) sendInit(now time.Time, p *peer) {
	h := &p.handshake
	epoch, ok := e.initEpoch(now, h)
	if !ok {
		return
	}
	delete(e.peers.pending, h.index)
	h.index, h.epoch = e.freeIndex(), epoch.Index
	e.peers.pending[h.index] = p
	h.attempts++
	h.sent, h.retry = now, now.Add(retryIn(h.attempts, e.jitter))

	header := protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: epoch.Index, RX: h.index}
	var hdr [protocol.HeaderLen]byte
	header.Put(hdr[:])
	var payload [48]byte
	opening := e.initPayload(now, h.challenge)
	opening.Put(&payload)
	initiation, pkt, err := crypto.Initiate(e.pairHandshake(epoch), p.view.Static(), hdr, payload, h.cookie)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	h.initiation = initiation
	e.sendHandshake(p, pkt, h.direct)
	e.initBetween(now, p, pkt)
	e.wake(p)
}

func (e *Edge) pairHandshake(epoch crypto.Epoch) crypto.HandshakeConfig {
	return crypto.HandshakeConfig{
		Local: e.cfg.Identity, CID: e.cid, PSK: e.keys.pairPSK(epoch), Rand: e.host.Rand,
	}
}

func (e *Edge) initPayload(now time.Time, challenge [16]byte) protocol.InitPayload {
	return protocol.InitPayload{
		Stamp: uint64(e.plane.Wall(now).UnixNano()), Features: e.features, VMin: protocol.Version, VMax: protocol.Version,
		MAC: e.plane.Self(), MTU: uint16(e.cfg.MTU), Challenge: challenge,
	}
}

// sendHandshake sends an unmasked handshake packet through the peer's relay
// and, if to is valid, directly.
func (e *Edge) sendHandshake(p *peer, pkt []byte, to netip.AddrPort) {
	r := p.view.Route()
	if r.Direct.IsValid() && to.IsValid() {
		r.Direct = to
	}
	if !r.Direct.IsValid() {
		r.Direct = to
	}
	r.Dual = true
	e.sendRaw(&r, pkt)
}

// sendRaw masks an unmasked packet between edges and sends it by a route.
func (e *Edge) sendRaw(r *dataplane.Route, pkt []byte) {
	e.send.SendPlain(r, pkt)
}

// handleInit answers an INIT, cheapest check first. Whatever fails is dropped
// without an answer, but for the cookie, the notice and the challenge that
// PROTOCOL.md asks for.
func (e *Edge) handleInit(now time.Time, ev dataplane.InitReceived) {
	pkt, from := ev.Packet, ev.Origin
	h, err := protocol.ParseHeader(pkt)
	if err != nil || len(pkt) != protocol.InitLen || h.XF != protocol.XFPair || h.Flags != 0 {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	if !e.guard.CheckMAC1(pkt) {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	back, src := routeBack(from), sourceOf(from)
	if e.load.busy(now) && !e.guard.CheckMAC2(now, pkt, src) {
		hdr := header(protocol.Header{Type: protocol.TypeCookie, XF: protocol.XFPair, KI: h.KI, RX: h.RX})
		e.sendRaw(back, e.guard.AppendCookie(nil, now, hdr, pkt, src))
		return
	}
	if !e.guard.Allow(now, e.sourceAddr(from)) {
		e.drops.Drop(dataplane.DropRateLimit)
		return
	}
	epoch, ok := e.keys.schedule.CanReceive(e.plane.Wall(now), h.KI)
	if !ok {
		e.sendNotice(now, back, h, pkt)
		return
	}
	reply, err := crypto.ReadInit(e.pairHandshake(epoch), pkt)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	e.answerInit(now, from, h, reply, back)
}

// answerInit answers an INIT that proved its sender's key and membership.
func (e *Edge) answerInit(now time.Time, from dataplane.Origin, h protocol.Header, reply *crypto.Reply, back *dataplane.Route) {
	payload, err := protocol.ParseInitPayload(reply.Payload[:])
	if err != nil || payload.VMin > protocol.Version || payload.VMax < protocol.Version || reply.Remote == e.cfg.Identity.Static {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	p := e.meet(now, reply.Remote)
	if p == nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	if hs := &p.handshake; hs.active && less(e.cfg.Identity.Static, reply.Remote) && now.Sub(hs.sent) < time.Second {
		// Simultaneous open: the lower static key's INIT wins, and that is ours.
		return
	}
	index := e.freeIndex()
	answer := protocol.RespPayload{Features: e.features, Version: protocol.Version, MTU: uint16(e.cfg.MTU), MAC: e.plane.Self()}
	fresh := e.guard.FreshStamp(reply.Remote, payload.Stamp) || e.guard.TakeChallenge(now, reply.Remote, payload.Challenge)
	if !fresh {
		answer.Flags, answer.Challenge = protocol.RespChallenge, e.guard.Challenge(now, reply.Remote)
	}
	hdr := header(protocol.Header{
		Type: protocol.TypeResp, XF: protocol.XFPair, KI: h.KI, RX: h.RX, CTR: uint64(index) << 32,
	})
	var plain [32]byte
	answer.Put(&plain)
	resp, keys, err := reply.Write(hdr, plain)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	if !fresh {
		e.sendRaw(back, resp)
		return
	}
	if from.Supernode != nil {
		e.setHandle(now, p, e.links[from.Supernode.ID()], from.Handle)
	}
	e.learnEpoch(now, h.KI)
	session, err := e.newSession(now, p, keys, h.KI, index, h.RX, payload.Features, false)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	p.seen = now
	p.sessions.next, p.sessions.since = session, now
	e.publish(now) // what the peer says at once under the new index must be opened
	e.sendRaw(back, resp)
	if p.id.raw == nil {
		e.askStatement(now, p, from.Supernode, from.Handle, payload.MAC)
	}
	e.wake(p)
}

// newSession makes a pair session from the keys of a finished handshake.
func (e *Edge) newSession(now time.Time, p *peer, keys crypto.SplitKeys, ki uint8, local, remote uint32, features uint32, initiator bool) (*dataplane.Session, error) {
	xf := protocol.XFDataGCM
	if (features|e.features)&protocol.FeatureChaCha != 0 {
		xf = protocol.XFDataChaCha
	}
	s, err := crypto.NewSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(xf), KI: ki, Local: local, Remote: remote,
		Static: p.view.Static(), Created: now, Initiator: initiator, Null: e.keys.community.Insecure,
	})
	if err != nil {
		return nil, err
	}
	return dataplane.NewSession(s, p.view, features&protocol.FeaturePartial != 0), nil
}

// finish opens a RESP to one of our INITs. It reports whether it is a valid one
// of our version.
func (e *Edge) finish(i *crypto.Initiation, resp []byte) (protocol.RespPayload, crypto.SplitKeys, bool) {
	plain, keys, err := i.Finish(resp)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return protocol.RespPayload{}, keys, false
	}
	payload, err := protocol.ParseRespPayload(plain[:])
	if err != nil || payload.Version != protocol.Version {
		e.drops.Drop(dataplane.DropHandshake)
		return payload, keys, false
	}
	return payload, keys, true
}

// handleResp finishes our handshake: the session is ours to use at once.
func (e *Edge) handleResp(now time.Time, h protocol.Header, ev dataplane.HandshakeAnswer) {
	p := e.peers.pending[h.RX]
	if p == nil || !p.handshake.active {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	hs := &p.handshake
	payload, keys, ok := e.finish(hs.initiation, ev.Packet)
	if !ok {
		return
	}
	if payload.Flags&protocol.RespChallenge != 0 {
		if hs.challenge != ([16]byte{}) && hs.attempts > 3 {
			return // it keeps challenging: leave it to the retry timer
		}
		hs.challenge = payload.Challenge
		e.sendInit(now, p)
		return
	}
	index, epoch := hs.index, hs.epoch
	entry, err := e.newSession(now, p, keys, epoch, index, uint32(h.CTR>>32), payload.Features, true)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	e.endHandshake(p)
	entry.Confirm()
	p.view.SetHeard(e.plane.Since(now))
	if ev.Origin.Supernode != nil {
		e.setHandle(now, p, e.links[ev.Origin.Supernode.ID()], ev.Origin.Handle)
	}
	e.adopt(now, p, entry, ev.Origin.Addr)
	if ev.Origin.Addr.IsValid() && !p.view.Route().Direct.IsValid() {
		// The responder waits for DATA, and there may be no relay: an empty one
		// goes where its answer came from.
		e.sendControl(p, &dataplane.Route{Direct: ev.Origin.Addr}, 0, func(b []byte) []byte { return b })
	}
}

// confirm adopts a session that we answered, at its first valid packet.
func (e *Edge) confirm(now time.Time, ev dataplane.Confirmed) {
	p := e.peers.byView[ev.Peer]
	if p == nil || p.sessions.next == nil || p.sessions.next.Crypto() != ev.Session {
		return
	}
	entry := p.sessions.next
	e.endHandshake(p) // its INIT won over ours, if there was one
	e.adopt(now, p, entry, ev.Origin.Addr)
}

// adopt makes a session the current one: frames move to it, and the peer is
// told what it needs to open our GROUP packets and to find us directly.
func (e *Edge) adopt(now time.Time, p *peer, entry *dataplane.Session, from netip.AddrPort) {
	p.sessions.promote(entry)
	p.seen = now
	if p.id.bound {
		e.pins.keep(p.view.MAC(), p.id.statement.ID, e.keys.community)
	}
	if len(e.keys.community.Epochs) > 1 {
		e.learnEpoch(now, entry.Crypto().KI())
	}
	e.startPath(now, p)
	if from.IsValid() {
		e.heardFrom(now, p, from)
	}
	e.publish(now)
	e.reroute(now, p)
	e.introduce(p)
	e.releaseStaged(now, p)
	e.pollPath(now, p)
	e.wake(p)
}

// sendNotice tells a member that its INIT came under an epoch that is not
// received here, and which ones are.
func (e *Edge) sendNotice(now time.Time, back *dataplane.Route, h protocol.Header, init []byte) {
	if !e.noticeBudget.take(now) {
		e.drops.Drop(dataplane.DropRateLimit)
		return
	}
	ki := e.keys.schedule.Acceptable(e.plane.Wall(now))
	n := protocol.Notice{Index: h.RX, Indices: ki}
	b := n.Append(nil)
	mac1 := [16]byte(init[protocol.InitLen-32 : protocol.InitLen-16])
	mac := crypto.NoticeMAC(e.keys.community.NoticeKey(), b, mac1)
	e.sendRaw(back, append(b, mac[:]...))
}

// handleNotice retries a handshake under another epoch, if the notice is by a
// member who saw our INIT.
func (e *Edge) handleNotice(now time.Time, h protocol.Header, ev dataplane.HandshakeAnswer) {
	p := e.peers.pending[h.RX]
	if p == nil || len(ev.Packet) != protocol.NoticeLen {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	body := ev.Packet[:protocol.NoticeLen-16]
	want := crypto.NoticeMAC(e.keys.community.NoticeKey(), body, p.handshake.initiation.MAC1())
	if want != [16]byte(ev.Packet[protocol.NoticeLen-16:]) {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	n, err := protocol.ParseNotice(body)
	if err != nil || slices.Contains(p.handshake.avoid, p.handshake.epoch) {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	hs := &p.handshake
	hs.avoid = hs.avoid[:0]
	for _, ki := range e.keys.schedule.Acceptable(e.plane.Wall(now)) {
		if !slices.Contains(n.Indices, ki) {
			hs.avoid = append(hs.avoid, ki)
		}
	}
	if slices.ContainsFunc(n.Indices, func(ki uint8) bool {
		_, ok := e.keys.schedule.CanReceive(e.plane.Wall(now), ki)
		return ok
	}) {
		e.sendInit(now, p)
	}
}

// handleCookie repeats an INIT with the cookie that a busy responder asked for.
func (e *Edge) handleCookie(now time.Time, h protocol.Header, ev dataplane.HandshakeAnswer) {
	p := e.peers.pending[h.RX]
	if p == nil {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	cookie, err := p.handshake.initiation.OpenCookie(ev.Packet)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	p.handshake.cookie = &cookie
	p.handshake.retry = now.Add(time.Second)
	if p.handshake.attempts < 3 {
		e.sendInit(now, p)
	}
}

// routeBack returns the route back to where a packet came from.
func routeBack(o dataplane.Origin) *dataplane.Route {
	if o.Supernode == nil {
		return &dataplane.Route{Direct: o.Addr}
	}
	return &dataplane.Route{Supernode: o.Supernode, Handle: o.Handle}
}

// sourceOf returns the bytes that a cookie is bound to: address and port, or
// the supernode and the source handle.
func sourceOf(o dataplane.Origin) []byte {
	if o.Supernode == nil {
		b, _ := o.Addr.MarshalBinary()
		return b
	}
	return fmt.Appendf(nil, "relay %d %08x", o.Supernode.ID(), o.Handle)
}

// sourceAddr returns the address that an INIT's rate is counted under. The
// sender behind each handle of a relay has a /64 of its own, made of the
// handle's eight digits, and so has every edge that hands packets on, whoever it
// says they are from.
func (e *Edge) sourceAddr(o dataplane.Origin) netip.Addr {
	var a [16]byte
	if w := e.forwarding.ways[o.Addr]; w != nil {
		copy(a[:8], w.via[:])
		return netip.AddrFrom16(a)
	}
	if o.Supernode == nil {
		return o.Addr.Addr()
	}
	copy(a[:8], fmt.Sprintf("%08x", o.Handle))
	a[8] = byte(o.Supernode.ID())
	return netip.AddrFrom16(a)
}

func header(h protocol.Header) (b [protocol.HeaderLen]byte) {
	h.Put(b[:])
	return b
}

func less(a, b [32]byte) bool { return slices.Compare(a[:], b[:]) < 0 }
