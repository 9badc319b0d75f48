package supernode

import (
	"net/netip"

	"hedgerow/internal/handover"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// stateVersion is the version of what HandOver writes and Resume reads. Whatever changes
// in it makes another version: the two ends are of one version, or do without each other.
const stateVersion = 4

// drainMost is how many INITs and how many REGISTERs that wait are answered before the
// state is written. The senders of the others send them again.
const drainMost = 32

// HandOver gives the state to another process: sessions with their keys, counters and
// windows, and registrations. Nothing is read, sent or
// changed from then on until give returns; what arrives waits in the socket. If give
// succeeds, which says that the other process serves now, Run ends and writes what waits
// for the disk. If it fails, everything goes on.
//
// Sessions by streams are handed over, and the streams are not: they end with Run, and
// their edges open new ones.
func (s *Server) HandOver(give func(state []byte) error) error {
	return s.sockets.gate.Hold(func() error {
		s.finish()
		return s.relayer.months.keeper.GiveAway(func() error { return give(s.state()) })
	})
}

// finish does what is begun and belongs to nobody's state: INITs and REGISTERs that were
// read are answered, and answers that wait are sent. Nobody else is in the gate.
func (s *Server) finish() {
	a, out := s.strangers.handshakes.answerer, newOutbox()
	for range drainMost {
		in, ok := a.waiting(s.cfg.Now())
		if !ok {
			break
		}
		a.answer(s.cfg.Now(), out, &in)
		s.sockets.flush(out)
	}
	for range drainMost {
		in, ok := s.controls.registrar.proofs.waiting.waiting(s.cfg.Now())
		if !ok {
			break
		}
		s.controls.prove(s.cfg.Now, out, &in)
		s.sockets.flush(out)
	}
	for {
		select {
		case b := <-s.sockets.replies.waiting:
			s.sockets.sendReplies(b.conn, b.datagrams())
		default:
			return
		}
	}
}

// stateWriter writes a state.
type stateWriter struct {
	handover.Writer
	has    func(*hop) bool // a session is still there
	former *serverKey      // of ours; nil: there is none
}

// state writes everything that the successor needs.
//
//	version u32 | static key 32 | boot u8 | reset keys 256*32 | drops | refused handshakes | RESETs of the start |
//	communities | registrations, each with up to two sessions | guests
func (s *Server) state() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &stateWriter{Writer: handover.Writer{Now: s.cfg.Now()}, has: s.sessions.has, former: s.sockets.keys.former}
	w.U32(stateVersion)
	w.Fixed(s.sockets.keys.own.identity.Static[:])
	w.U8(s.sessions.boot)
	for i := range s.controls.registrar.resetKeys {
		w.Fixed(s.controls.registrar.resetKeys[i][:])
	}
	w.counters(s.refused.drops.nonzero())
	w.counters(s.refused.failures.AddTo(make(map[string]uint64)))
	w.resets(&s.notices.resets)
	w.registry(s.registry, &s.notices.pushes)
	guests := make([]*hop, 0, s.sessions.guests.count())
	for _, h := range s.sessions.byIdx {
		if h.reg == nil {
			guests = append(guests, h)
		}
	}
	w.U32(uint32(len(guests)))
	for _, h := range guests {
		w.hop(h)
	}
	return w.B
}

// counters writes counters by their names: another version has others.
func (w *stateWriter) counters(counted map[string]uint64) {
	w.U32(uint32(len(counted)))
	for name, n := range counted {
		w.Bytes([]byte(name))
		w.U64(n)
	}
}

// resets writes the RESETs of the start that have not been sent.
func (w *stateWriter) resets(q *resets) {
	w.U8(uint8(q.round))
	w.U32(uint32(q.next))
	w.U32(uint32(len(q.list)))
	for _, t := range q.list {
		w.U32(t.index)
		w.AddrPort(t.addr)
	}
}

// registry writes communities and registrations.
func (w *stateWriter) registry(g *registry, pushes *pushes) {
	numbers := make(map[*community]uint32, len(g.communities))
	w.U32(uint32(len(g.communities)))
	for _, c := range g.communities {
		numbers[c] = uint32(len(numbers))
		w.Fixed(c.id[:])
		w.Fixed(c.nameHash[:])
		w.Addr(c.crowd.source)
		w.Flag(c.late)
		w.Time(c.crowd.since)
		w.budget(&c.budget)
	}
	w.U64(g.totals.accepted)
	w.traffic(g.totals.traffic)
	w.U32(uint32(len(g.all)))
	for _, r := range g.all {
		w.U32(numbers[r.community])
		w.registration(r)
		w.Flag(pushes.waiting[r] != nil)
	}
}

// registration writes a registration with its sessions.
func (w *stateWriter) registration(r *registration) {
	w.Fixed(r.mac[:])
	w.Fixed(r.owner[:])
	w.U32(r.handle)
	w.Bytes(r.statement)
	w.U64(r.seq)
	w.Prefix(r.lease)
	w.Addr(r.seat.source)
	w.Time(r.seat.since)
	w.U64(uint64(r.seat.present))
	w.Time(r.seat.expires)
	w.Time(r.seat.left)
	w.U32(uint32(len(r.candidates)))
	for _, a := range r.candidates {
		w.AddrPort(a)
	}
	w.U32(r.features)
	w.AddrPort(lasting(r.addr))
	w.Flag(r.announceOwner)
	w.budget(&r.budget)
	w.Flag(r.place >= 0)
	w.Flag(r.hop != nil)
	if r.hop == nil {
		return
	}
	w.hop(r.hop)
	lives := r.hop.before != nil && w.has(r.hop.before)
	w.Flag(lives)
	if lives {
		w.hop(r.hop.before)
	}
}

// budget writes what a budget has counted, and not what is left of it.
func (w *stateWriter) budget(b *relayBudget) {
	w.traffic(b.traffic)
	w.Flag(b.excess != nil)
	if e := b.excess; e != nil {
		w.U64(e.packets)
		w.Time(e.last)
		w.U8(e.what)
	}
}

func (w *stateWriter) traffic(t admin.Traffic) {
	w.U64(t.Packets)
	w.U64(t.Bytes)
	w.U64(t.Floods)
	w.U64(t.FloodBytes)
}

// hop writes a session. An address that is asked to prove itself is asked again.
func (w *stateWriter) hop(h *hop) {
	w.Time(h.created)
	w.B = h.session.AppendState(w.B)
	w.Time(h.heard)
	w.Time(h.retired)
	w.AddrPort(lasting(h.addr))
	w.Addr(h.us.local)
	w.Flag(w.former != nil && h.us.key == w.former)
	w.Addr(h.source)
	w.U64(uint64(h.rtt))
	w.Fixed(h.visit.hash[:])
	w.Flag(h.visit.confirmed)
	w.U32(uint32(len(h.others.direct)))
	for _, handle := range h.others.direct {
		w.U32(handle)
	}
}

// lasting returns an address as another process knows it: no stream lasts.
func lasting(a netip.AddrPort) netip.AddrPort {
	if transport.IsSide(a.Addr()) {
		return transport.EndedSide()
	}
	return a
}
