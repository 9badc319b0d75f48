package supernode

import (
	"hedgerow/internal/network"
	"hedgerow/internal/turns"
)

// pushTogether is how many PEER_INFOs go round the members of a community together: as many
// as fit into one packet, as a rule.
const pushTogether = 3

// pushes are PEER_INFOs that nobody asked for: of an edge that has restarted (its
// statement is newer), or that has replaced another one at its MAC. Its peers hold
// sessions that it does not know, and a PEER_INFO makes them begin new ones at once.
//
// Communities have turns, packet by packet: where k communities wait, each has a k-th of
// the pace, however many of its edges have restarted. Within a community the networks have
// turns that the edges came from, and what goes next goes round all members together, so
// that one is sent a packet for several edges. An edge waits once at most.
type pushes struct {
	turns   turns.Turns[*community, communityPushes]
	waiting map[*registration]*push
}

// communityPushes are those of one community.
type communityPushes struct {
	networks turns.Turns[network.Key, []*push] // that wait
	round    []*push                           // that go round
	// left is how many of community.online have not been told of them: those before it.
	// They are told from the end to the beginning, since one that leaves is replaced by
	// the last.
	left int
}

// push is the PEER_INFO of one edge on its way to the others of its community.
type push struct {
	about *registration
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

// enter lets a push wait, behind those of its network.
func (q *pushes) enter(p *push) {
	p.again = false
	list := q.turns.Of(p.about.community).networks.Of(p.network())
	*list = append(*list, p)
}

// network returns the widest network that an edge came from.
func (p *push) network() network.Key { return network.Of(p.about.seat.source)[network.Levels-1] }

// pop returns who is told next, and of whom. to is nil if the one whose turn it is has
// nothing to be told. There is a push.
func (q *pushes) pop() (to *registration, about []*registration) {
	c, of := q.turns.Take()
	if len(of.round) == 0 {
		of.begin(len(c.online))
	}
	to, about = of.step(c.online)
	if of.left == 0 {
		q.end(of)
	}
	q.turns.Pass(c, len(of.round) == 0 && of.networks.Len() == 0)
	return to, about
}

// begin lets the next ones go round so many members.
func (c *communityPushes) begin(members int) {
	for len(c.round) < pushTogether && c.networks.Len() > 0 {
		k, list := c.networks.Take()
		c.round = append(c.round, (*list)[0])
		*list = (*list)[1:]
		c.networks.Pass(k, len(*list) == 0)
	}
	c.left = members
}

// step returns the next one who is to be told, nil for nobody, and of whom.
func (c *communityPushes) step(online []*registration) (to *registration, about []*registration) {
	if c.left = min(c.left, len(online)); c.left == 0 {
		return nil, nil
	}
	c.left--
	to = online[c.left]
	for _, p := range c.round {
		if p.about != to && p.about.place >= 0 {
			about = append(about, p.about)
		}
	}
	if len(about) == 0 {
		return nil, nil
	}
	return to, about
}

// end ends a round. Who has restarted meanwhile waits for another one.
func (q *pushes) end(c *communityPushes) {
	for _, p := range c.round {
		if p.again && p.about.place >= 0 {
			q.enter(p)
		} else {
			delete(q.waiting, p.about)
		}
	}
	c.round = nil
}
