package edge

import (
	"errors"
	"net/netip"
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

// How much travels at once: super-frames or frames in one burst from the device,
// buffers of datagrams in one read from the socket, entries in one write to it.
const (
	batchFrames    = 16
	batchBuffers   = 8
	batchDatagrams = 64
	bufferLen      = headroom + superFrameLen + tailroom
)

// superFrameLen is the longest frame that a device gives or takes: an IP packet
// of 65 535 bytes behind an Ethernet header with two VLAN tags, rounded up.
const superFrameLen = 1<<16 + 32

// dataPlane is what the data goroutines and the control loop share. Its
// fields are set by New and never change; what they point to is safe for
// concurrent use.
type dataPlane struct {
	self    protocol.MAC
	mask    *crypto.Mask // between edges
	tag     uint32       // of the community, in GROUP headers
	offset  time.Duration
	noRelay bool // frames wait rather than pass a supernode
	started time.Time

	table      atomic.Pointer[table]
	groupRx    *crypto.GroupReceiver
	fdb        *fdb
	drops      drops
	transforms transformDrops
	total      totals
	hello      *crypto.Mask // of HELLO and WELCOME
	mailbox    *mailbox

	groupPacket atomic.Int64 // bytes of the largest GROUP packet that reaches everybody; 0: the usual size
}

// since returns nanoseconds since the edge started, the data path's clock.
func (d *dataPlane) since(now time.Time) int64 { return int64(now.Sub(d.started)) }

// wall returns the wall clock that belongs to now.
func (d *dataPlane) wall(now time.Time) time.Time { return now.Add(d.offset) }

// wantedPayload returns the largest UDP payload in bytes that a device with that
// MTU makes: a full frame with an unfinished checksum. A path that takes less is
// used as well.
func wantedPayload(mtu int) int {
	return min(mtu+protocol.EthernetLen+3+protocol.HeaderLen+protocol.TagLen, maxDatagramIPv4)
}

// SuperFrame returns the longest super-frame, in bytes of its IP packet, that a
// device with that MTU should make for an edge: its segments, sealed, are one
// train. With the kernel's 64 KiB a second train of three datagrams follows
// every first, which costs as much to send as a full one.
func SuperFrame(mtu int) int {
	const headers = 20 + 32 // IPv4, TCP with timestamps
	segments := min(trainBytes/wantedPayload(mtu), trainDatagrams)
	return headers + segments*(wantedPayload(mtu)-protocol.HeaderLen-protocol.TagLen-3-protocol.EthernetLen-headers)
}

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
	*gather
	scratch *crypto.Scratch
	work    []byte // where packets are built that are not a frame's
}

func newSender(d *dataPlane, conn Conn, lane int) *sender {
	s := &sender{dataPlane: d, scratch: crypto.NewScratch(), work: make([]byte, headroom+protocol.MaxDatagram+tailroom)}
	s.gather = newGather(conn, lane, func(err error, batch []transport.Datagram) {
		d.drops.drop(dropSend)
		d.mailbox.noteSendError(err, batch)
	})
	return s
}

// put sends a datagram that is sealed and masked already; it is copied.
func (s *sender) put(to netip.AddrPort, pkt []byte) {
	copy(s.slot(to, len(pkt), 0), pkt)
}

// sealPair seals an inner as one DATA packet, under a counter that was reserved,
// and sends it by the paths of a route. It is sealed straight into the room that
// it is sent from. inner is only read.
func (s *sender) sealPair(session *crypto.Session, r *route, ttl uint8, ctr uint64, inner []byte) {
	h := dataHeader(session, ctr)
	n := protocol.HeaderLen + len(inner) + protocol.TagLen
	if !r.direct.IsValid() {
		slot, hop := s.relaySlot(r.relay, r.handle, 0, n)
		if slot == nil {
			s.drops.drop(dropNoPath)
			return
		}
		s.sealInto(session, slot[protocol.RelayOverhead:], h, inner)
		s.wrap(hop, slot)
		return
	}
	pkt := s.slot(r.direct, n, ttl)
	s.sealInto(session, pkt, h, inner)
	if r.dual {
		s.relay(r.relay, r.handle, 0, pkt)
	}
}

