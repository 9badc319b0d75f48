package edge

import (
	"errors"
	"sync/atomic"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// Room that a packet needs around the frame it carries. In front: a relay
// header with its tag, a packet header, a salt and the inner's first byte;
// behind: the AEAD tag.
const (
	headroom = protocol.RelayOverhead + protocol.HeaderLen + protocol.SaltLen + 16
	tailroom = protocol.TagLen + 16
)

// How much travels at once.
const (
	batchFrames    = 32
	batchDatagrams = 64
	bufferLen      = headroom + MaxMTU + 64 + tailroom
)

// dataPlane is what the data goroutines and the control loop share. Its
// fields are set by New and never change; what they point to is safe for
// concurrent use.
type dataPlane struct {
	device  Device
	conn    Conn
	self    protocol.MAC
	mask    *crypto.Mask // between edges
	tag     uint32       // of the community, in GROUP headers
	offset  time.Duration
	started time.Time

	table      atomic.Pointer[table]
	groupRx    *crypto.GroupReceiver
	fdb        *fdb
	drops      drops
	transforms transformDrops
	total      totals
	hello      *crypto.Mask // of HELLO and WELCOME
	mailbox    *mailbox
}

// since returns nanoseconds since the edge started, the data path's clock.
func (d *dataPlane) since(now time.Time) int64 { return int64(now.Sub(d.started)) }

// wall returns the wall clock that belongs to now.
func (d *dataPlane) wall(now time.Time) time.Time { return now.Add(d.offset) }

// dropOpen counts a packet that a session refused.
func (d *dataPlane) dropOpen(err error) {
	if errors.Is(err, crypto.ErrReplay) {
		d.drops.drop(dropReplay)
		return
	}
	d.drops.drop(dropOpen)
}

// sender numbers, seals and sends packets. Each goroutine that sends has its
// own; packets gather in it until flush.
type sender struct {
	*dataPlane
	scratch *crypto.Scratch
	batch   []transport.Datagram
	spare   [][]byte // buffers for packets that do not lie in a frame's own
	used    int      // how many of them the batch refers to
}

func newSender(d *dataPlane) *sender {
	s := &sender{dataPlane: d, scratch: crypto.NewScratch(), batch: make([]transport.Datagram, 0, batchDatagrams)}
	for range batchFrames {
		s.spare = append(s.spare, make([]byte, headroom+protocol.MaxDatagram+tailroom))
	}
	return s
}

// flush sends what has gathered. A datagram that the network refuses is
// dropped and counted; its path is found dead by its missing pongs.
func (s *sender) flush() {
	s.used = 0
	if len(s.batch) == 0 {
		return
	}
	if _, err := s.conn.WriteBatch(s.batch); err != nil {
		s.drops.drop(dropSend)
		s.mailbox.noteSendError(err, s.batch)
	}
	s.batch = s.batch[:0]
}

// reserve makes sure that n spare buffers can be borrowed without a flush in
// between, which would give away those borrowed before.
func (s *sender) reserve(n int) {
	if s.used+n > len(s.spare) {
		s.flush()
	}
}

// borrow returns a spare buffer that is ours until the next flush. The caller
// has reserved it.
func (s *sender) borrow() []byte {
	b := s.spare[s.used]
	s.used++
	return b
}

func (s *sender) add(d transport.Datagram) {
	d.N = len(d.Buf)
	s.batch = append(s.batch, d)
}

// transmit sends the sealed packet buf[start:end] by the paths of a route.
// The room in front of it is used for the relay's header.
func (s *sender) transmit(r *route, buf []byte, start, end int) {
	direct := r.direct.IsValid()
	if direct {
		s.add(transport.Datagram{Buf: buf[start:end], Addr: r.direct})
	}
	if direct && !r.dual {
		return
	}
	if r.relay == nil || !s.relay(r.relay.hop.Load(), r.handle, 0, buf, start, end) {
		if !direct {
			s.drops.drop(dropNoPath)
		}
	}
}

// relay wraps the sealed packet buf[start:end] for a supernode, in the room
// in front of it. It reports whether the packet is on its way.
func (s *sender) relay(h *hopRoute, handle uint32, flags protocol.Flags, buf []byte, start, end int) bool {
	if h == nil {
		return false
	}
	ctr, err := h.session.ReserveRelay()
	if err != nil {
		s.drops.drop(dropSessionWorn)
		return false
	}
	pkt := buf[start-protocol.RelayOverhead : end]
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags,
		RX: h.session.RemoteIndex(), CTR: protocol.RelayCTR(handle, ctr),
	}.Put(pkt)
	h.session.SealRelay(s.scratch, pkt)
	h.mask.Hide(s.scratch, pkt)
	s.add(transport.Datagram{Buf: pkt, Addr: h.addr})
	return true
}

// sealPair seals the inner buf[start:end] as one DATA packet with a counter
// that was reserved, and returns the packet's bounds.
func (s *sender) sealPair(session *crypto.Session, ctr uint64, buf []byte, start, end int) (int, int) {
	start -= protocol.HeaderLen
	protocol.Header{
		Type: protocol.TypeData, XF: protocol.Transform(session.XF()), KI: session.KI(),
		RX: session.RemoteIndex(), CTR: ctr,
	}.Put(buf[start:])
	pkt := session.Seal(s.scratch, buf[start:end])
	s.mask.Hide(s.scratch, pkt)
	return start, start + len(pkt)
}

// sealGroup seals the inner buf[start:end] as one GROUP packet with a counter
// that was reserved, and returns the packet's bounds.
func (s *sender) sealGroup(g *crypto.GroupSender, ctr uint64, buf []byte, start, end int) (int, int) {
	start -= protocol.HeaderLen + protocol.SaltLen
	protocol.Header{
		Type: protocol.TypeGroup, XF: protocol.Transform(g.XF()), KI: g.KI(), RX: s.tag, CTR: ctr,
	}.Put(buf[start:])
	pkt := g.Seal(s.scratch, buf[start:end])
	s.mask.Hide(s.scratch, pkt)
	return start, start + len(pkt)
}
