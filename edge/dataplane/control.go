package dataplane

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// Sender seals and sends what the control loop has to say, and the frames that it
// let wait. It belongs to one goroutine. Packets gather in it until Flush.
type Sender struct {
	s      *sender
	staged *outbound
}

// NewSender returns a sender to a socket.
func (d *Plane) NewSender(conn Conn) *Sender {
	c := &Sender{s: newSender(d, conn, controlLane), staged: newOutbound(d, nil, conn)}
	c.s.next.alone = true // else the answers to a train would be one
	return c
}

// Scratch returns what opening and masking a packet needs, for packets that the
// control loop opens itself.
func (c *Sender) Scratch() *crypto.Scratch { return c.s.scratch }

// SealControl seals control messages, which build appends, as one DATA packet and
// sends it by the paths of a route, with a TTL of its own on the direct one if ttl
// is not 0.
func (c *Sender) SealControl(session *crypto.Session, r *Route, ttl uint8, build func([]byte) []byte) {
	c.s.sealOne(session, r, ttl, c.control(build)[headroom:])
}

// SealTrain is SealControl for count packets of one length, which leave as one train: each
// with what build appends for its number. There is room for 16 KiB.
func (c *Sender) SealTrain(session *crypto.Session, r *Route, count int, build func(b []byte, number int) []byte) {
	c.Flush()
	c.s.next.alone = false
	for i := range count {
		c.SealControl(session, r, 0, func(b []byte) []byte { return build(b, i) })
	}
	c.s.next.alone = true
}

// control returns control messages, which build appends, in the sender's own room
// and behind headroom.
func (c *Sender) control(build func([]byte) []byte) []byte {
	return build(protocol.AppendControl(c.s.work[:headroom]))
}

// SealOne is SealControl for an inner that is made already. It returns how many
// packets were sent: none when the session is worn.
func (c *Sender) SealOne(session *crypto.Session, r *Route, ttl uint8, inner []byte) int {
	return c.s.sealOne(session, r, ttl, inner)
}

// SealPieces seals an inner under the route's session and sends it in pieces of
// one size, none of more than limit bytes. It returns how many packets were sent:
// none if that cannot be done.
func (c *Sender) SealPieces(r *Route, inner []byte, limit int) int {
	return c.s.sealPieces(r, inner, limit)
}

// SealAlone seals control messages, which build appends, as one DATA packet that
// is not sent and is the caller's. It is nil when the session is worn.
func (c *Sender) SealAlone(session *crypto.Session, build func([]byte) []byte) []byte {
	ctr, err := session.Reserve(1)
	if err != nil {
		c.s.drops.Drop(DropSessionWorn)
		return nil
	}
	inner := c.control(build)[headroom:]
	pad := c.s.bounds.padding.of(inner, 0)
	pkt := make([]byte, protocol.HeaderLen+len(inner)+pad+protocol.TagLen)
	c.s.sealInto(session, pkt, dataHeader(session, ctr), inner, pad)
	return pkt
}

// SealHop seals control messages, which build appends, as one DATA packet for a
// supernode and sends it along a hop route.
func (c *Sender) SealHop(h HopRoute, build func([]byte) []byte) {
	ctr, err := h.Session.Reserve(1)
	if err != nil {
		c.s.drops.Drop(DropSessionWorn)
		return
	}
	buf := c.s.bounds.padding.padded(c.control(build), headroom, 0)[headroom-protocol.HeaderLen:]
	protocol.Header{
		Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: h.Session.RemoteIndex(), CTR: ctr,
	}.Put(buf)
	c.SendMasked(h.Mask, h.Addr, h.Session.Seal(c.s.scratch, buf))
}

// PingPad returns the padding of a short PING, so that if there is to be padding its PONG, which
// is as long, has no length by which it is known.
func (c *Sender) PingPad() int { return c.s.bounds.padding.pingPad() }

// SealGroup seals control messages, which build appends, as one GROUP packet that
// is masked and not sent, and is the caller's. It is nil when the salt is worn.
func (c *Sender) SealGroup(g *crypto.GroupSender, build func([]byte) []byte) []byte {
	ctr, err := g.Reserve(1)
	if err != nil {
		c.s.drops.Drop(DropSessionWorn)
		return nil
	}
	b := c.control(build)
	pkt := c.s.sealGroup(g, ctr, b, headroom, len(b))
	c.s.mask.Hide(c.s.scratch, pkt)
	return clone(pkt)
}

