package dataplane

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
	"hedgerow/transport"
)

// Bounds of one burst from the device, so that what comes in meanwhile is not
// kept waiting: 16 of the longest super-frames, or as many small frames as make
// one train.
const (
	burstBytes  = 1 << 20
	burstFrames = transport.MaxTrainDatagrams
)

// fewPeers is to how many peers a flood has paths looked for while no supernode
// carries it to all. With more, each edge would send INITs to all others at once, and
// the supernode would be busy with that when it comes back.
const fewPeers = 32

// fewRelayed is to how many peers copies of a frame go through supernodes one by one. For
// more one copy goes to all, since it is our uplink that carries them.
const fewRelayed = 4

// outbound carries frames from the device to the wire. It belongs to one
// goroutine.
type outbound struct {
	*sender
	device FrameQueue
	// frame is read, cut and sealed before the next one is: one buffer, which
	// stays in the cache, serves for all.
	frame  [1]tap.Frame
	cutter offload.Cutter
	tally  tally
	cuts   cuts
	made   [1]tap.Frame // here: a copy of a flooded one for one peer, or the answer to ARP
	last   struct {     // the peer that the last frame of this burst went to
		dst  protocol.MAC
		peer *Peer
	}
	audience audience // of the frame at hand
	told     struct { // when the control loop was last told of
		wanted    int64 // an unknown host
		recursion int64 // a datagram of our own
	}
}

// tellEvery is how often a queue tells the control loop of one kind of frame.
const tellEvery = int64(100 * time.Millisecond)

// newOutbound returns one that reads from a device, or, without one, sends what
// it is handed.
func newOutbound(d *Plane, device FrameQueue, conn Conn) *outbound {
	if device == nil {
		return &outbound{sender: newSender(d, conn, controlLane)}
	}
	o := &outbound{sender: newSender(d, conn, queueLane), device: device}
	o.frame[0].Buf = make([]byte, bufferLen)
	return o
}

// readTAP takes frames from the device until it has no more, or a burst is full,
// sends each, and flushes what they became. It returns how many there were.
func (o *outbound) readTAP() (n int, err error) { return o.readBurst(nil) }

// readBurst is readTAP for the community's device, or for that of a link.
func (o *outbound) readBurst(l *Link) (n int, err error) {
	f := &o.frame[0]
	var now int64
	var t *Table
	for read := 0; n < burstFrames && read < burstBytes; n++ {
		f.Off = headroom
		got, err := o.device.ReadBatch(o.frame[:])
		if got == 0 {
			o.endBurst()
			return n, err
		}
		if n == 0 {
			now, t = o.Since(time.Now()), o.table.Load()
		}
		read += f.Len
		if l == nil {
			o.sendFrame(t, now, f)
		} else {
			o.sendOnLink(l, now, f)
		}
		if o.full() {
			o.flushTrains()
		}
	}
	o.endBurst()
	return n, nil
}

// endBurst ends a burst: it sends what is left and counts what there was.
func (o *outbound) endBurst() {
	o.flush()
	o.last.peer = nil // the next burst has a table of its own
	o.tally.addTo(&o.total.txFrames, &o.total.txBytes, txOf)
	o.cuts.addTo(&o.total)
}

// sendFrame sends a frame or super-frame towards whoever has its destination
// address.
func (o *outbound) sendFrame(t *Table, now int64, f *tap.Frame) {
	var frame bridge.Parsed
	if !frame.Parse(f.Bytes()) {
		o.drops.Drop(DropFrameInvalid)
		return
	}
	if by, to := o.guard.sockets.Sent(o.self, &frame); by != bridge.Another && o.recursed(now, by, to) {
		return
	}
	dst, src := frame.Dst(), frame.Src()
	if src != o.self && o.guard.gate != nil && !o.guard.leaves(now, frame.Frame) {
		return
	}
	if !o.guard.carries(&frame) {
		return
	}
	if src != o.self {
		if !o.guard.mayStand(now, src) {
			return
		}
		o.hearStation(now, &frame)
	}
	if o.fdb.proxy != nil && frame.Resolves() && o.resolve(t, now, f, &frame) {
		return
	}
	if dst.IsGroup() {
		o.flood(t, now, f, &frame)
		return
	}
	p := o.last.peer // a burst mostly goes to one
	if p == nil || o.last.dst != dst {
		p = t.macs.Get(dst)
		o.last.dst, o.last.peer = dst, p
	}
	if p == nil {
		var done bool
		if p, done = o.findStation(now, frame.Destination()); done {
			return
		}
	}
	if p == nil {
		if due(&o.told.wanted, now) {
			o.mailbox.post(MACWanted{MAC: dst})
		}
		o.flood(t, now, f, &frame)
		return
	}
	elide := dst == p.mac && src == o.self
	o.sealTo(t, now, p, f, elide)
}

