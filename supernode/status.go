package supernode

import (
	"cmp"
	"slices"
	"time"

	"hedgerow/supernode/admin"
)

// Status returns the present state. It may be called from any goroutine.
func (s *Server) Status() admin.Status {
	now := s.cfg.Now()
	st := admin.Status{
		Version:  s.cfg.Version,
		Listen:   s.cfg.Conn.LocalAddr(),
		Key:      KeyText(s.Key()),
		UptimeS:  now.Sub(s.health.started).Round(time.Millisecond).Seconds(),
		Drops:    s.refused.reasons(),
		SetAside: s.store.setAside,
	}
	if s.cfg.Streams != nil {
		streams := s.cfg.Streams.Status()
		st.Streams = &streams
	}
	s.mu.Lock()
	st.Notes = s.health.notes(now)
	st.Edges, st.Leases = s.registry.online, len(s.registry.byHandle)
	st.Sessions, st.Guests = len(s.sessions.byIdx), s.sessions.guests.count()
	st.Communities = make([]admin.CommunityStatus, 0, len(s.registry.communities))
	ids := make([][16]byte, 0, len(s.registry.communities))
	for id, c := range s.registry.communities {
		ids = append(ids, id)
		st.Communities = append(st.Communities, admin.CommunityStatus{
			Edges: len(c.online), Leases: len(c.byMAC), Pool: c.pool, Relayed: c.traffic,
		})
	}
	s.mu.Unlock()
	for i, id := range ids { // without the mutex: there may be 65 536
		st.Communities[i].ID = communityText(id)
	}
	slices.SortFunc(st.Communities, func(a, b admin.CommunityStatus) int {
		return cmp.Or(b.Edges-a.Edges, cmp.Compare(a.ID, b.ID))
	})
	return st
}
