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
	boot      uint8 // top byte of every index
	byIdx     map[uint32]*hop
	guests    int // sessions without a registration
	maxGuests int

	registry *registry
	store    *store
	prober   *prober
	resetter *resetter
	refused  *refusals
	log      *slog.Logger
	sweeping timer.Timer
}

// freeIndex returns an unused index of this boot, made from random bits.
func (s *sessions) freeIndex(random func() uint32) uint32 {
	for {
		index := uint32(s.boot)<<24 | random()&0xffffff
		if _, used := s.byIdx[index]; !used {
			return index
		}
	}
}

// room reports whether there is room for one more guest.
func (s *sessions) room() bool { return s.guests < s.maxGuests }

// add enters a new session, which begins as a guest.
func (s *sessions) add(h *hop) {
	s.byIdx[h.session.LocalIndex()] = h
	s.guests++
}

// remove removes a session. The caller removes it from its registration.
func (s *sessions) remove(h *hop) {
	if s.byIdx[h.session.LocalIndex()] != h {
		return
	}
	delete(s.byIdx, h.session.LocalIndex())
	if h.reg == nil {
		s.guests--
	}
}

// has reports whether a session is still in the table, so that it ends some day.
func (s *sessions) has(h *hop) bool { return s.byIdx[h.session.LocalIndex()] == h }

// adopt makes a guest the session of a registration.
func (s *sessions) adopt(h *hop, r *registration) {
	if h.reg == nil {
		s.guests--
	}
	h.reg = r
}

// find returns the session that a packet of size bytes names, or nil after dropping
// the packet.
func (s *sessions) find(now time.Time, out *outbox, size int, from netip.AddrPort, index uint32) *hop {
	h := s.byIdx[index]
	switch {
	case h == nil:
		s.refused.about(dropUnknownSession, false, out.origin(from), nil)
		if uint8(index>>24) != s.boot {
			s.resetter.answer(now, out, size, from, index)
		}
		return nil
	case h.dead(now):
		s.refused.about(dropExpiredSession, false, out.origin(from), h)
		return nil
	}
	return h
}

// heard notes that an authentic packet of size bytes came from an edge. Nothing that
// we know of the edge changes before.
func (s *sessions) heard(now time.Time, out *outbox, h *hop, from netip.AddrPort, size int) {
	h.heard = now
	if !h.retired.IsZero() {
		return // the newer session knows the edge's address
	}
	if r := h.reg; r != nil && r.place < 0 {
		s.registry.setOnline(r)
		s.store.save(r)
	}
	if from != h.addr {
		out.admit(from)
		s.prober.heard(now, out, h, from, size)
	}
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

// sweep ends dead sessions and takes silent edges offline. When guests fill most of
// their table, none stays longer than a silent one would, since an attacker could
// keep all places by sending now and then.
func (s *sessions) sweep(now time.Time) {
	s.sweeping.Set(now.Add(sweepPause))
	crowded := s.guests > s.maxGuests*3/4
	for _, h := range s.byIdx {
		if h.dead(now) || crowded && h.reg == nil && now.Sub(h.created) > guestTime {
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
