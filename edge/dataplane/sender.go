package dataplane

import (
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// sender numbers, seals and sends packets. Each goroutine that sends has its
// own; packets gather in it until flush.
type sender struct {
	*Plane
	*gather
	scratch *crypto.Scratch
	work    []byte // where packets are built that are not a frame's
}

func newSender(d *Plane, conn Conn, lane int) *sender {
	s := &sender{Plane: d, scratch: crypto.NewScratch(), work: make([]byte, headroom+protocol.MaxDatagram+tailroom)}
	s.gather = newGather(conn, lane, func(err error, batch []transport.Datagram) {
		d.drops.Drop(DropSend)
		d.mailbox.noteSendError(err, batch)
	})
	return s
}

// put sends a datagram that is sealed and masked already; it is copied.
func (s *sender) put(to netip.AddrPort, local netip.Addr, pkt []byte) {
	copy(s.slot(to, local, len(pkt), 0), pkt)
}

// sealPair seals an inner as one DATA packet, under a counter that was reserved,
// and sends it by the paths of a route. It is sealed straight into the room that
// it is sent from. inner is only read.
func (s *sender) sealPair(session *crypto.Session, r *Route, ttl uint8, ctr uint64, inner []byte) {
	h, pad := dataHeader(session, ctr), 0
	if s.bounds.padding != PaddingOff {
		pad = s.bounds.padding.of(inner, r.MaxInner())
	}
	n := protocol.HeaderLen + len(inner) + pad + protocol.TagLen
	if r.Dual || r.Spare != nil {
		s.reserve(3, protocol.RelayOverhead+n) // the copies are made of what is in the first slot
	}
	if !r.Direct.IsValid() {
		slot, hop := s.relaySlot(r.Supernode, r.Handle, 0, n)
		spare := r.Spare
		if slot == nil {
			slot, hop = s.relaySlot(spare, r.SpareAs, 0, n)
			spare = nil
		}
		if slot == nil {
			s.drops.Drop(DropNoPath)
			return
		}
		s.sealInto(session, slot[protocol.RelayOverhead:], h, inner, pad)
		s.wrap(hop, slot)
		s.relay(spare, r.SpareAs, 0, slot[protocol.RelayOverhead:])
		return
	}
	pkt := s.slot(r.Direct, r.Local, n, ttl)
	s.sealInto(session, pkt, h, inner, pad)
	if r.Dual {
		s.relayBy(r, pkt)
	}
}

// sealOne is sealPair under a counter that it reserves. It returns how many packets
// were sent: none when the session is worn.
func (s *sender) sealOne(session *crypto.Session, r *Route, ttl uint8, inner []byte) int {
	ctr, err := session.Reserve(1)
	if err != nil {
		s.drops.Drop(DropSessionWorn)
		return 0
	}
	s.sealPair(session, r, ttl, ctr, inner)
	return 1
}

// sealPieces sends an inner that is too long for the path in pieces of one size,
// and returns how many: none if that cannot be done.
func (s *sender) sealPieces(r *Route, inner []byte, limit int) int {
	count := protocol.PieceCount(len(inner), limit)
	if count == 0 {
		s.drops.Drop(DropTooBig)
		return 0
	}
	ctr, err := r.Session.Reserve(uint32(count))
	if err != nil {
		s.drops.Drop(DropSessionWorn)
		return 0
	}
	for i := range count {
		piece := protocol.AppendPiece(s.work[:headroom], inner, i, count)
		s.sealPair(r.Session, r, 0, ctr+uint64(i), piece[headroom:])
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

// sealInto fills pkt with a header and the sealed inner, which is made pad bytes longer, masked.
func (s *sender) sealInto(session *crypto.Session, pkt []byte, h protocol.Header, inner []byte, pad int) {
	h.Put(pkt)
	if pad > 0 { // behind the inner there may be the next frame
		inner = protocol.AppendPadding(append(pkt[protocol.HeaderLen:protocol.HeaderLen], inner...), pad)
	}
	session.SealTo(s.scratch, pkt[:protocol.HeaderLen], inner)
	s.mask.Hide(s.scratch, pkt)
}

// transmit sends a sealed packet by the paths of a route. It is copied.
func (s *sender) transmit(r *Route, pkt []byte) {
	direct := r.Direct.IsValid()
	if direct {
		s.put(r.Direct, r.Local, pkt)
	}
	if (!direct || r.Dual) && !s.relayBy(r, pkt) && !direct {
		s.drops.Drop(DropNoPath)
	}
}

// relayBy sends a copy of a sealed packet through the supernodes of a route. It reports
// whether one was sent.
func (s *sender) relayBy(r *Route, pkt []byte) bool {
	sent := s.relay(r.Supernode, r.Handle, 0, pkt)
	return s.relay(r.Spare, r.SpareAs, 0, pkt) || sent
}

// relay sends a copy of a sealed packet through a supernode. It reports whether
// it was sent.
func (s *sender) relay(l *Supernode, handle uint32, flags protocol.Flags, pkt []byte) bool {
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
// reached, or there is none (nil).
func (s *sender) relaySlot(l *Supernode, handle uint32, flags protocol.Flags, n int) ([]byte, *HopRoute) {
	if l == nil {
		return nil, nil
	}
	h := l.hop.Load()
	if h == nil {
		return nil, nil
	}
	ctr, err := h.Session.ReserveRelay()
	if err != nil {
		s.drops.Drop(DropSessionWorn)
		return nil, nil
	}
	tos, alone := s.next.tos, s.next.alone
	if s.next.alone = false; !h.ECN {
		s.next.tos &^= ecnMask
	}
	slot := s.slot(h.Addr, netip.Addr{}, protocol.RelayOverhead+n, 0)
	s.next.tos, s.next.alone = tos, alone
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags,
		RX: h.Session.RemoteIndex(), CTR: protocol.RelayCTR(handle, ctr),
	}.Put(slot)
	return slot, h
}

// wrap tags and masks the RELAY packet in a slot, once the packet in it is
// sealed.
func (s *sender) wrap(h *HopRoute, slot []byte) {
	h.Session.SealRelay(s.scratch, slot)
	h.Mask.Hide(s.scratch, slot)
}

// sealGroup seals the inner buf[start:end] in place as one GROUP packet, under a
// counter that was reserved. The room in front of the inner and behind it is
// used. The packet is not masked: each copy of it is for itself.
func (s *sender) sealGroup(g *crypto.GroupSender, ctr uint64, buf []byte, start, end int) []byte {
	start -= protocol.HeaderLen + protocol.SaltLen
	protocol.Header{
		Type: protocol.TypeGroup, XF: protocol.Transform(g.XF()), KI: g.KI(), RX: s.tag, CTR: ctr,
	}.Put(buf[start:])
	return g.Seal(s.scratch, buf[start:end])
}

// copyGroup fills a slot with a copy of a sealed GROUP packet, masked unlike any
// other copy.
func (s *sender) copyGroup(slot, pkt []byte) {
	copy(slot, pkt)
	crypto.Vary(slot)
	s.mask.Hide(s.scratch, slot)
}

// putGroup sends a copy of a sealed GROUP packet by the direct path of a route.
func (s *sender) putGroup(r *Route, pkt []byte) {
	s.next.alone = r.Alone
	s.copyGroup(s.slot(r.Direct, r.Local, len(pkt), 0), pkt)
}

// relayGroup sends a copy of a sealed GROUP packet through a supernode. It reports
// whether it was sent.
func (s *sender) relayGroup(l *Supernode, handle uint32, flags protocol.Flags, pkt []byte) bool {
	slot, hop := s.relaySlot(l, handle, flags, len(pkt))
	if slot == nil {
		return false
	}
	s.copyGroup(slot[protocol.RelayOverhead:], pkt)
	s.wrap(hop, slot)
	return true
}

// transmitGroup sends copies of a sealed GROUP packet by the paths of a route.
func (s *sender) transmitGroup(r *Route, pkt []byte) {
	direct := r.Direct.IsValid()
	if direct {
		s.putGroup(r, pkt)
	}
	if (!direct || r.Dual) && !s.relayGroupBy(r, pkt) && !direct {
		s.drops.Drop(DropNoPath)
	}
}

// relayGroupBy is relayBy for a sealed GROUP packet.
func (s *sender) relayGroupBy(r *Route, pkt []byte) bool {
	sent := s.relayGroup(r.Supernode, r.Handle, 0, pkt)
	return s.relayGroup(r.Spare, r.SpareAs, 0, pkt) || sent
}

// relayToAll sends a copy of a sealed GROUP packet through each supernode to everybody
// whom we do not serve ourselves. It reports whether one was sent.
func (s *sender) relayToAll(t *Table, pkt []byte) (sent bool) {
	for _, l := range t.supernodes {
		h := l.hop.Load()
		if h == nil || s.bounds.noRelay {
			continue
		}
		var flags protocol.Flags
		if h.DirectSet {
			flags = protocol.FlagExceptDirect
		}
		sent = s.relayGroup(l, protocol.HandleAll, flags, pkt) || sent
	}
	return sent
}