// carries reports whether a frame's address and VLAN are carried at all, and counts those
// that are not.
func (g *guard) carries(frame *bridge.Parsed) bool {
	switch dst := frame.Dst(); {
	case dst.IsGroup() && g.filter.Reserved(dst):
		g.drops.Drop(DropReserved)
	case g.filter.VLANs != nil && !g.filter.Carries(frame.VLAN()):
		g.drops.Drop(DropVLAN)
	default:
		return true
	}
	return false
}

// recursed tells the control loop of a datagram from the port of one of our sockets. It
// reports whether it is our own, to an address that is routed into the overlay, and drops
// it then.
func (o *outbound) recursed(now int64, by bridge.Sender, to netip.AddrPort) bool {
	own := by == bridge.Own
	if own {
		o.drops.Drop(DropOwnDatagram)
	}
	if due(&o.told.recursion, now) {
		o.mailbox.post(Recursion{To: to, Own: own})
	}
	return own
}

// due reports whether the control loop is told again, which last notes.
func due(last *int64, now int64) bool {
	if *last != 0 && now-*last <= tellEvery {
		return false
	}
	*last = now
	return true
}

// sealTo seals a frame for one peer and sends it by the peer's route. Without a
// session it goes as a GROUP packet through a supernode to the peer's handle, so that
// the first frame does not wait for a handshake. Where that is not possible, or not
// allowed (a list of members, --no-relay), it is staged: the control loop keeps it
// for 10 s at most (edge/staged.go) and sends it when there is a session.
func (o *outbound) sealTo(t *Table, now int64, p *Peer, f *tap.Frame, elide bool) {
	if t.closed && o.lone(t, now, p, f) {
		return
	}
	r := p.route.Load()
	if f.Offload.GSOType == offload.GSONone && offload.IsSYN(f.Bytes()) {
		o.clamp(r, f.Bytes(), f.Offload, elide)
	}
	if o.tally.peer != p {
		o.tally.addTo(&o.total.txFrames, &o.total.txBytes, txOf)
		p.touch(now, o.mailbox)
	}
	switch {
	case o.bounds.noRelay && !r.Direct.IsValid():
		o.stage(p, f)
	case r.Session != nil:
		o.sealUnicast(p, r, f, elide)
	case t.list || t.group == nil || r.Supernode == nil || r.Supernode.hop.Load() == nil:
		o.stage(p, f)
	default:
		o.sealBroadcast(t, p, r, nil, f)
	}
}

// sealUnicast seals a frame inside a session. A super-frame is cut to what the
// path takes whole; any other frame that is too long goes in pieces.
func (o *outbound) sealUnicast(p *Peer, r *Route, f *tap.Frame, elide bool) {
	limit := r.MaxInner()
	partial := r.Partial && partialOnWire(f)
	o.next.tos, o.next.alone = o.outerTOS(f, r.ECN), r.Alone
	frame := protocol.Frame(f.Bytes())
	if err := o.cutter.Start(f.Buf, f.Off, f.Len, f.Offload, limit-protocol.InnerOverhead(frame, elide, partial)); err != nil {
		o.drops.Drop(DropFrameInvalid)
		return
	}
	o.tally.add(p, f.Len, o.cutter.Count())
	var numbers counters
	for left := o.cutter.Count(); left > 0; left-- {
		off, n, h, _ := o.cutter.Next()
		inner := o.encode(f.Buf, off, n, h, elide, partial)
		if len(inner) > limit {
			if count := o.sealPieces(r, inner, limit); count > 0 {
				o.cuts.add(count)
			}
			continue
		}
		ctr, ok := numbers.next(r.Session, left)
		if !ok {
			o.drops.Drop(DropSessionWorn)
			return
		}
		o.sealPair(r.Session, r, 0, ctr, inner)
	}
}

