package dataplane

import (
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
	"hedgerow/transport"
)

// inbound carries frames from the wire to the device. It belongs to one
// goroutine.
type inbound struct {
	*Plane
	*arena
	conn      Conn
	scratch   *crypto.Scratch
	datagrams []transport.Datagram
	now       int64
	wallNow   time.Time
	table     *Table
	tally     tally
	linked    tally  // of frames on links
	joined    uint64 // frames of this batch that came in pieces
	last      lastHeard
	flooded   bool // the packet at hand is GROUP: what is in it goes to many
	piece     [protocol.MaxDatagram]byte

	// canReceive asks the table; made once, since a closure for each packet
	// would be an allocation for each.
	canReceive func(ki uint8) (crypto.Epoch, bool)
}

// lastHeard is what the datagrams of one batch mostly have in common, so that
// it is looked up and noted once and not for each.
type lastHeard struct {
	addr   netip.AddrPort // of the datagram
	source *Source        // nil: it is no supernode's
	known  bool           // addr and source are set
	local  netip.Addr     // of ours, that the datagram was sent to
	ecn    uint8          // the ECN field of the datagram
	origin Origin         // where the packet at hand came from, but for Local
	rx     uint32
	entry  *Session // of rx; nil: not looked up
	heard  bool     // it is noted that entry was heard at origin
	used   *Peer    // the peer that a unicast frame last came from
}

func newInbound(d *Plane, device FrameQueue, conn Conn, f tap.Features) *inbound {
	in := &inbound{
		Plane: d, arena: newArena(d, device, f), conn: conn, scratch: crypto.NewScratch(),
		datagrams: make([]transport.Datagram, batchBuffers),
	}
	in.canReceive = func(ki uint8) (crypto.Epoch, bool) { return in.table.canReceive(ki) }
	for i := range in.datagrams {
		in.datagrams[i].Buf = make([]byte, transport.ReadBufferLen)
	}
	return in
}

// readUDP takes a batch of datagrams from the socket, handles each, and flushes
// the frames that came out. It returns how many buffers the socket had.
func (in *inbound) readUDP() (n int, err error) {
	n, err = in.conn.ReadBatch(in.datagrams)
	if n == 0 {
		return 0, err
	}
	now := time.Now()
	in.begin(now)
	for i := range in.datagrams[:n] {
		d := &in.datagrams[i]
		seg := d.Seg
		if seg <= 0 {
			seg = d.N
		}
		in.last.local, in.last.ecn = d.Local, d.TOS&ecnMask
		for off := 0; off < d.N; off += seg {
			end := min(off+seg, d.N)
			in.handleDatagram(d.Buf[off:end:end], d.Addr)
		}
		if in.full() {
			in.flush()
		}
	}
	in.endBatch()
	return n, nil
}

// begin starts a batch: the clock and the table are read once for all of it.
func (in *inbound) begin(now time.Time) {
	in.now, in.wallNow, in.table = in.Since(now), in.Wall(now), in.Plane.table.Load()
	in.last = lastHeard{}
}

// endBatch ends a batch: it hands the frames to the device and counts them.
func (in *inbound) endBatch() {
	in.flush()
	in.tally.addTo(&in.total.rxFrames, &in.total.rxBytes, rxOf)
	if in.linked.frames > 0 {
		in.linked.addTo(&in.total.rxFrames, &in.total.rxBytes, rxOf)
	}
	if in.joined > 0 {
		in.total.joined.Add(in.joined)
		in.joined = 0
	}
}

// handleDatagram tells what a datagram is, by the order of PROTOCOL.md, section 5: a
// TURN server's, STUN, a supernode's, an edge's. There is no second try, but for a supernode
// with two keys, and for STUN of one with an obfuscation key.
func (in *inbound) handleDatagram(b []byte, from netip.AddrPort) {
	src := in.sourceOf(from)
	if src != nil && src.TURN != nil {
		src.TURN.Handle(from, b)
		return
	}
	if stun.IsMessage(b) {
		in.mailbox.post(STUNReceived{Addr: from, Packet: clone(b)})
		return
	}
	if len(b) > protocol.MaxDatagram {
		in.drops.Drop(DropLong)
		return
	}
	mask := in.mask
	if src != nil {
		mask = src.Mask
		if src.Welcome != nil && len(b) == protocol.WelcomeLen {
			mask = src.Welcome
		}
	}
	if !mask.Show(in.scratch, b) {
		in.drops.Drop(DropShort)
		return
	}
	h, err := protocol.ParseHeader(b)
	if src != nil && src.Second != nil && (err != nil || !h.OfHop()) {
		mask.Hide(in.scratch, b)
		mask = src.Second
		mask.Show(in.scratch, b)
		h, err = protocol.ParseHeader(b)
	}
	if err != nil {
		mask.Hide(in.scratch, b)
		if message := in.bounds.covers.Show(from, b); message != nil {
			in.mailbox.post(STUNReceived{Addr: from, Packet: clone(message)})
			return
		}
		in.drops.Drop(DropHeader)
		return
	}
	if src != nil {
		in.handleHop(src, mask, h, b, from)
		return
	}
	in.handlePacket(h, b)
}

