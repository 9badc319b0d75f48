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

// add queues the PEER_INFO of r for the n other members of its community that have a
// session. It reports false when there is no room.
func (q *pushes) add(r *registration, n int) bool {
	if q.waiting+n > pushLimit {
		return false
	}
	p := push{about: r.handle, to: make([]uint32, 0, n)}
	for _, o := range r.community.online {
		if o != r {
			p.to = append(p.to, o.handle)
		}
	}
	q.list = append(q.list, p)
	q.waiting += n
	return true
}

// pop returns the next push: the handles of whom it goes to and whom it is about.
func (q *pushes) pop() (to, about uint32) {
	p := &q.list[0]
	to, about = p.to[0], p.about
	p.to = p.to[1:]
	q.waiting--
	if len(p.to) == 0 {
		q.list[0] = push{}
		q.list = q.list[1:]
	}
	return to, about
}