// outerTOS returns the TOS of the packets that carry a frame: that of the frame, or what
// they may have of it. ecn says that whoever gets them looks at the ECN field.
func (o *outbound) outerTOS(f *tap.Frame, ecn bool) (tos uint8) {
	if ecn || o.bounds.dscp {
		tos, _ = offload.TOS(f.Bytes())
	}
	if !ecn {
		tos &^= ecnMask
	}
	if !o.bounds.dscp {
		tos &= ecnMask
	}
	return tos
}

// counters are those of a session that were reserved for the segments of one
// super-frame, at once: they are an atomic addition for each reservation.
type counters struct {
	at   uint64
	left int
}

// next returns the next one. If there is none it reserves n, as many as may be
// wanted: none is to be left over.
func (c *counters) next(s *crypto.Session, n int) (ctr uint64, ok bool) {
	if c.left == 0 {
		first, err := s.Reserve(uint32(n))
		if err != nil {
			return 0, false
		}
		c.at, c.left = first, n
	}
	c.left--
	c.at++
	return c.at - 1, true
}

// encode makes the inner of a frame in place. Its checksum travels unfinished if
// partial says so, and is completed otherwise.
func (o *outbound) encode(buf []byte, off, n int, h offload.Header, elide, partial bool) []byte {
	end := off + n
	if partial {
		return buf[protocol.EncodePartialFrame(buf, off, n, elide, uint8(h.CsumStart), uint8(h.CsumOffset)):end]
	}
	if offload.Complete(buf[off:end], h) != nil {
		o.drops.Drop(DropFrameInvalid) // and the receiver's host drops it
	}
	return buf[protocol.EncodeFrame(buf, off, n, elide):end]
}

// partialOnWire reports whether a frame's checksum is unfinished, and of a kind
// that may be left so on the wire (PROTOCOL.md, section 3).
func partialOnWire(f *tap.Frame) bool {
	h := &f.Offload
	if h.Flags&offload.FlagNeedsCsum == 0 || h.CsumStart > 255 {
		return false
	}
	start, offset, ok := protocol.Frame(f.Bytes()).ChecksumField()
	return ok && start == int(h.CsumStart) && offset == int(h.CsumOffset)
}

// flood sends a frame to every other edge, if that is within the limits.
func (o *outbound) flood(t *Table, now int64, f *tap.Frame, frame *bridge.Parsed) {
	frames := 1
	if f.Offload.GSOType != offload.GSONone {
		frames += f.Len / max(1, int(f.Offload.GSOSize))
	}
	if o.guard.gate != nil && !o.guard.floods(now, frame.Frame, nil) {
		return
	}
	to := o.address(t, now, frame)
	if to.none() {
		o.drops.Drop(DropNoMember)
		return
	}
	if !o.guard.calmHost(now, frame, frames) {
		return
	}
	if t.isolated {
		o.floodApart(t, now, to, f)
		return
	}
	if t.group == nil {
		o.drops.Drop(DropNoPath)
		return
	}
	o.sealBroadcast(t, nil, nil, to, f)
}

// audience is whom a frame to a group goes to.
type audience struct {
	some    bool // not everybody: those that follow
	members bridge.Members[*Peer]
	family  bridge.Family
	direct  []*Peer // by their direct paths
	relays  []*Peer // by a supernode each
	rest    bool    // by supernodes to everybody whom they serve
}

