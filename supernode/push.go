package supernode

import "hedgerow/internal/network"

// pushes are PEER_INFOs that nobody asked for: of an edge that has restarted (its
// statement is newer), or that has replaced another one at its MAC. Its peers hold
// sessions that it does not know, and a PEER_INFO makes them begin new ones at once.
//
// Communities have turns, packet by packet, and within a community the networks that the
// edges came from: where k communities wait, each has a k-th of the pace, however many of
// its edges have restarted. An edge waits once at most.
type pushes struct {
	turns   turns[*community, turns[network.Key, []*push]]
	waiting map[*registration]*push
}

// push is the PEER_INFO of one edge on its way to the others of its community.
type push struct {
	about *registration
	// left is how many of community.online have not been told: those before it. They
	// are told from the end to the beginning, since one that leaves is replaced by the
	// last.
	left  int
	again bool // the edge has restarted once more
}

func newPushes() pushes { return pushes{waiting: make(map[*registration]*push)} }

// add queues the PEER_INFO of r for all other members of its community that have a
// session.
func (q *pushes) add(r *registration) {
	if p := q.waiting[r]; p != nil {
		p.again = true
		return
	}
	p := &push{about: r}
	q.waiting[r] = p
	q.enter(p)
}

// enter lets a push begin, after those of its network.
func (q *pushes) enter(p *push) {
	p.left, p.again = len(p.about.community.online), false
	list := q.turns.of(p.about.community).of(p.network())
	*list = append(*list, p)
}

// network returns the widest network that an edge came from.
func (p *push) network() network.Key { return network.Of(p.about.seat.source)[network.Levels-1] }

// pop returns the next push: who gets it and whom it is about. to is nil if there is
// nobody whom the one whose turn it is still has to tell. There is a push.
func (q *pushes) pop() (to, about *registration) {
	c, networks := q.turns.take()
	k, list := networks.take()
	p := (*list)[0]
	to, about = p.step(), p.about
	if p.left == 0 {
		*list = (*list)[1:]
		if p.again && about.place >= 0 {
			q.enter(p)
		} else {
			delete(q.waiting, about)
		}
	}
	networks.pass(k, len(*list) == 0)
	q.turns.pass(c, len(networks.values) == 0)
	return to, about
}

// step returns the next one who is to be told, nil for nobody.
func (p *push) step() *registration {
	online := p.about.community.online
	if p.left = min(p.left, len(online)); p.left == 0 || p.about.place < 0 {
		p.left = 0
		return nil
	}
	p.left--
	if to := online[p.left]; to != p.about {
		return to
	}
	return nil
}
