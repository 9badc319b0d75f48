package edge

import (
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// Timers of the registration with a supernode.
const (
	hopRekeyAfter  = 900 * time.Second      // PROTOCOL.md, section 6
	hopKeepalive   = 20 * time.Second       // NAT.md, 1.3: conntrack forgets after 30 s
	hopWatch       = time.Second            // while frames are being relayed: another supernode takes over within 2 s
	hopPingRetry   = 200 * time.Millisecond // or two round trips, if those take longer
	hopPingsLost   = 4
	registerRetry  = 500 * time.Millisecond
	helloWait      = 5 * time.Second  // a WELCOME counts within this time
	helloSilence   = 30 * time.Second // PROTOCOL.md, section 3
	resolveRetry   = 30 * time.Second
	lookAgain      = 12 // INITs without an answer, about 30 s
	resetsEvery    = time.Second
	directRepeats  = 3
	directRepeatIn = 300 * time.Millisecond
)

// link is our registration with one supernode.
type link struct {
	view  *dataplane.Supernode
	cfg   Supernode
	where whereabouts
	key   *[32]byte // nil until pinned
	mask  *crypto.Mask
	hello helloOut
	init  hopInit
	reset time.Time // when a RESET was last acted on
	hops
	stream streamLink
	reg    registration
	ping   pingOut // keeps the mapping open, and notices when the supernode is gone
	direct directSet
	told   linkTold
}

// hops are the sessions with a supernode.
type hops struct {
	session *dataplane.HopSession // sealed under; nil before the first
	old     *dataplane.HopSession // still opened
	at      netip.AddrPort        // where session's packets go: what answered its INIT
	turned  time.Time             // when it last went over to a stream, or back
}

// whereabouts are a supernode's underlay addresses.
type whereabouts struct {
	addrs     []netip.AddrPort
	at        int
	resolving bool
	again     time.Time // when to resolve next; zero: not planned
	failed    time.Time // since when it cannot be resolved
}

// helloOut is a HELLO that waits for its WELCOME.
type helloOut struct {
	active   bool
	to       netip.AddrPort // not valid: each of the supernode's in turn
	nonce    [16]byte
	sent     time.Time
	retry    time.Time
	attempts int
	begun    time.Time
}

// hopInit is an INIT to a supernode that waits for its RESP.
type hopInit struct {
	active     bool
	to         netip.AddrPort // not valid: each of the supernode's in turn
	initiation *crypto.Initiation
	index      uint32
	attempts   int
	begun      time.Time
	last       time.Time // when the last INIT of any attempt was sent
	retry      time.Time
	cookie     *[16]byte
	challenge  [16]byte
}

// registration is what the supernode knows and granted.
type registration struct {
	done     bool     // on the session in use
	token    [16]byte // of the RESET that may end the session
	pending  bool     // a REGISTER waits for its answer
	attempts int
	retry    time.Time
	renew    time.Time
	others   int // edges in our community besides us
	otherKey int
	hash     [32]byte // Noise handshake hash of the session
}

// directSet is the DIRECT set as the supernode was told.
type directSet struct {
	handles []uint32
	repeats int
	again   time.Time
	unsure  bool // the supernode may still leave out who has to get our floods from it
}

// linkTold remembers what a person was told about a supernode.
type linkTold struct {
	noAnswer, lost, alone, wrongKey, keyChanged, ready bool
	refused                                            uint8
}

func (l *link) registered() bool { return l.reg.done }

// shownAddr returns the supernode's underlay address for a person.
func (l *link) shownAddr() netip.AddrPort {
	if l.at.IsValid() && !isSide(l.at) {
		return l.at
	}
	return l.addr()
}

// addr returns the address that the next packet without a session goes to.
func (l *link) addr() netip.AddrPort {
	if len(l.where.addrs) == 0 {
		return netip.AddrPort{}
	}
	return l.where.addrs[l.where.at%len(l.where.addrs)]
}

func newLink(id int, cfg Supernode, pinned *[32]byte) *link {
	l := &link{view: dataplane.NewSupernode(id), cfg: cfg}
	if cfg.Key != nil {
		pinned = cfg.Key
	}
	if pinned != nil {
		l.pin(*pinned)
	}
	return l
}

// pin fixes the supernode's key and the mask that comes with it.
func (l *link) pin(key [32]byte) {
	l.key = &key
	l.mask = crypto.NewMask(crypto.SupernodeMaskKey(key, nil))
}

// deadline returns when tickLink has something to do next.
func (l *link) deadline() time.Time {
	d := l.where.again
	if l.hello.active {
		d = earliest(d, l.hello.retry)
	}
	if l.init.active {
		d = earliest(d, l.init.retry)
	}
	if l.session != nil {
		d = earliest(d, l.ping.next)
		if l.reg.pending {
			d = earliest(d, l.reg.retry)
		}
		d = earliest(earliest(d, l.reg.renew), l.direct.again)
		if !l.init.active {
			d = earliest(d, l.session.Crypto().Created().Add(hopRekeyAfter))
		}
	}
	return d
}

// tickLink does what is due towards one supernode.
func (e *Edge) tickLink(now time.Time, l *link) {
	if due(now, l.where.again) {
		e.resolve(now, l)
	}
	if l.hello.active && due(now, l.hello.retry) {
		e.sendHello(now, l)
	}
	if l.init.active && due(now, l.init.retry) {
		if l.streaming() && l.init.to.IsValid() && l.init.to != l.at && l.init.attempts >= udpTries {
			l.init = hopInit{last: l.init.last} // the stream goes on to serve
		} else {
			l.where.at++
			e.sendHopInit(now, l)
		}
	}
	e.tickStream(now, l)
	if l.session == nil {
		return
	}
	if worn := l.session.Crypto().NeedsRekey(); !l.init.active && (worn || !now.Before(l.session.Crypto().Created().Add(hopRekeyAfter))) {
		e.restartLink(now, l)
	}
	if due(now, l.ping.next) {
		e.pingLink(now, l)
	}
	if l.reg.pending && due(now, l.reg.retry) {
		e.sendRegister(now, l)
	}
	if due(now, l.reg.renew) {
		l.reg.attempts = 0
		e.sendRegister(now, l)
	}
	if due(now, l.direct.again) {
		e.sendDirect(now, l)
	}
}

// restartLink begins a new hop session; the old one lives until then.
func (e *Edge) restartLink(now time.Time, l *link) {
	var to netip.AddrPort
	switch {
	case l.init.active:
		return
	case l.streaming():
		to = l.at
	case e.cfg.StreamOnly:
		return // a stream begins it
	case !l.addr().IsValid():
		e.resolve(now, l)
		return
	}
	e.beginOver(now, l, to)
}

// sendHello asks a supernode for its key.
func (e *Edge) sendHello(now time.Time, l *link) {
	h := &l.hello
	h.active, h.sent = true, now
	h.attempts++
	h.retry = now.Add(retryIn(h.attempts, e.jitter))
	l.where.at += min(1, h.attempts-1)
	e.fill(h.nonce[:])
	e.publish(now)
	pkt := protocol.AppendHello(nil, h.nonce)
	e.send.SendMasked(e.plane.HelloMask(), h.target(l), pkt)
	e.tellNoAnswer(now, l, h.attempts, h.begun)
}

// target returns where a HELLO goes.
func (h *helloOut) target(l *link) netip.AddrPort {
	if h.to.IsValid() {
		return h.to
	}
	return l.addr()
}

// target returns where an INIT goes.
func (in *hopInit) target(l *link) netip.AddrPort {
	if in.to.IsValid() {
		return in.to
	}
	return l.addr()
}

// handleWelcome takes a supernode's key on first use, or notes that it is not
// the one we pinned.
func (e *Edge) handleWelcome(now time.Time, l *link, ev dataplane.HandshakeAnswer) {
	nonce, key, err := protocol.ParseWelcome(ev.Packet)
	h := &l.hello
	if err != nil || !h.active || nonce != h.nonce || ev.Origin.Addr != h.target(l) || now.Sub(h.sent) > helloWait {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	to := h.to
	*h = helloOut{}
	if l.key != nil {
		if *l.key != key && !l.told.keyChanged {
			l.told.keyChanged = true
			e.report(now, Event{Kind: EventKeyChanged, Supernode: l.cfg.Name, Addr: ev.Origin.Addr, Key: key})
		}
		e.publish(now)
		return
	}
	l.pin(key)
	e.state.pinSupernode(l.cfg.Name, key)
	e.store() // the next start must not trust anew, however soon we end
	e.report(now, Event{Kind: EventPinned, Supernode: l.cfg.Name, Addr: ev.Origin.Addr, Key: key})
	e.publish(now)
	e.beginOver(now, l, to)
}

// sendHopInit sends an INIT to a supernode.
func (e *Edge) sendHopInit(now time.Time, l *link) {
	in := &l.init
	in.attempts++
	in.last, in.retry = now, now.Add(hopRetryIn(in.attempts, e.jitter))
	in.index = e.freeIndex()
	hdr := header(protocol.Header{Type: protocol.TypeInit, XF: protocol.XFHop, KI: protocol.KINone, RX: in.index})
	var payload [48]byte
	opening := e.initPayload(now, in.challenge)
	opening.Put(&payload)
	cfg := crypto.HandshakeConfig{Hop: true, Local: e.cfg.Identity, Rand: e.host.Rand}
	initiation, pkt, err := crypto.Initiate(cfg, *l.key, hdr, payload, in.cookie)
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	in.initiation = initiation
	e.publish(now)
	e.send.SendMasked(l.mask, in.target(l), pkt)
	e.tellNoAnswer(now, l, in.attempts, in.begun)
	if in.attempts%lookAgain == 0 {
		e.resolve(now, l) // its name may stand for another host by now
	}
	if now.Sub(in.begun) > helloSilence && !l.hello.active && l.cfg.Key == nil {
		// Perhaps the supernode has another key now; this only reports it.
		l.hello = helloOut{begun: now, attempts: in.attempts}
		e.sendHello(now, l)
		l.hello.retry = now.Add(helloSilence)
	}
}

// hopRetryIn is retryIn, but never slower than a RESET would be: traffic that
// is relayed waits for this link.
func hopRetryIn(attempts int, jitter func(time.Duration) time.Duration) time.Duration {
	return min(retryIn(attempts, jitter), 2*time.Second+jitter(time.Second))
}

func (e *Edge) tellNoAnswer(now time.Time, l *link, attempts int, begun time.Time) {
	if attempts < 4 || l.told.noAnswer || l.session != nil || l.stream.conn != nil {
		return
	}
	l.told.noAnswer = true
	e.report(now, Event{Kind: EventNoAnswer, Supernode: l.cfg.Name, Addr: l.addr(), Count: attempts, Elapsed: now.Sub(begun)})
}

// handleHopAnswer handles RESP, COOKIE, RESET and WELCOME of a supernode.
func (e *Edge) handleHopAnswer(now time.Time, h protocol.Header, ev dataplane.HandshakeAnswer) {
	l := e.links[ev.Origin.Supernode.ID()]
	switch h.Type {
	case protocol.TypeWelcome:
		e.handleWelcome(now, l, ev)
	case protocol.TypeReset:
		e.handleReset(now, l, h, ev)
	case protocol.TypeResp:
		if !l.init.active || h.RX != l.init.index {
			e.drops.Drop(dataplane.DropNotExpected)
			return
		}
		e.handleHopResp(now, l, h, ev)
	case protocol.TypeCookie:
		if !l.init.active || h.RX != l.init.index {
			e.drops.Drop(dataplane.DropNotExpected)
			return
		}
		cookie, err := l.init.initiation.OpenCookie(ev.Packet)
		if err != nil {
			e.drops.Drop(dataplane.DropHandshake)
			return
		}
		l.init.cookie = &cookie
		if l.init.attempts < 3 {
			e.sendHopInit(now, l)
		}
	}
}

// handleHopResp finishes a hop handshake and registers on the new session.
func (e *Edge) handleHopResp(now time.Time, l *link, h protocol.Header, ev dataplane.HandshakeAnswer) {
	in := &l.init
	payload, keys, ok := e.finish(in.initiation, ev.Packet)
	if !ok {
		return
	}
	if payload.Flags&protocol.RespChallenge != 0 {
		if in.challenge == ([16]byte{}) || in.attempts <= 3 {
			in.challenge = payload.Challenge
			e.sendHopInit(now, l)
		}
		return
	}
	session, err := crypto.NewHopSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: in.index, Remote: uint32(h.CTR >> 32),
		Static: *l.key, Created: now, Initiator: true,
	})
	if err != nil {
		e.drops.Drop(dataplane.DropHandshake)
		return
	}
	sample := now.Sub(in.last)
	if in.attempts == 1 {
		l.ping.rtt = smooth(l.ping.rtt, sample)
	}
	if isSide(l.at) != isSide(ev.Origin.Addr) {
		l.turned = now
	}
	l.old, l.session, l.at = l.session, dataplane.NewHopSession(session, l.view), ev.Origin.Addr
	*in = hopInit{last: in.last}
	l.hello = helloOut{}
	l.reg = registration{others: l.reg.others, otherKey: l.reg.otherKey, hash: keys.Hash}
	l.ping.missed, l.ping.sent = 0, time.Time{}
	l.ping.next = now.Add(e.keepalive(now))
	e.publish(now) // answers under the new index may come at once
	e.sendRegister(now, l)
}

