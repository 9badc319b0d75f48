package supernode

import "hedgerow/protocol"

// listLen is how many members a QUERY for no one in particular gets.
const listLen = 64

// handleQuery answers a member with the PEER_INFO of another one, or of those that
// were heard last. It does not answer for a member that is unknown or has no session:
// the edge's frame goes out as GROUP meanwhile, and it asks again.
func (s *Server) handleQuery(x *exchange, value []byte) {
	q, err := protocol.ParseQuery(value)
	if err != nil {
		x.refuse(dropQuery)
		return
	}
	if !x.hop.control.Take(x.now, queryCost, controlRate, controlBurst) {
		x.refuse(dropControlRate)
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
		x.refuse(dropListRate)
	}
}

// addPeer answers with the PEER_INFO of a member that has a session.
func (s *Server) addPeer(x *exchange, peer *registration) {
	if peer == nil || peer.place < 0 || peer == x.hop.reg {
		x.refuse(dropQueryUnknown)
		return
	}
	info := peer.peerInfo()
	x.add(&info)
}

// member returns the registration with this handle, if it is one of c.
func (g *registry) member(c *community, handle uint32) *registration {
	if r := g.byHandle[handle]; r != nil && r.community == c {
		return r
	}
	return nil
}

// latest returns up to n members with a session, without the one that asks, in
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
