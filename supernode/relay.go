package supernode

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Traffic counts what was relayed.
type Traffic struct {
	// Packets and Bytes are the unicast packets taken for relaying and their
	// size without our header.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Floods are the packets taken for the whole community; each went out as
	// many times as there were members to send it to.
	Floods uint64 `json:"floods"`
}

// relay passes a packet on to another member of the sender's community. It
// checks the hop tag, the replay window, the handle and the budgets, and
// re-heads the packet where it lies; what is inside is none of its business.
func (s *Server) relay(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	edge := s.session(now, out, len(pkt), from, h.RX)
	if edge == nil {
		return
	}
	src := edge.reg
	if src == nil {
		s.drops.drop(dropUnregistered)
		return
	}
	if len(pkt) < protocol.RelayOverhead+shortest {
		s.drops.drop(dropShort)
		return
	}
	packet, err := edge.session.OpenRelay(out.sc, pkt)
	if err != nil {
		s.drops.drop(dropRelayTag)
		return
	}
	s.heard(now, out, edge, from, len(pkt))
	handle, _ := protocol.SplitRelayCTR(h.CTR)
	if handle == protocol.HandleAll {
		s.prepareFlood(now, out, edge, packet, h.Flags)
		return
	}
	dst := s.registry.member(src.community, handle)
	if dst == nil || dst == src || dst.place < 0 || h.Flags != 0 {
		s.drops.drop(dropRelayTarget)
		return
	}
	c, size := src.community, float64(len(packet))
	if !src.budget.bytes.take(now, size, s.cfg.Limits.EdgeBytes, s.cfg.Limits.EdgeBytes) ||
		!c.bytes.take(now, size, s.cfg.Limits.CommunityBytes, s.cfg.Limits.CommunityBytes) {
		s.drops.drop(dropRelayBudget)
		return
	}
	c.traffic.Packets++
	c.traffic.Bytes += uint64(len(packet))
	s.sendRelay(out, pkt, src.handle, target{session: dst.hop.session, addr: dst.hop.addr})
}

// target is where a relayed packet goes.
type target struct {
	session *crypto.HopSession
	addr    netip.AddrPort
}

// sendRelay gives a packet the header of its receiver and sends it. pkt has
// room for header and hop tag in front.
func (s *Server) sendRelay(out *outbox, pkt []byte, handle uint32, to target) {
	counter, err := to.session.ReserveRelay()
	if err != nil {
		s.drops.drop(dropSessionWorn)
		return
	}
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone,
		RX: to.session.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter),
	}.Put(pkt)
	to.session.SealRelay(out.sc, pkt)
	out.send(pkt, to.addr)
}

// flood is one packet on its way to a whole community.
type flood struct {
	packet  []byte // in the buffer that it was read into
	handle  uint32 // of its sender
	targets []target
}

// prepareFlood lists the receivers of a flood. It is sent once the mutex is
// free: a large community takes a while.
func (s *Server) prepareFlood(now time.Time, out *outbox, edge *hop, packet []byte, flags protocol.Flags) {
	src := edge.reg
	c := src.community
	if flags&^protocol.FlagExceptDirect != 0 {
		s.drops.drop(dropRelayTarget)
		return
	}
	if !src.budget.floods.take(now, 1, s.cfg.Limits.EdgeFloods, s.cfg.Limits.EdgeFloods) ||
		!c.floods.take(now, 1, s.cfg.Limits.CommunityFloods, s.cfg.Limits.CommunityFloods) {
		s.drops.drop(dropRelayBudget)
		return
	}
	c.traffic.Floods++
	f := &out.flood
	f.packet, f.handle, f.targets = packet, src.handle, f.targets[:0]
	for _, r := range c.online {
		if r == src {
			continue
		}
		if flags&protocol.FlagExceptDirect != 0 {
			if _, direct := slices.BinarySearch(edge.direct, r.handle); direct {
				continue
			}
		}
		f.targets = append(f.targets, target{session: r.hop.session, addr: r.hop.addr})
	}
}

// sendFlood sends the flood that was prepared: a copy for each receiver, since
// sealing and masking change the first 32 bytes. What was queued before goes
// out first, so that the order of one sender's packets is kept.
func (s *Server) sendFlood(out *outbox) {
	out.flush(s.cfg.Conn, &s.drops)
	f := &out.flood
	for _, to := range f.targets {
		pkt := append(out.buffer()[:protocol.RelayOverhead], f.packet...)
		s.sendRelay(out, pkt, f.handle, to)
		if out.full() {
			out.flush(s.cfg.Conn, &s.drops)
		}
	}
	out.flush(s.cfg.Conn, &s.drops)
	f.targets = f.targets[:0]
}