// wants reports whether the frame is for a peer.
func (a *audience) wants(now int64, p *Peer) bool {
	return !a.some || a.members.Has(now, p) || p.listener.All(now, a.family)
}

// none reports whether the frame goes to nobody.
func (a *audience) none() bool { return a.some && !a.rest && len(a.direct)+len(a.relays) == 0 }

// address finds whom a frame to a group goes to: everybody, unless only some have joined.
func (o *outbound) address(t *Table, now int64, frame *bridge.Parsed) *audience {
	a := &o.audience
	*a = audience{direct: a.direct[:0], relays: a.relays[:0]}
	g := o.guard.groups
	if g == nil || !bridge.Snooped(frame.Dst()) {
		return a
	}
	members, family, some := g.Sent(now, frame)
	o.guard.askHosts()
	if !some || g.Floods(t.macs.Len()) {
		return a
	}
	a.some, a.members, a.family = true, members, family
	for _, p := range t.macs.All() {
		r := p.route.Load()
		if r.Session == nil && !t.isolated && !p.listener.Settled() && t.macs.Len() <= fewPeers {
			p.touch(now, o.mailbox) // in a session it says whether its members are known
		}
		if !a.wants(now, p) {
			continue
		}
		switch {
		case r.Direct.IsValid():
			a.direct = append(a.direct, p)
		case o.bounds.noRelay:
			p.touch(now, o.mailbox)
		case r.Supernode != nil:
			a.relays = append(a.relays, p)
		case len(t.supernodes) == 0:
			p.touch(now, o.mailbox)
		} // else no supernode knows it: it is not there
	}
	if len(a.relays) > fewRelayed {
		a.rest = true
	}
	return a
}

// spreadTo sends copies of a sealed GROUP packet to whom it is for.
func (o *outbound) spreadTo(t *Table, a *audience, pkt []byte) {
	sent := false
	for _, p := range a.direct {
		if r := p.route.Load(); r.Direct.IsValid() {
			o.putGroup(r, pkt)
			sent = true
		}
	}
	if a.rest {
		sent = o.relayToAll(t, pkt) || sent
	} else {
		for _, p := range a.relays {
			if r := p.route.Load(); r.Supernode != nil {
				sent = o.relayGroupBy(r, pkt) || sent
			}
		}
	}
	if !sent {
		o.drops.Drop(DropNoPath)
	}
}

// lone reports whether a frame does not go to a peer of an isolated or listed community now:
// it waits for a session in which the peer says that it is one to exchange frames with, or
// it is dropped since the peer is none.
func (o *outbound) lone(t *Table, now int64, p *Peer, f *tap.Frame) bool {
	switch s := p.guarded.standing.Load(); {
	case s.Rights.Has(bridge.Exchange) && p.route.Load().Session != nil:
		return false
	case s.Rights.Has(bridge.Exchange), s.Hub:
		if o.tally.peer != p {
			o.tally.addTo(&o.total.txFrames, &o.total.txBytes, txOf)
			p.touch(now, o.mailbox)
		}
		o.stage(p, f)
	default:
		o.drops.Drop(t.apart())
	}
	return true
}

// make returns the frame that is made here, with room for any.
func (o *outbound) make() *tap.Frame {
	if o.made[0].Buf == nil {
		o.made[0].Buf = make([]byte, bufferLen)
	}
	return &o.made[0]
}

// floodApart sends a frame to everybody whom frames are exchanged with, a copy for each in
// its session. For hubs it may wait; whoever is no hub keeps a session with each hub.
func (o *outbound) floodApart(t *Table, now int64, to *audience, f *tap.Frame) {
	apart, sent := o.make(), false
	for _, p := range t.macs.All() {
		s, r := p.guarded.standing.Load(), p.route.Load()
		switch {
		case !to.wants(now, p):
			continue
		case s.Hub:
		case !s.Rights.Has(bridge.Exchange), r.Session == nil:
			continue
		case !r.Direct.IsValid() && (o.bounds.noRelay || r.Supernode == nil):
			continue
		}
		// A frame is cut and sealed in place.
		apart.Off, apart.Len, apart.Offload = f.Off, f.Len, f.Offload
		copy(apart.Buf[f.Off:], f.Bytes())
		o.sealTo(t, now, p, apart, false)
		if sent { // it was counted with the first copy
			o.tally.frames, o.tally.bytes = 0, 0
		}
		sent = true
	}
	if !sent {
		o.drops.Drop(DropNoPath)
	}
}

