package edge

import (
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/transport"
)

// inbound carries frames from the wire to the device. It belongs to one
// goroutine.
type inbound struct {
	*dataPlane
	scratch   *crypto.Scratch
	datagrams []transport.Datagram
	frames    []tap.Frame // opened, waiting for flush; they lie in the datagrams' buffers
	joined    []byte      // a reassembled frame
	now       int64
	wallNow   time.Time
	table     *table

	// canReceive asks the table; made once, since a closure for each packet
	// would be an allocation for each.
	canReceive func(ki uint8) (crypto.Epoch, bool)
}

// receiveLen is the room for one read in bytes: a coalesced run of datagrams
// is at most as long as the largest UDP payload.
const receiveLen = 1 << 16

func newInbound(d *dataPlane) *inbound {
	in := &inbound{
		dataPlane: d, scratch: crypto.NewScratch(),
		datagrams: make([]transport.Datagram, 8),
		frames:    make([]tap.Frame, 0, batchFrames),
		joined:    make([]byte, bufferLen),
	}
	in.canReceive = func(ki uint8) (crypto.Epoch, bool) { return in.table.canReceive(ki) }
	for i := range in.datagrams {
		in.datagrams[i].Buf = make([]byte, receiveLen)
	}
	return in
}

// readUDP runs until the socket is closed: it takes a batch of datagrams,
// handles each, and flushes the frames that came out.
func (in *inbound) readUDP() error {
	for {
		n, err := in.conn.ReadBatch(in.datagrams)
		if err != nil {
			return err
		}
		now := time.Now()
		in.now, in.wallNow, in.table = in.since(now), in.wall(now), in.dataPlane.table.Load()
		for i := range in.datagrams[:n] {
			d := &in.datagrams[i]
			seg := d.Seg
			if seg <= 0 {
				seg = d.N
			}
			for off := 0; off < d.N; off += seg {
				end := min(off+seg, d.N)
				in.handleDatagram(d.Buf[off:end:end], d.Addr)
			}
		}
		in.flush()
	}
}

// flush writes the gathered frames to the device.
func (in *inbound) flush() {
	if len(in.frames) == 0 {
		return
	}
	if _, err := in.device.WriteBatch(in.frames); err != nil {
		in.drops.drop(dropDeviceWrite)
	}
	in.frames = in.frames[:0]
}

// origin says where a packet came from: an address, or a handle behind a
// supernode.
type origin struct {
	addr   netip.AddrPort
	link   *linkView
	handle uint32
}

// handleDatagram tells what a datagram is, by the order of PROTOCOL.md:
// STUN, a supernode's, an edge's. There is no second try.
func (in *inbound) handleDatagram(b []byte, from netip.AddrPort) {
	if nat.IsSTUN(b) {
		in.mailbox.post(event{kind: eventSTUN, raw: clone(b), from: from})
		return
	}
	src, known := in.table.sources[from]
	mask := in.mask
	if known {
		mask = src.mask
		if src.hello && len(b) == protocol.WelcomeLen {
			mask = in.hello
		}
	}
	if !mask.Show(in.scratch, b) {
		in.drops.drop(dropShort)
		return
	}
	h, err := protocol.ParseHeader(b)
	if err != nil {
		in.drops.drop(dropHeader)
		return
	}
	if known {
		in.handleHop(src, h, b, from)
		return
	}
	in.handlePacket(h, b, origin{addr: from})
}

// handleHop handles a packet that a supernode sent.
func (in *inbound) handleHop(src *source, h protocol.Header, b []byte, from netip.AddrPort) {
	switch h.Type {
	case protocol.TypeRelay:
		e := in.table.hops[h.RX]
		if e == nil || e.link != src.link {
			in.drops.drop(dropUnknownSession)
			return
		}
		pkt, err := e.session.OpenRelay(in.scratch, b)
		if err != nil {
			in.dropOpen(err)
			return
		}
		if !in.mask.Show(in.scratch, pkt) {
			in.drops.drop(dropShort)
			return
		}
		inner, err := protocol.ParseHeader(pkt)
		if err != nil {
			in.drops.drop(dropHeader)
			return
		}
		handle, _ := protocol.SplitRelayCTR(h.CTR)
		in.handlePacket(inner, pkt, origin{link: src.link, handle: handle})
	case protocol.TypeData:
		in.mailbox.post(event{kind: eventHop, raw: clone(b), from: from, link: src.link})
	case protocol.TypeResp, protocol.TypeCookie, protocol.TypeReset, protocol.TypeWelcome:
		in.mailbox.post(event{kind: eventAnswer, raw: clone(b), from: from, link: src.link})
	default:
		in.drops.drop(dropHeader)
	}
}

