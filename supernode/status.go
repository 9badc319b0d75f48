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
		UptimeS:  now.Sub(s.started).Round(time.Millisecond).Seconds(),
		Drops:    s.refused.reasons(),
		SetAside: s.store.setAside,
	}
	if s.cfg.Streams != nil {
		streams := s.cfg.Streams.Status()
		st.Streams = &streams
	}
	s.mu.Lock()
	st.Edges, st.Leases = s.registry.online, len(s.registry.byHandle)
	st.Sessions, st.Guests = len(s.sessions.byIdx), s.sessions.guests
	st.Communities = make([]admin.CommunityStatus, 0, len(s.registry.communities))
	for _, c := range s.registry.communities {
		st.Communities = append(st.Communities, admin.CommunityStatus{
			ID: communityText(c.id), Edges: len(c.online), Leases: len(c.byMAC), Pool: c.pool, Relayed: c.traffic,
		})
	}
	s.mu.Unlock()
	slices.SortFunc(st.Communities, func(a, b admin.CommunityStatus) int {
		return cmp.Or(b.Edges-a.Edges, cmp.Compare(a.ID, b.ID))
	})
	return st
}