// sealBroadcast seals a frame as GROUP packets: to one peer along its route, or
// to an audience when both are nil. Every edge can open the same sealed bytes, so a
// flood is sealed once however many it reaches.
func (o *outbound) sealBroadcast(t *Table, p *Peer, to *Route, many *audience, f *tap.Frame) {
	limit := o.GroupPacket() - protocol.GroupOverhead
	o.next.tos = o.outerTOS(f, false)
	if err := o.cutter.Start(f.Buf, f.Off, f.Len, f.Offload, limit-1); err != nil {
		o.drops.Drop(DropFrameInvalid)
		return
	}
	o.tally.add(p, f.Len, o.cutter.Count())
	for {
		off, n, h, more := o.cutter.Next()
		if !more {
			return
		}
		inner := o.encode(f.Buf, off, n, h, false, false)
		count := 1
		if len(inner) > limit {
			count = protocol.PieceCount(len(inner), limit)
		}
		ctr, err := t.group.Reserve(uint32(count))
		if p != nil && err == nil {
			p.count.grouped.CompareAndSwap(0, ctr+1)
		}
		switch {
		case count == 0:
			o.drops.Drop(DropTooBig)
		case err != nil:
			o.drops.Drop(DropSessionWorn)
			return
		case count == 1:
			piece := append(o.work[:headroom], inner...)
			if o.bounds.padding != PaddingOff {
				piece = o.bounds.padding.padded(piece, headroom, limit)
			}
			o.spread(t, to, many, o.sealGroup(t.group, ctr, piece, headroom, len(piece)))
		default:
			o.cuts.add(count)
			for i := range count {
				piece := protocol.AppendPiece(o.work[:headroom], inner, i, count)
				if o.bounds.padding != PaddingOff {
					piece = o.bounds.padding.padded(piece, headroom, limit)
				}
				o.spread(t, to, many, o.sealGroup(t.group, ctr+uint64(i), piece, headroom, len(piece)))
			}
		}
	}
}

// spread sends copies of a sealed GROUP packet along one route, or to an audience: to
// the peers that have a direct path from here, and through the supernodes to the
// rest.
func (o *outbound) spread(t *Table, to *Route, many *audience, pkt []byte) {
	switch {
	case to != nil:
		o.transmitGroup(to, pkt)
		return
	case many.some:
		o.spreadTo(t, many, pkt)
		return
	}
	sent := false
	// Floods have to have a path to everybody, too.
	seek := o.bounds.noRelay || len(t.supernodes) == 0 && t.macs.Len() <= fewPeers
	var now int64
	if seek {
		now = o.Since(time.Now())
	}
	for _, p := range t.macs.All() {
		if r := p.route.Load(); r.Direct.IsValid() {
			o.putGroup(r, pkt)
			sent = true
		} else if seek {
			p.touch(now, o.mailbox)
		}
	}
	if !o.relayToAll(t, pkt) && !sent {
		o.drops.Drop(DropNoPath)
	}
}

// stage hands the control loop the segments of a frame that cannot be sent yet,
// whole and with their checksums.
func (o *outbound) stage(p *Peer, f *tap.Frame) {
	if err := o.cutter.Start(f.Buf, f.Off, f.Len, f.Offload, 0); err != nil {
		o.drops.Drop(DropFrameInvalid)
		return
	}
	o.tally.add(p, f.Len, o.cutter.Count())
	for {
		off, n, h, more := o.cutter.Next()
		if !more {
			return
		}
		frame := clone(f.Buf[off : off+n])
		if offload.Complete(frame, h) == nil {
			o.mailbox.post(Staged{Peer: p, Frame: frame})
		}
	}
}