// SendPlain masks a copy of an unmasked packet between edges and sends it by the
// paths of a route.
func (c *Sender) SendPlain(r *Route, pkt []byte) {
	masked := append(c.s.work[:0], pkt...)
	c.s.mask.Hide(c.s.scratch, masked)
	c.s.transmit(r, masked)
}

// SendMasked masks a packet in place and sends it to an address.
func (c *Sender) SendMasked(mask *crypto.Mask, to netip.AddrPort, pkt []byte) {
	mask.Hide(c.s.scratch, pkt)
	c.Send(to, pkt)
}

// Send sends a datagram as it is. One to no valid address is lost.
func (c *Sender) Send(to netip.AddrPort, pkt []byte) {
	if to.IsValid() {
		c.s.put(to, netip.Addr{}, pkt)
	}
}

// Flush sends what has gathered, frames that waited first.
func (c *Sender) Flush() {
	c.staged.flush()
	c.s.flush()
}

// SendStaged sends frames that waited for a peer, along its route. They were
// counted when they came from the device. What still cannot be sent comes back as
// Staged.
func (c *Sender) SendStaged(now time.Time, p *Peer, frames [][]byte) {
	o := c.staged
	t := o.table.Load()
	for _, f := range frames {
		b := make([]byte, headroom+len(f)+tailroom)
		copy(b[headroom:], f)
		frame := protocol.Frame(f)
		elide := frame.Dst() == p.mac && frame.Src() == o.self
		o.sealTo(t, o.Since(now), p, &tap.Frame{Buf: b, Off: headroom, Len: len(f)}, elide)
	}
	o.cuts.addTo(&o.total)
	o.tally = tally{}
}

// WriteFrame hands the device a frame of the control loop's own. That the device refuses
// it is counted already.
func (d *Plane) WriteFrame(device FrameQueue, frame []byte) error {
	b := make([]byte, headroom+len(frame))
	copy(b[headroom:], frame)
	return d.write(device, []tap.Frame{{Buf: b, Off: headroom, Len: len(frame)}})
}

// Deliver hands the device the frame in an inner that the control loop has judged:
// that of a GROUP packet for whose salt nobody had vouched when it came. If nobody has
// now either, nothing is learned from it, and its source has to be the peer's own
// address: Deliver does nothing with the frame of a host behind the peer, and reports
// that it is one. inner is only read.
func (d *Plane) Deliver(now time.Time, device FrameQueue, p *Peer, inner []byte, vouched bool) (host bool) {
	if len(inner) == 0 || protocol.Kind(inner[0]>>6) != protocol.KindFrame {
		d.drops.Drop(DropInner)
		return false
	}
	b := make([]byte, headroom+len(inner))
	copy(b[headroom:], inner)
	off, n, in, err := protocol.DecodeFrame(b, headroom, len(b), d.self, p.mac)
	var frame bridge.Parsed
	if err != nil || !frame.Parse(b[off:off+n]) {
		d.drops.Drop(DropInner)
		return false
	}
	if t := d.table.Load(); t.closed && !d.guard.exchanges(t, d.Since(now), p, true, frame.Src()) || !d.guard.carries(&frame) {
		return false
	}
	own := frame.Src() == p.mac
	if !own && !vouched {
		return true
	}
	at := d.Since(now)
	if !d.accept(d.table.Load(), at, p, &frame, arrival{known: own, flooded: true, unvouched: !vouched}) {
		return false
	}
	group := frame.Dst().IsGroup()
	if group && !d.guard.listens(at, p, &frame, vouched) {
		return false
	}
	p.count.rxBytes.Add(uint64(n))
	d.total.rxFrames.Add(1)
	d.total.rxBytes.Add(uint64(n))
	if !group {
		p.touch(at, d.mailbox)
	}
	_ = d.write(device, []tap.Frame{{Buf: b, Off: off, Len: n, Offload: checksumOffload(in)}}) // counted
	return false
}