// sourceOf returns the supernode that has an address, or nil.
func (in *inbound) sourceOf(from netip.AddrPort) *Source {
	if l := &in.last; !l.known || l.addr != from {
		l.addr, l.source, l.known = from, in.table.sources[from], true
		l.origin, l.heard = Origin{Addr: from}, false
	}
	return in.last.source
}

// relayed notes that the packet at hand came from a supernode, which knows its sender
// by a handle.
func (l *lastHeard) relayed(s *Supernode, handle uint32) {
	if l.origin.Supernode != s || l.origin.Handle != handle {
		l.origin, l.heard = Origin{Supernode: s, Handle: handle}, false
	}
}

// handleHop handles a packet that a supernode sent, by one of its masks.
func (in *inbound) handleHop(src *Source, mask *crypto.Mask, h protocol.Header, b []byte, from netip.AddrPort) {
	switch h.Type {
	case protocol.TypeRelay:
		e := in.table.hops[h.RX]
		if e == nil || e.supernode != src.Supernode {
			in.drops.Drop(DropUnknownSession)
			return
		}
		pkt, err := e.session.OpenRelay(in.scratch, b)
		if err != nil {
			in.drops.DropOpen(err)
			return
		}
		mask.Veil(in.scratch, b)
		if !in.mask.Show(in.scratch, pkt) {
			in.drops.Drop(DropShort)
			return
		}
		inner, err := protocol.ParseHeader(pkt)
		if err != nil {
			in.drops.Drop(DropHeader)
			return
		}
		handle, _ := protocol.SplitRelayCTR(h.CTR)
		in.last.relayed(src.Supernode, handle)
		in.handlePacket(inner, pkt)
	case protocol.TypeData:
		in.mailbox.post(HopPacket{Origin: Origin{Addr: from, Supernode: src.Supernode}, Packet: clone(b)})
	case protocol.TypeResp, protocol.TypeCookie, protocol.TypeReset, protocol.TypeWelcome:
		in.mailbox.post(HandshakeAnswer{Origin: Origin{Addr: from, Supernode: src.Supernode}, Packet: clone(b)})
	default:
		in.drops.Drop(DropHeader)
	}
}

// origin returns where the packet at hand came from, and to which address of ours, for
// the control loop.
func (in *inbound) origin() Origin {
	from := in.last.origin
	if from.Supernode == nil {
		from.Local = in.last.local
	}
	return from
}

