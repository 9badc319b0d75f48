package stream

import (
	"net"
	"net/netip"
)

// Status is the state of a server.
type Status struct {
	// Listen are the TCP addresses that edges connect to.
	Listen []netip.AddrPort `json:"listen"`
	// Open is the number of open streams; Connections also counts those that are
	// still opening.
	Open        int `json:"open"`
	Connections int `json:"connections"`
	// Refused are the connections over a ceiling, Displaced those that made room for
	// others, Strangers the streams that ended before an edge had
	// registered by them, Hasty the packets of such that came too fast, and Dropped
	// the packets that found the queue of their stream full. All count from the
	// start.
	Refused   uint64 `json:"refused"`
	Displaced uint64 `json:"displaced"`
	Strangers uint64 `json:"strangers"`
	Hasty     uint64 `json:"hasty"`
	Dropped   uint64 `json:"dropped"`
}

// Status returns the present state.
func (s *Server) Status() Status {
	st := Status{
		Refused: s.gate.refused.Load(), Displaced: s.gate.displaced.Load(),
		Strangers: s.strangers.Load(), Hasty: s.hasty.Load(), Dropped: s.dropped.Load(),
	}
	for _, l := range s.cfg.Listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			st.Listen = append(st.Listen, a.AddrPort())
		}
	}
	s.mu.Lock()
	st.Open = len(s.streams)
	s.mu.Unlock()
	s.gate.mu.Lock()
	st.Connections = s.gate.all
	s.gate.mu.Unlock()
	return st
}
