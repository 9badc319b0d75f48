package supernode

import (
	"time"

	"hedgerow/supernode/admin"
	"hedgerow/supernode/admission"
)

// Status returns the present state. It may be called from any goroutine.
func (s *Server) Status() admin.Status {
	now := s.cfg.Now()
	st := admin.Status{
		Version:  s.cfg.Version,
		Listen:   s.cfg.Conn.LocalAddr(),
		Key:      KeyText(s.Key()),
		UptimeS:  s.uptime(now),
		Drops:    s.refused.reasons(),
		SetAside: s.store.health().asideText(),
		Serving:  s.health.serving.Load(),
	}
	if s.cfg.Streams != nil {
		streams := s.cfg.Streams.Status()
		st.Streams = &streams
	}
	st.Notes = s.health.notes(now)
	s.mu.Lock()
	st.Edges, st.Leases = s.registry.online, len(s.registry.byHandle)
	st.Sessions, st.Guests = len(s.sessions.byIdx), s.sessions.guests.count()
	st.Totals = admin.Totals{Registered: s.registry.totals.accepted, Relayed: s.registry.totals.traffic}
	st.Totals.Month, st.Totals.MonthEnds = s.relayer.months.status(now)
	rules := s.reviews.registrar.policy.Rules()
	s.mu.Unlock()
	all := s.health.listing.allCommunities(now)
	st.Totals.Communities, st.Totals.Obfuscated = len(all), len(s.cfg.Cover.ObfsKey) > 0
	st.Totals.Redirect = s.controls.redirects.status(&s.health.listing.walker)
	st.Totals.Rotation = s.controls.rotation.status(&s.health.listing.walker)
	st.Totals.Rules, st.Totals.Closed = rules.Len(), rules.Mode() == admission.Closed
	st.Communities = all[:min(len(all), admin.StatusCommunities)]
	return st
}

// uptime returns the time since the start in seconds, as documents have it.
func (s *Server) uptime(now time.Time) float64 {
	return now.Sub(s.health.started).Round(time.Millisecond).Seconds()
}

// Communities returns some of the communities from a place on: 0, or the Next of the
// document before. It may be called from any goroutine.
func (s *Server) Communities(from int) admin.Communities {
	now := s.cfg.Now()
	doc := admin.Communities{UptimeS: s.uptime(now)}
	s.health.listing.communities(now, &doc, from)
	return doc
}

// Edges returns some of the edges with a session, likewise: of the community with an id, or
// of all if it is zero.
func (s *Server) Edges(community [16]byte, from int) admin.Edges {
	now := s.cfg.Now()
	doc := admin.Edges{UptimeS: s.uptime(now)}
	s.health.listing.edges(now, &doc, community, from)
	return doc
}
