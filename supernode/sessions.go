package supernode

import (
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/internal/timer"
)

// sweepPause is the time between two looks for dead sessions.
const sweepPause = 2 * time.Second

// sessions own the sessions with edges, by the index that edges address them with,
// and say what the end or the silence of one means for its registration.
type sessions struct {
	boot   uint8 // top byte of every index
	byIdx  map[uint32]*hop
	guests *guests
	lanes  lanes

	returning returning
	registry  *registry
	store     *store
	prober    *prober
	resetter  *resetter
	refused   *refusals
	log       *slog.Logger
	sweeping  timer.Timer
}

// freeIndex returns an unused index of this boot: a random one, or the next that is
// free. There are fewer sessions than indices, which bounds the steps.
func (s *sessions) freeIndex(random func() uint32) uint32 {
	bits := random()
	for ; ; bits++ {
		index := uint32(s.boot)<<24 | bits&0xffffff
		if _, used := s.byIdx[index]; !used {
			return index
		}
	}
}

// add enters a new session, which begins as a guest from an address, and ends the one
// that makes room for it.
func (s *sessions) add(h *hop, from netip.Addr) {
	s.byIdx[h.session.LocalIndex()] = h
	if displaced := s.guests.add(h, from); displaced != nil {
		s.refused.about(dropDisplaced, false, origin{addr: displaced.addr, source: displaced.source}, nil)
		s.remove(displaced)
	}
}

// remove removes a session. The caller removes it from its registration.
func (s *sessions) remove(h *hop) {
	if s.byIdx[h.session.LocalIndex()] != h {
		return
	}
	delete(s.byIdx, h.session.LocalIndex())
	if h.reg == nil {
		s.guests.remove(h)
	} else {
		s.lanes.leave(h.addr)
	}
}

// has reports whether a session is still in the table, so that it ends some day.
func (s *sessions) has(h *hop) bool { return s.byIdx[h.session.LocalIndex()] == h }

// adopt makes a guest the session of a registration, in the place of the one before.
// That one is still taken for packets in flight, unless it is itself in the place of
// another such: a registration has no more than two.
func (s *sessions) adopt(now time.Time, h *hop, r *registration) {
	if old := r.hop; old != nil {
		if old.before != nil {
			s.remove(old.before)
			old.before = nil
		}
		old.retired, h.before = now, old
	}
	r.hop = h
	if h.reg == nil {
		s.guests.remove(h)
		s.lanes.enter(h.addr)
	}
	h.reg = r
}

// confirm notes the first authentic packet of a session: it proves that the edge
// received RESP at the address that sent INIT.
func (s *sessions) confirm(now time.Time, h *hop) {
	h.visit.confirmed = true
	h.rtt = now.Sub(h.created)
	s.guests.confirm(h)
}

// find returns the session that a packet of size bytes names, or nil after dropping
// the packet.
func (s *sessions) find(now time.Time, out *outbox, size int, from netip.AddrPort, index uint32) *hop {
	h := s.byIdx[index]
	switch {
	case h == nil:
		s.refused.about(dropUnknownSession, false, out.origin(from), nil)
		s.resetter.answer(now, out, size, from, index)
		return nil
	case h.dead(now):
		s.refused.about(dropExpiredSession, false, out.origin(from), h)
		return nil
	}
	return h
}

// heard notes that an authentic packet of size bytes came from an edge. Nothing that
// we know of the edge changes before. It reports whether the address that it came from
// is to be asked now to prove itself (prober.send, prober.sendWith). By which key of ours the
// edge knows us says its session alone: whoever knows our keys can change the mask of a packet
// on its way.
func (s *sessions) heard(now time.Time, out *outbox, h *hop, from netip.AddrPort, size int) (prove bool) {
	h.heard = now
	if from == h.addr {
		h.us.local = out.came.us.local
	}
	if !h.retired.IsZero() {
		return false // the newer session knows the edge's address
	}
	if h.reg != nil && now.Sub(h.kept) >= streamKeepPause {
		s.keepStream(now, out, h)
	}
	if r := h.reg; r != nil && r.place < 0 {
		s.registry.setOnline(r)
		s.store.save(r)
	}
	if from == h.addr {
		return false
	}
	out.admit(from, streamSession)
	back := out.back(from)
	back.us.key = h.us.key
	return s.prober.heard(now, h, back, size)
}

// keepStream lets the stream stay by which a registered edge comes, if it comes by one.
func (s *sessions) keepStream(now time.Time, out *outbox, h *hop) {
	h.kept = now
	out.admit(h.addr, streamRegistered)
}

// end ends a session. If it was the current one of a registration, the edge is
// offline from now on.
func (s *sessions) end(h *hop) {
	s.remove(h)
	if h.before != nil {
		s.remove(h.before)
	}
	if r := h.reg; r != nil && r.hop == h {
		s.registry.setOffline(r)
		r.hop = nil
		s.store.save(r)
	}
}

// sweep ends dead sessions and takes silent edges offline.
func (s *sessions) sweep(now time.Time) {
	s.sweeping.Set(now.Add(sweepPause))
	full := s.guests.full()
	for _, h := range s.byIdx {
		if h.dead(now) || h.reg == nil && s.guests.overstays(now, h, full) {
			s.end(h)
			continue
		}
		if r := h.reg; r != nil && r.hop == h && r.place >= 0 && now.Sub(h.heard) > offlineTime {
			s.registry.setOffline(r)
			s.store.save(r)
			s.log.Debug("edge is silent", "mac", r.mac.String(), "address", r.addr)
		}
	}
}
