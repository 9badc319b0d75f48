package supernode

// pushLimit bounds the pushes that wait, over all communities.
const pushLimit = 1 << 18

// pushes are PEER_INFOs that nobody asked for: of an edge that has restarted (its
// statement is newer), or that has replaced another one at its MAC. Its peers hold
// sessions that it does not know, and a PEER_INFO makes them begin new ones at once.
type pushes struct {
	list    []push
	waiting int
}

type push struct {
	about uint32   // handle
	to    []uint32 // handles of the members that it still has to be sent to
}

// announce queues the PEER_INFO of r for all other members. The timers send it at
// their pace.
func (s *Server) announce(r *registration) {
	n := len(r.community.online) - 1
	if n <= 0 {
		return
	}
	if s.pushes.waiting+n > pushLimit {
		s.refused.count(dropPushes, true, func() []any { return append(r.attributes(), "members", n) })
		return
	}
	p := push{about: r.handle, to: make([]uint32, 0, n)}
	for _, o := range r.community.online {
		if o != r {
			p.to = append(p.to, o.handle)
		}
	}
	s.pushes.list = append(s.pushes.list, p)
	s.pushes.waiting += n
	s.wakeTimers()
}

// sendPush sends one push. A member that has left meanwhile gets none.
func (s *Server) sendPush(out *outbox) {
	p := &s.pushes.list[0]
	to := s.registry.byHandle[p.to[0]]
	about := s.registry.byHandle[p.about]
	p.to = p.to[1:]
	s.pushes.waiting--
	if len(p.to) == 0 {
		s.pushes.list[0] = push{}
		s.pushes.list = s.pushes.list[1:]
	}
	if to == nil || about == nil || to.community != about.community || to.place < 0 || about.place < 0 {
		return
	}
	info := about.peerInfo()
	s.sender.message(out, to.hop, &info)
}