// handlePacket handles a packet of another edge.
func (in *inbound) handlePacket(h protocol.Header, b []byte) {
	switch h.Type {
	case protocol.TypeData:
		if h.XF != protocol.XFDataGCM && h.XF != protocol.XFDataChaCha && h.XF != protocol.XFNull {
			in.drops.dropTransform(h.XF)
			return
		}
		in.handleData(h, b)
	case protocol.TypeGroup:
		if h.XF != protocol.XFGroupGCM && h.XF != protocol.XFGroupChaCha && h.XF != protocol.XFNull {
			in.drops.dropTransform(h.XF)
			return
		}
		in.handleGroup(h, b)
	case protocol.TypeInit:
		in.mailbox.post(InitReceived{Origin: in.origin(), Packet: clone(b)})
	case protocol.TypeResp, protocol.TypeCookie, protocol.TypeNotice:
		in.mailbox.post(HandshakeAnswer{Origin: in.origin(), Packet: clone(b)})
	default:
		in.drops.Drop(DropHeader)
	}
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// handleData opens a packet of a pair session, into the arena: there its payload
// lands right behind that of the packet before, where it belongs if both are of
// one flow. Nothing changes before it has authenticated and passed the window.
func (in *inbound) handleData(h protocol.Header, b []byte) {
	l := &in.last
	if l.entry == nil || l.rx != h.RX {
		l.entry, l.rx, l.heard = in.table.sessions.Get(h.RX), h.RX, false
	}
	e := l.entry
	if e == nil {
		in.drops.Drop(DropUnknownSession)
		return
	}
	at := in.place(len(b))
	inner, err := e.session.OpenTo(in.scratch, in.buf[at:at], b)
	if err != nil {
		in.restore()
		in.drops.DropOpen(err)
		return
	}
	p := e.peer
	if !l.heard {
		l.heard = true
		in.hear(e, h)
	}
	in.handleInner(p, e.session, in.buf, at, at+len(inner), h.CTR, uint64(h.RX))
	in.restore()
}

// hear notes what an authenticated packet says about its sender. The packets of
// one batch that come from one place say the same.
func (in *inbound) hear(e *Session, h protocol.Header) {
	p := e.peer
	p.count.heard.Store(in.now)
	if !e.confirmed.Load() && e.confirmed.CompareAndSwap(false, true) {
		if !in.mailbox.post(Confirmed{Peer: p, Session: e.session, Origin: in.origin()}) {
			e.confirmed.Store(false) // the next packet tells it
		}
	}
	in.noteOrigin(p)
	in.noteEpoch(h.KI)
}

// noteEpoch tells the control loop when packets authenticate under another
// epoch than the one we send under.
func (in *inbound) noteEpoch(ki uint8) {
	if g := in.table.group; g == nil || g.KI() != ki {
		in.mailbox.noteEpoch(ki)
	}
}

// roamEvery limits how often one peer's new address is reported.
const roamEvery = int64(50 * time.Millisecond)

// noteOrigin tells the control loop when a peer's packet came from an address
// that is not its direct path: a candidate, no more, until it answers a ping.
func (in *inbound) noteOrigin(p *Peer) {
	from := &in.last.origin
	if from.Supernode != nil {
		return
	}
	if r := p.route.Load(); r.Direct == from.Addr && !r.Dual {
		return
	}
	if last := p.count.roamed.Load(); in.now-last < roamEvery && last != 0 {
		return
	}
	p.count.roamed.Store(in.now)
	in.mailbox.post(Roamed{Peer: p, Origin: in.origin()})
}

// handleInner handles the opened inner b[start:end] of a peer.
func (in *inbound) handleInner(p *Peer, session *crypto.Session, b []byte, start, end int, ctr, run uint64) {
	if start == end {
		in.drops.Drop(DropInner)
		return
	}
	switch protocol.Kind(b[start] >> 6) {
	case protocol.KindControl:
		in.handleControl(p, session, b[start:end], false)
	case protocol.KindFragment:
		inner, err := protocol.ParseInner(b[start:end])
		if err != nil {
			in.drops.Drop(DropInner)
			return
		}
		in.handleFragment(p, session, inner.Body, ctr, run)
	case protocol.KindElided:
		if session == nil { // it is never used in GROUP: each receiver would rebuild another frame
			in.drops.Drop(DropInner)
			return
		}
		in.openFrame(p, b, start, end)
	default:
		in.openFrame(p, b, start, end)
	}
}

// maxWhole is the longest inner that is received in pieces: a frame of the largest
// MTU with tags.
const maxWhole = MaxMTU + 64

// handleControl hands the messages of a peer's packet, or of the pieces that a
// long ping came in, to the control loop.
func (in *inbound) handleControl(p *Peer, session *crypto.Session, b []byte, joined bool) {
	inner, err := protocol.ParseInner(b)
	if err != nil {
		in.drops.Drop(DropInner)
		return
	}
	if session == nil || len(inner.Body) == 0 {
		return
	}
	if !p.mayTell(in.now) {
		in.drops.Drop(DropControlRate)
		return
	}
	in.mailbox.post(PairMessages{Peer: p, Session: session, Origin: in.origin(), Messages: clone(inner.Body), InPieces: joined})
}

// handleFragment keeps a piece, and handles the inner that it completes.
func (in *inbound) handleFragment(p *Peer, session *crypto.Session, body []byte, ctr, run uint64) {
	ecn := in.last.ecn // of this piece; that of the inner has the marks of all
	switch at, n, ok := in.reassemble(p, session, body, ctr, run); {
	case !ok:
	case protocol.Kind(in.buf[at]>>6) == protocol.KindControl:
		in.handleControl(p, session, in.buf[at:at+n], true)
	default:
		in.openFrame(p, in.buf, at, at+n)
	}
	in.last.ecn = ecn
}

// reassemble keeps a piece, and brings the inner that it completes to the arena.
func (in *inbound) reassemble(p *Peer, session *crypto.Session, body []byte, ctr, run uint64) (at, n int, ok bool) {
	p.fragments.mu.Lock()
	defer p.fragments.mu.Unlock()
	whole, marked, done := p.fragments.add(in.Plane, p, in.now, run, ctr, body, in.last.ecn == ecnCE)
	if !done {
		return 0, 0, false
	}
	if marked {
		in.last.ecn = ecnCE
	}
	kind := protocol.KindControl // the last that a run may be of
	if session == nil {
		kind = protocol.KindFrame
	}
	if len(whole) > maxWhole || len(whole) == 0 || protocol.Kind(whole[0]>>6) > kind {
		in.drops.Drop(DropFragment)
		return 0, 0, false
	}
	if len(whole) <= len(in.piece) { // it may be part of what restore overwrites
		whole = in.piece[:copy(in.piece[:], whole)]
	}
	in.restore()
	in.joined++
	return in.bring(whole), len(whole), true
}

// openFrame rebuilds the frame in the inner b[start:end], which lies in the
// arena, and delivers it.
func (in *inbound) openFrame(p *Peer, b []byte, start, end int) {
	off, n, inner, err := protocol.DecodeFrame(b, start, end, in.self, p.mac)
	if err != nil {
		in.drops.Drop(DropInner)
		return
	}
	if changesFrames(in.last.ecn) && !in.takeMark(b[off:off+n]) {
		return
	}
	in.deliverFrame(p, b, off, n, checksumOffload(inner))
}

// takeMark changes a frame as the ECN field of its packet wants. It reports whether the
// frame goes on. A frame that is no IP has no field, and is left alone.
func (in *inbound) takeMark(frame []byte) bool {
	tos, ok := offload.TOS(frame)
	if !ok {
		return true
	}
	was := tos & ecnMask
	switch is := ecnInner[was][in.last.ecn]; is {
	case was:
	case ecnDrop:
		in.drops.Drop(DropMarked)
		return false
	default:
		offload.SetECN(frame, is)
	}
	return true
}

// checksumOffload returns what the sender of an inner left to the receiver's kernel.
func checksumOffload(in protocol.Inner) offload.Header {
	if !in.Partial {
		return offload.Header{}
	}
	return offload.Header{Flags: offload.FlagNeedsCsum, CsumStart: uint16(in.CsumStart), CsumOffset: uint16(in.CsumOffset)}
}

// deliverFrame filters the frame b[off:off+n] of a peer, learns where its
// source is, and hands it to the device at the next flush, joined with those
// before it where they are of one flow. A frame of the peer's end of a link goes to the
// link's device, unless it came in a GROUP packet.
func (in *inbound) deliverFrame(p *Peer, b []byte, off, n int, h offload.Header) {
	var frame bridge.Parsed
	if !frame.Parse(b[off : off+n]) {
		in.drops.Drop(DropFrameInvalid)
		return
	}
	if in.table.closed && !in.guard.exchanges(in.table, in.now, p, in.flooded, frame.Src()) || !in.guard.carries(&frame) {
		return
	}
	src := frame.Src()
	if src != p.mac && !in.flooded {
		if l := p.link.Load(); l != nil && src == l.far {
			in.takeLink(l, p, b, off, n, h)
			return
		}
	}
	known := src == p.mac && in.tally.peer == p
	if !in.accept(in.table, in.now, p, &frame, arrival{known: known, flooded: in.flooded}) {
		return
	}
	if !known {
		in.aim(in.out.main)
	}
	if frame.Dst().IsGroup() && !in.guard.listens(in.now, p, &frame, true) {
		return
	}
	if in.tally.peer != p {
		in.tally.addTo(&in.total.rxFrames, &in.total.rxBytes, rxOf)
	}
	if in.last.used != p && (!frame.Dst().IsGroup() || in.table.groupIsUse(p)) {
		in.last.used = p
		p.touch(in.now, in.mailbox)
	}
	if offload.IsSYN(frame.Frame) {
		in.clamp(p.route.Load(), frame.Frame, h, src == p.mac && frame.Dst() == in.self)
	}
	in.tally.add(p, n, 1)
	in.append(off, n, h)
}

// arrival is how a frame of a peer came.
type arrival struct {
	known     bool // its source is the peer's own address, and needs no look at the table
	flooded   bool // in a GROUP packet: it went to others, too
	unvouched bool // of a salt that nobody has vouched for: nothing is learned from it
}

// accept reports whether a frame of a peer is for our device: whether it may pass our
// gate, is from whom it says, is within the limits of what is flooded, and claims
// nothing that is another's.
func (d *Plane) accept(t *Table, now int64, p *Peer, frame *bridge.Parsed, a arrival) bool {
	g := &d.guard
	if g.gate != nil && !g.enters(now, frame.Frame, p) {
		return false
	}
	if !a.known && !d.admit(t, now, p, frame) {
		return false
	}
	if dst := frame.Dst(); (dst.IsGroup() || a.flooded && dst != d.self) && !g.calm(now, p, frame) {
		return false
	}
	if !frame.Judged() {
		return true
	}
	if !g.honest(t, now, p, frame) {
		return false
	}
	if d.fdb.proxy != nil && !a.unvouched && frame.Resolves() {
		d.hearResolution(now, frame, p)
	}
	return true
}

// admit reports whether a peer may send a frame with this source address, and
// learns it when it is that of a host behind the peer.
func (d *Plane) admit(t *Table, now int64, p *Peer, frame *bridge.Parsed) bool {
	src, bound := frame.Src(), t.macs.Get(p.mac) == p
	switch owner := t.macs.Get(src); {
	case src == d.self:
		d.drops.Drop(DropOwnSource)
		return false
	case src.IsGroup():
		d.drops.Drop(DropFrameInvalid)
		return false
	case !bound:
		d.drops.Drop(DropUnbound)
		return false
	case owner != nil && owner != p && owner.behind.Load() != p:
		d.drops.Drop(DropSpoofedSource)
		return false
	case p.endsAt(src):
		d.drops.Drop(DropLinkSource)
		return false
	case owner == nil && !p.may(bridge.SpeakForHosts):
		d.guard.refuse(now, p, Violation{Reason: DropNotBridge, Host: src})
		return false
	case owner == nil:
		return d.admitStation(now, p, frame)
	}
	return true
}

// handleGroup opens a GROUP packet. One of a sender that vouched for its salt
// in a pair session is that sender's; any other goes to the control loop.
func (in *inbound) handleGroup(h protocol.Header, b []byte) {
	if h.RX != in.tag {
		in.drops.Drop(DropGroupTag)
		return
	}
	inner, static, vouched, err := in.groupRx.Open(in.scratch, in.wallNow, in.last.origin.group(), b, in.canReceive)
	stale := errors.Is(err, crypto.ErrStaleSalt)
	if err != nil && !stale {
		if errors.Is(err, crypto.ErrBudget) {
			in.drops.Drop(DropGroupBudget)
			return
		}
		in.drops.DropOpen(err)
		return
	}
	in.noteEpoch(h.KI)
	p := in.table.statics.Get(static)
	if in.table.isolated && (!vouched || stale || p == nil) {
		in.drops.Drop(DropIsolated) // as a vouched one would be
		return
	}
	if !vouched || stale || p == nil {
		in.postUnvouched(h, b, inner, stale)
		return
	}
	p.count.heard.Store(in.now)
	at := in.bring(inner)
	in.flooded = true
	in.handleInner(p, nil, in.buf, at, at+len(inner), h.CTR, saltRun(b))
	in.flooded = false
}

// saltRun returns what names a salt among those of one peer, for its runs of
// fragments: the time of its creation, and what is random of it.
func saltRun(b []byte) uint64 {
	var v uint64
	for _, c := range b[protocol.HeaderLen : protocol.HeaderLen+8] {
		v = v<<8 | uint64(c)
	}
	return v
}

// postUnvouched hands an opened GROUP packet of an unvouched sender to the
// control loop, with everything that names its run of fragments.
func (in *inbound) postUnvouched(h protocol.Header, b, inner []byte, stale bool) {
	in.mailbox.post(Unvouched{
		Origin: in.origin(), Inner: clone(inner), XF: uint8(h.XF), KI: h.KI, Salt: [protocol.SaltLen]byte(b[protocol.HeaderLen:]),
		Stale: stale, CTR: h.CTR, Run: saltRun(b),
	})
}