// handlePacket handles a packet of another edge.
func (in *inbound) handlePacket(h protocol.Header, b []byte, from origin) {
	switch h.Type {
	case protocol.TypeData:
		if h.XF != protocol.XFDataGCM && h.XF != protocol.XFDataChaCha && h.XF != protocol.XFNull {
			in.dropTransform(h.XF)
			return
		}
		in.handleData(h, b, from)
	case protocol.TypeGroup:
		if h.XF != protocol.XFGroupGCM && h.XF != protocol.XFGroupChaCha && h.XF != protocol.XFNull {
			in.dropTransform(h.XF)
			return
		}
		in.handleGroup(h, b, from)
	case protocol.TypeInit:
		in.mailbox.post(event{kind: eventInit, raw: clone(b), from: from.addr, link: from.link, handle: from.handle})
	case protocol.TypeResp, protocol.TypeCookie, protocol.TypeNotice:
		in.mailbox.post(event{kind: eventAnswer, raw: clone(b), from: from.addr, link: from.link, handle: from.handle})
	default:
		in.drops.drop(dropHeader)
	}
}

// dropTransform counts a packet under a transform that we do not have, also by
// its identifier: it tells an operator which extension the others run.
func (in *inbound) dropTransform(xf protocol.Transform) {
	in.drops.drop(dropTransform)
	in.transforms[xf].Add(1)
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// handleData opens a packet of a pair session. Nothing changes before it has
// authenticated and passed the window.
func (in *inbound) handleData(h protocol.Header, b []byte, from origin) {
	e := in.table.sessions[h.RX]
	if e == nil {
		in.drops.drop(dropUnknownSession)
		return
	}
	inner, err := e.session.Open(in.scratch, b)
	if err != nil {
		in.dropOpen(err)
		return
	}
	p := e.peer
	p.count.heard.Store(in.now)
	if !e.confirmed.Load() && e.confirmed.CompareAndSwap(false, true) {
		in.mailbox.post(event{kind: eventConfirmed, peer: p, session: e.session, from: from.addr, link: from.link, handle: from.handle})
	}
	in.noteOrigin(p, from)
	in.noteEpoch(h.KI)
	start := protocol.HeaderLen
	in.handleInner(p, e.session, b, start, start+len(inner), h.CTR, uint64(h.RX), from)
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
func (in *inbound) noteOrigin(p *peerView, from origin) {
	if from.link != nil {
		return
	}
	if r := p.route.Load(); r.direct == from.addr && !r.dual {
		return
	}
	if last := p.count.roamed.Load(); in.now-last < roamEvery && last != 0 {
		return
	}
	p.count.roamed.Store(in.now)
	in.mailbox.post(event{kind: eventRoamed, peer: p, from: from.addr})
}

// handleInner handles the opened inner b[start:end] of a peer.
func (in *inbound) handleInner(p *peerView, session *crypto.Session, b []byte, start, end int, ctr, run uint64, from origin) {
	if start == end {
		in.drops.drop(dropInner)
		return
	}
	switch protocol.Kind(b[start] >> 6) {
	case protocol.KindControl:
		inner, err := protocol.ParseInner(b[start:end])
		if err != nil {
			in.drops.drop(dropInner)
			return
		}
		if session != nil && len(inner.Body) > 0 {
			in.mailbox.post(event{kind: eventPair, raw: clone(inner.Body), peer: p, session: session, from: from.addr, link: from.link, handle: from.handle})
		}
	case protocol.KindFragment:
		inner, err := protocol.ParseInner(b[start:end])
		if err != nil {
			in.drops.drop(dropInner)
			return
		}
		in.handleFragment(p, session, inner.Body, ctr, run)
	case protocol.KindElided:
		if session == nil { // it is never used in GROUP: each receiver would rebuild another frame
			in.drops.drop(dropInner)
			return
		}
		in.openFrame(p, b, start, end)
	default:
		in.openFrame(p, b, start, end)
	}
}

// handleFragment keeps a piece, and delivers the frame that it completes.
func (in *inbound) handleFragment(p *peerView, session *crypto.Session, body []byte, ctr, run uint64) {
	whole, done := p.fragments.Add(time.Unix(0, in.now), run, ctr, body)
	if !done {
		return
	}
	kind := protocol.KindElided // the last that a run may be of
	if session == nil {
		kind = protocol.KindFrame
	}
	if len(whole) > len(in.joined)-headroom || len(whole) == 0 || protocol.Kind(whole[0]>>6) > kind {
		in.drops.drop(dropFragment)
		return
	}
	n := copy(in.joined[headroom:], whole)
	in.openFrame(p, in.joined, headroom, headroom+n)
	in.flush() // the next reassembled frame needs the buffer
}

// openFrame rebuilds the frame in the inner b[start:end] and delivers it.
func (in *inbound) openFrame(p *peerView, b []byte, start, end int) {
	off, n, inner, err := protocol.DecodeFrame(b, start, end, in.self, p.mac)
	if err != nil {
		in.drops.drop(dropInner)
		return
	}
	if inner.Partial {
		// We do not announce FeaturePartial, so nobody may send it.
		in.drops.drop(dropInner)
		return
	}
	in.deliverFrame(p, b, off, n)
}

// deliverFrame filters the frame b[off:off+n] of a peer, learns where its
// source is, and hands it to the device at the next flush.
func (in *inbound) deliverFrame(p *peerView, b []byte, off, n int) {
	frame := protocol.Frame(b[off : off+n])
	if frame.Valid() != nil {
		in.drops.drop(dropFrameInvalid)
		return
	}
	src := frame.Src()
	bound := in.table.macs[p.mac] == p
	switch owner := in.table.macs[src]; {
	case src == in.self:
		in.drops.drop(dropOwnSource)
		return
	case src.IsGroup():
		in.drops.drop(dropFrameInvalid)
		return
	case !bound:
		in.drops.drop(dropUnbound)
		return
	case owner != nil && owner != p:
		in.drops.drop(dropSpoofedSource)
		return
	case owner == nil:
		in.fdb.learn(in.now, fdbKey{vlan: vlanOf(frame), mac: src}, p)
	}
	p.count.rxBytes.Add(uint64(n))
	in.total.rxFrames.Add(1)
	in.total.rxBytes.Add(uint64(n))
	if !frame.Dst().IsGroup() {
		p.touch(in.now, in.mailbox)
	}
	in.frames = append(in.frames, tap.Frame{Buf: b, Off: off, Len: n})
}

// handleGroup opens a GROUP packet. One of a sender that vouched for its salt
// in a pair session is that sender's; any other goes to the control loop.
func (in *inbound) handleGroup(h protocol.Header, b []byte, from origin) {
	if h.RX != in.tag {
		in.drops.drop(dropGroupTag)
		return
	}
	inner, static, vouched, err := in.groupRx.Open(in.scratch, in.wallNow, b, in.canReceive)
	stale := errors.Is(err, crypto.ErrStaleSalt)
	if err != nil && !stale {
		if errors.Is(err, crypto.ErrBudget) {
			in.drops.drop(dropGroupBudget)
			return
		}
		in.dropOpen(err)
		return
	}
	in.noteEpoch(h.KI)
	p := in.table.statics[static]
	if !vouched || stale || p == nil {
		in.postUnvouched(h, b, inner, from, stale)
		return
	}
	p.count.heard.Store(in.now)
	start := protocol.HeaderLen + protocol.SaltLen
	in.handleInner(p, nil, b, start, start+len(inner), h.CTR, saltRun(b), from)
}

// saltRun folds the salt of a GROUP packet into the identity of a run of
// fragments; its last 12 bytes are random.
func saltRun(b []byte) uint64 {
	var v uint64
	for _, c := range b[protocol.HeaderLen+8 : protocol.HeaderLen+16] {
		v = v<<8 | uint64(c)
	}
	return v
}

// postUnvouched hands an opened GROUP packet of an unvouched sender to the
// control loop, with everything that names its run of fragments.
func (in *inbound) postUnvouched(h protocol.Header, b, inner []byte, from origin, stale bool) {
	in.mailbox.post(event{
		kind: eventUnvouched, raw: clone(inner), from: from.addr, link: from.link, handle: from.handle,
		stale: stale, ctr: h.CTR, run: saltRun(b),
		ki: h.KI, xf: uint8(h.XF), salt: [protocol.SaltLen]byte(b[protocol.HeaderLen:]),
	})
}