// handleReset begins a new handshake if the RESET is about our session. The
// old one is kept until the new one is confirmed.
func (e *Edge) handleReset(now time.Time, l *link, h protocol.Header, ev dataplane.HandshakeAnswer) {
	_, token, err := protocol.ParseReset(ev.Packet)
	if err != nil || l.session == nil || h.RX != l.session.Crypto().RemoteIndex() ||
		l.reg.token == ([16]byte{}) || subtle.ConstantTimeCompare(token[:], l.reg.token[:]) != 1 {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	if now.Sub(l.reset) < resetsEvery {
		return
	}
	// An INIT that was sent before may have found nobody.
	l.reset = now
	l.init = hopInit{active: true, begun: now, last: l.init.last, to: l.at}
	e.sendHopInit(now, l)
}

// sendRegister registers on the session in use.
func (e *Edge) sendRegister(now time.Time, l *link) {
	r := &l.reg
	r.pending = true
	r.attempts++
	r.renew = time.Time{}
	r.retry = now.Add(min(registerRetry<<min(r.attempts-1, 5), 10*time.Second))
	c := e.keys.community
	rsk := c.Rendezvous()
	m := protocol.Register{
		CID: e.cid, RPK: [32]byte(rsk[32:]), NH: c.NameHash(), MAC: e.plane.Self(),
		Features: e.features, Statement: e.statement, Candidates: e.addresses.hostCandidates(),
		SigC: crypto.SignMembership(rsk, r.hash, e.cid, e.plane.Self(), e.cfg.Identity.Static),
	}
	m.Prefix, m.Features = e.wantedPrefix(), m.Features|e.addressFeatures()
	e.sendHop(l, m.Append)
}

// wantedPrefix returns the address we ask a supernode for: what the user
// wants, else the one we have already, so that several supernodes agree.
func (e *Edge) wantedPrefix() netip.Prefix {
	switch {
	case e.cfg.Address.Mode == AddressNone:
		return netip.Prefix{}
	case e.lease.IsValid():
		return e.lease
	case e.cfg.Address.Mode != AddressLease:
		return e.cfg.Address.Prefix
	}
	return e.state.lease()
}

func (e *Edge) addressFeatures() uint32 {
	switch e.cfg.Address.Mode {
	case AddressStatic:
		return protocol.FeatureStatic
	case AddressNone:
		return protocol.FeatureNoAddress
	}
	return 0
}

// sendHop sends control messages to a supernode inside the hop session.
func (e *Edge) sendHop(l *link, build func([]byte) []byte) {
	if l.session == nil {
		return
	}
	e.send.SealHop(dataplane.HopRoute{Session: l.session.Crypto(), Addr: l.at, Mask: l.mask}, build)
}

// handleHop opens a control packet of a supernode and acts on it.
func (e *Edge) handleHop(now time.Time, ev dataplane.HopPacket) {
	l := e.links[ev.Origin.Supernode.ID()]
	h, err := protocol.ParseHeader(ev.Packet)
	if err != nil || h.XF != protocol.XFHop {
		e.drops.Drop(dataplane.DropTransform)
		return
	}
	var entry *dataplane.HopSession
	for _, s := range []*dataplane.HopSession{l.session, l.old} {
		if s != nil && s.Crypto().LocalIndex() == h.RX {
			entry = s
		}
	}
	if entry == nil {
		e.drops.Drop(dataplane.DropUnknownSession)
		return
	}
	inner, err := entry.Crypto().Open(e.send.Scratch(), ev.Packet)
	if err != nil {
		e.drops.DropOpen(err)
		return
	}
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		e.drops.Drop(dataplane.DropInner)
		return
	}
	for rest := in.Body; len(rest) > 0; {
		typ, value, after, err := protocol.NextTLV(rest)
		if err == nil {
			err = e.handleHopMessage(now, l, entry, protocol.MsgType(typ), value, ev.Origin.Addr)
		}
		if err != nil {
			e.drops.Drop(dataplane.DropControl)
			return
		}
		rest = after
	}
}

