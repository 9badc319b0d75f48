package supernode

import "hedgerow/protocol"

// listLen is how many members a QUERY for no one in particular gets.
const listLen = 64

// handleQuery tells a member of another one, or of those heard last. An
// unknown or absent one is not answered for: the edge's frame goes out as GROUP
// meanwhile, and it asks again.
func (s *Server) handleQuery(x *exchange, value []byte) {
	q, err := protocol.ParseQuery(value)
	if err != nil {
		s.refuseMessage(x, dropQuery)
		return
	}
	if !x.hop.control.Take(x.now, queryCost, controlRate, controlBurst) {
		s.refuseMessage(x, dropControlRate)
		return
	}
	r := x.hop.reg
	switch {
	case q.Handle != 0:
		s.addPeer(x, s.registry.member(r.community, q.Handle))
	case !q.MAC.IsZero():
		s.addPeer(x, r.community.byMAC[q.MAC])
	case x.hop.lists.Take(x.now, 1, listRate, listBurst):
		for _, peer := range r.community.latest(r, listLen) {
			s.addPeer(x, peer)
		}
	default:
		s.refuseMessage(x, dropListRate)
	}
}

// addPeer answers with what is known of a member that is here.
func (s *Server) addPeer(x *exchange, peer *registration) {
	if peer == nil || peer.place < 0 || peer == x.hop.reg {
		s.refuseMessage(x, dropQueryUnknown)
		return
	}
	info := peer.peerInfo()
	s.add(x, &info)
}

// member returns the registration with this handle, if it is one of c.
func (g *registry) member(c *community, handle uint32) *registration {
	if r := g.byHandle[handle]; r != nil && r.community == c {
		return r
	}
	return nil
}

// latest returns up to n members that are here, without the one who asks, in
// the order in which they were last heard, the latest first.
func (c *community) latest(asker *registration, n int) []*registration {
	list := make([]*registration, 0, n+1)
	for _, r := range c.online {
		if r == asker {
			continue
		}
		i := len(list)
		for i > 0 && r.hop.heard.After(list[i-1].hop.heard) {
			i--
		}
		if i == n {
			continue
		}
		list = append(list, nil)
		copy(list[i+1:], list[i:])
		list[i] = r
		list = list[:min(len(list), n)]
	}
	return list
}

// pushLimit bounds the notices that wait, over all communities.
const pushLimit = 1 << 18

// pushes are the notices that an edge has restarted (its statement is newer):
// its peers hold sessions that it no longer knows, and make new ones at once
// when they are told.
type pushes struct {
	list    []push
	waiting int
}

type push struct {
	about uint32   // handle
	to    []uint32 // handles of those still to be told
}

// announce tells the other members of a community of a restarted one, at the
// pace of the timers.
func (s *Server) announce(r *registration) {
	n := len(r.community.online) - 1
	if n <= 0 {
		return
	}
	if s.pushes.waiting+n > pushLimit {
		s.refuseEdge(dropPushes, r, "members", n)
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

// sendPush sends one notice. Those who have left meanwhile are passed over.
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
	s.sendControl(out, to.hop, info.Append(startControl(out.buffer())), to.hop.addr)
}
