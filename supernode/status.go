package supernode

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"hedgerow/transport/stream"
)

// Status is the state of a supernode. Communities appear by their id: the supernode
// does not know their names.
type Status struct {
	// Version is the program's.
	Version string `json:"version"`
	// Listen is the address of the UDP socket.
	Listen netip.AddrPort `json:"listen"`
	// Streams is the state of the stream listeners; nil when there are none.
	Streams *stream.Status `json:"streams,omitempty"`
	// Key is the static public key that edges pin, as KeyText returns it.
	Key string `json:"key"`
	// UptimeS is the time since the start in seconds.
	UptimeS float64 `json:"uptime_s"`
	// Edges is the number of registered edges with a live session.
	Edges int `json:"edges"`
	// Leases is the number of registrations whose lease lasts, with those of edges
	// that have no session now.
	Leases int `json:"leases"`
	// Sessions and Guests are the sessions in all and those without a
	// registration.
	Sessions int `json:"sessions"`
	Guests   int `json:"guests"`
	// Communities are those with a registration, the largest first.
	Communities []CommunityStatus `json:"communities"`
	// SetAside is the file that the stored registrations were moved to at the start,
	// because they were damaged; empty: they were not.
	SetAside string `json:"set_aside,omitempty"`
	// Drops counts dropped datagrams and messages by reason.
	Drops map[string]uint64 `json:"drops"`
}

// CommunityStatus is one community of a Status.
type CommunityStatus struct {
	// ID is the community's id in hexadecimal.
	ID string `json:"id"`
	// Edges and Leases are as in Status.
	Edges  int `json:"edges"`
	Leases int `json:"leases"`
	// Pool is where its addresses are leased from.
	Pool netip.Prefix `json:"pool"`
	// Relayed counts the packets relayed since the community's first edge registered.
	Relayed Traffic `json:"relayed"`
}

// Status returns the present state. It may be called from any goroutine.
func (s *Server) Status() Status {
	now := s.cfg.Now()
	st := Status{
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
	st.Sessions, st.Guests = len(s.hops.byIdx), s.hops.guests
	st.Communities = make([]CommunityStatus, 0, len(s.registry.communities))
	for _, c := range s.registry.communities {
		st.Communities = append(st.Communities, CommunityStatus{
			ID: communityText(c.id), Edges: len(c.online), Leases: len(c.byMAC), Pool: c.pool, Relayed: c.traffic,
		})
	}
	s.mu.Unlock()
	slices.SortFunc(st.Communities, func(a, b CommunityStatus) int {
		return cmp.Or(b.Edges-a.Edges, cmp.Compare(a.ID, b.ID))
	})
	return st
}