// sendDirect tells a supernode which peers get our floods directly.
func (e *Edge) sendDirect(now time.Time, l *link) {
	d := &l.direct
	d.again = time.Time{}
	if !l.registered() {
		return
	}
	d.unsure = d.unsure && d.repeats > 0
	if d.repeats > 0 {
		d.repeats--
		d.again = now.Add(directRepeatIn)
	}
	m := protocol.Direct{Handles: d.handles}
	e.sendHop(l, m.Append)
	e.shareHop(l)
}

// doubtDirect lets floods go to everybody by relay until the supernodes surely
// know of a peer that leaves the DIRECT set. The peers that get a copy too many
// drop it as a replay.
func (e *Edge) doubtDirect() {
	for _, l := range e.links {
		if l.registered() && len(l.direct.handles) > 0 {
			l.direct.unsure = true
			e.shareHop(l)
		}
	}
}

// updateDirect recomputes the DIRECT set of every supernode after a change of
// routes. A peer on both paths is not in it.
func (e *Edge) updateDirect(now time.Time) {
	e.directChanged = false
	for _, l := range e.links {
		if !l.registered() {
			continue
		}
		var handles []uint32
		for _, p := range e.peers.byStatic {
			r := p.view.Route()
			if h := p.handles[l.view.ID()]; h != 0 && p.id.bound && r.Session != nil && r.OnlyDirect() {
				handles = append(handles, h)
			}
		}
		slices.Sort(handles)
		if slices.Equal(handles, l.direct.handles) {
			continue
		}
		l.direct.handles, l.direct.repeats = handles, directRepeats
		e.sendDirect(now, l)
	}
}