// sealOne is sealPair under a counter that it reserves. It returns how many packets
// were sent: none when the session is worn.
func (s *sender) sealOne(session *crypto.Session, r *route, ttl uint8, inner []byte) int {
	ctr, err := session.Reserve(1)
	if err != nil {
		s.drops.drop(dropSessionWorn)
		return 0
	}
	s.sealPair(session, r, ttl, ctr, inner)
	return 1
}

// sealPieces sends an inner that is too long for the path in pieces of one size,
// and returns how many: none if that cannot be done.
func (s *sender) sealPieces(r *route, inner []byte, limit int) int {
	count := protocol.PieceCount(len(inner), limit)
	if count == 0 {
		s.drops.drop(dropTooBig)
		return 0
	}
	ctr, err := r.session.Reserve(uint32(count))
	if err != nil {
		s.drops.drop(dropSessionWorn)
		return 0
	}
	for i := range count {
		piece := protocol.AppendPiece(s.work[:headroom], inner, i, count)
		s.sealPair(r.session, r, 0, ctr+uint64(i), piece[headroom:])
	}
	return count
}

// dataHeader returns the header of a DATA packet.
func dataHeader(session *crypto.Session, ctr uint64) protocol.Header {
	return protocol.Header{
		Type: protocol.TypeData, XF: protocol.Transform(session.XF()), KI: session.KI(),
		RX: session.RemoteIndex(), CTR: ctr,
	}
}

// sealInto fills pkt with a header and the sealed inner, masked.
func (s *sender) sealInto(session *crypto.Session, pkt []byte, h protocol.Header, inner []byte) {
	h.Put(pkt)
	session.SealTo(s.scratch, pkt[:protocol.HeaderLen], inner)
	s.mask.Hide(s.scratch, pkt)
}

// transmit sends a sealed packet by the paths of a route. It is copied.
func (s *sender) transmit(r *route, pkt []byte) {
	direct := r.direct.IsValid()
	if direct {
		s.put(r.direct, pkt)
	}
	if (!direct || r.dual) && !s.relay(r.relay, r.handle, 0, pkt) && !direct {
		s.drops.drop(dropNoPath)
	}
}

// relay sends a copy of a sealed packet through a supernode. It reports whether
// it is on its way.
func (s *sender) relay(l *linkView, handle uint32, flags protocol.Flags, pkt []byte) bool {
	slot, hop := s.relaySlot(l, handle, flags, len(pkt))
	if slot == nil {
		return false
	}
	copy(slot[protocol.RelayOverhead:], pkt)
	s.wrap(hop, slot)
	return true
}

// relaySlot returns room for a packet of n bytes inside a RELAY packet, whose
// header it writes; wrap has to follow. It is nil when the supernode cannot be
// reached.
func (s *sender) relaySlot(l *linkView, handle uint32, flags protocol.Flags, n int) ([]byte, *hopRoute) {
	if l == nil {
		return nil, nil
	}
	h := l.hop.Load()
	if h == nil {
		return nil, nil
	}
	ctr, err := h.session.ReserveRelay()
	if err != nil {
		s.drops.drop(dropSessionWorn)
		return nil, nil
	}
	slot := s.slot(h.addr, protocol.RelayOverhead+n, 0)
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags,
		RX: h.session.RemoteIndex(), CTR: protocol.RelayCTR(handle, ctr),
	}.Put(slot)
	return slot, h
}

// wrap tags and masks the RELAY packet in a slot, once the packet in it is
// sealed.
func (s *sender) wrap(h *hopRoute, slot []byte) {
	h.session.SealRelay(s.scratch, slot)
	h.mask.Hide(s.scratch, slot)
}

// sealGroup seals the inner buf[start:end] in place as one GROUP packet, under a
// counter that was reserved. The room in front of the inner and behind it is
// used.
func (s *sender) sealGroup(g *crypto.GroupSender, ctr uint64, buf []byte, start, end int) []byte {
	start -= protocol.HeaderLen + protocol.SaltLen
	protocol.Header{
		Type: protocol.TypeGroup, XF: protocol.Transform(g.XF()), KI: g.KI(), RX: s.tag, CTR: ctr,
	}.Put(buf[start:])
	pkt := g.Seal(s.scratch, buf[start:end])
	s.mask.Hide(s.scratch, pkt)
	return pkt
}
