package edge

import (
	"time"

	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/transport"
)

// outbound carries frames from the device to the wire. It belongs to one
// goroutine.
type outbound struct {
	*sender
	frames []tap.Frame
	asked  int64 // when the control loop was last asked for an unknown host
}

func newOutbound(d *dataPlane) *outbound {
	o := &outbound{sender: newSender(d), frames: make([]tap.Frame, batchFrames)}
	for i := range o.frames {
		o.frames[i].Buf = make([]byte, bufferLen)
	}
	return o
}

// readTAP runs until the device is closed: it takes a batch of frames, sends
// each, and flushes what they became.
func (o *outbound) readTAP() error {
	for {
		for i := range o.frames {
			o.frames[i].Off = headroom
		}
		n, err := o.device.ReadBatch(o.frames)
		if err != nil {
			return err
		}
		now := o.since(time.Now())
		t := o.table.Load()
		for i := range o.frames[:n] {
			f := &o.frames[i]
			o.sendFrame(t, now, f.Buf, f.Off, f.Len)
		}
		o.flush()
	}
}

// sendFrame sends the frame buf[off:off+n] towards whoever has its
// destination address.
func (o *outbound) sendFrame(t *table, now int64, buf []byte, off, n int) {
	frame := protocol.Frame(buf[off : off+n])
	if frame.Valid() != nil {
		o.drops.drop(dropFrameInvalid)
		return
	}
	dst, src := frame.Dst(), frame.Src()
	key := fdbKey{vlan: vlanOf(frame)}
	if src != o.self {
		key.mac = src
		o.fdb.local(key)
	}
	o.total.txFrames.Add(1)
	o.total.txBytes.Add(uint64(n))
	if dst.IsGroup() {
		o.flood(t, buf, off, n)
		return
	}
	p := t.macs[dst]
	if p == nil {
		key.mac = dst
		p = o.fdb.lookup(now, key)
	}
	if p == nil {
		if o.asked == 0 || now-o.asked > int64(100*time.Millisecond) {
			o.asked = now
			o.mailbox.post(event{kind: eventWantMAC, mac: dst})
		}
		o.flood(t, buf, off, n)
		return
	}
	elide := dst == p.mac && src == o.self
	o.sealTo(t, now, p, buf, off, n, elide)
}

// vlanOf returns the VLAN identifier of a frame, 0 when it has no tag.
func vlanOf(f protocol.Frame) uint16 {
	tci, ok := f.VLAN()
	if !ok {
		return 0
	}
	return tci & 0x0fff
}

// sealTo seals a frame for one peer and sends it by the peer's route. Until
// there is a session it goes as a GROUP packet to the peer's handle, so the
// first frame is not kept waiting for a handshake.
func (o *outbound) sealTo(t *table, now int64, p *peerView, buf []byte, off, n int, elide bool) {
	r := p.route.Load()
	p.touch(now, o.mailbox)
	p.count.txBytes.Add(uint64(n))
	switch {
	case r.session != nil:
		start := protocol.EncodeFrame(buf, off, n, elide)
		o.sealUnicast(r, buf, start, off+n)
	case t.list || t.group == nil || r.relay == nil || r.relay.hop.Load() == nil:
		o.mailbox.post(event{kind: eventStage, peer: p, raw: append([]byte(nil), buf[off:off+n]...)})
	default:
		start := protocol.EncodeFrame(buf, off, n, false)
		o.sealBroadcast(t, r, buf, start, off+n)
	}
}

// sealUnicast sends the inner buf[start:end] inside a session, in pieces if
// the path does not take it whole.
func (o *outbound) sealUnicast(r *route, buf []byte, start, end int) {
	limit := r.maxPacket() - protocol.HeaderLen - protocol.TagLen
	if end-start <= limit {
		ctr, err := r.session.Reserve(1)
		if err != nil {
			o.drops.drop(dropSessionWorn)
			return
		}
		from, to := o.sealPair(r.session, ctr, buf, start, end)
		o.transmit(r, buf, from, to)
		return
	}
	count := protocol.PieceCount(end-start, limit)
	if count == 0 {
		o.drops.drop(dropTooBig)
		return
	}
	ctr, err := r.session.Reserve(uint32(count))
	if err != nil {
		o.drops.drop(dropSessionWorn)
		return
	}
	for i := range count {
		o.reserve(1)
		b := o.borrow()
		piece := protocol.AppendPiece(b[:headroom], buf[start:end], i, count)
		from, to := o.sealPair(r.session, ctr+uint64(i), b, headroom, len(piece))
		o.transmit(r, b, from, to)
	}
}

// flood sends the frame buf[off:off+n] to every other edge.
func (o *outbound) flood(t *table, buf []byte, off, n int) {
	if t.group == nil {
		o.drops.drop(dropNoPath)
		return
	}
	start := protocol.EncodeFrame(buf, off, n, false)
	o.sealBroadcast(t, nil, buf, start, off+n)
}

// sealBroadcast sends the inner buf[start:end] as GROUP packets: along one
// route, or to everybody when to is nil. Every edge can open the same sealed
// bytes, so a flood is sealed once however many it reaches.
func (o *outbound) sealBroadcast(t *table, to *route, buf []byte, start, end int) {
	const limit = maxDatagramRelayed - protocol.RelayOverhead - protocol.HeaderLen - protocol.SaltLen - protocol.TagLen
	if end-start <= limit {
		ctr, err := t.group.Reserve(1)
		if err != nil {
			o.drops.drop(dropSessionWorn)
			return
		}
		from, end := o.sealGroup(t.group, ctr, buf, start, end)
		o.spread(t, to, buf, from, end)
		return
	}
	count := protocol.PieceCount(end-start, limit)
	if count == 0 {
		o.drops.drop(dropTooBig)
		return
	}
	ctr, err := t.group.Reserve(uint32(count))
	if err != nil {
		o.drops.drop(dropSessionWorn)
		return
	}
	for i := range count {
		o.reserve(1 + maxLinks)
		b := o.borrow()
		piece := protocol.AppendPiece(b[:headroom], buf[start:end], i, count)
		from, end := o.sealGroup(t.group, ctr+uint64(i), b, headroom, len(piece))
		o.spread(t, to, b, from, end)
	}
}

// spread sends the sealed GROUP packet buf[start:end] along one route, or to
// everybody: to the peers that have a direct path from here, and through the
// supernodes to the rest.
func (o *outbound) spread(t *table, to *route, buf []byte, start, end int) {
	if to != nil {
		o.transmit(to, buf, start, end)
		return
	}
	sent := false
	for _, p := range t.peers {
		if r := p.route.Load(); r.direct.IsValid() {
			o.add(transport.Datagram{Buf: buf[start:end], Addr: r.direct})
			sent = true
		}
	}
	o.reserve(len(t.links))
	for i, l := range t.links {
		h := l.hop.Load()
		if h == nil {
			continue
		}
		var flags protocol.Flags
		if h.directSet {
			flags = protocol.FlagExceptDirect
		}
		b := buf
		if i > 0 { // the room in front of buf holds the first one's header
			b = o.borrow()
			copy(b[start:end], buf[start:end])
		}
		sent = o.relay(h, protocol.HandleAll, flags, b, start, end) || sent
	}
	if !sent {
		o.drops.drop(dropNoPath)
	}
}
