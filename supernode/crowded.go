package supernode

import (
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/fair"
)

// What a packet costs beside its bytes: on the line the headers of IPv4, UDP and RELAY; in
// the loop that reads the socket as much as a thousand bytes do.
const (
	lineCost = udpCost + protocol.RelayOverhead
	udpCost  = 28
	loopCost = 1024
)

// smallPacket is up to which size a packet is no bulk.
const smallPacket = 256

// lineWaits is how much may wait for the line, as a time, and lineLeast how many bytes in any
// case: a hundred packets and some more, so that as many edges can have one each.
const (
	lineWaits = 50 * time.Millisecond
	lineLeast = 256 << 10
)

// crowded decides who is relayed where not all can be: communities share what there is
// equally, and so do the edges of one. It belongs to the goroutine that reads.
type crowded struct {
	line *fair.Line // what leaves; nil: it has no limit
	loop fair.Loop  // the goroutine that reads
}

// newCrowded returns a crowded with a line of so many bytes a second, 0: without a limit.
func newCrowded(rate float64) crowded {
	c := crowded{loop: fair.Loop{Line: fair.Line{Small: loopCost + smallPacket}}}
	if rate > 0 {
		c.line = &fair.Line{Rate: rate, Most: max(rate*lineWaits.Seconds(), lineLeast), Small: smallPacket}
	}
	return c
}

// handles reports whether there is time to look at a packet of size bytes of an edge. The
// loop is full.
func (c *crowded) handles(now time.Time, r *registration, size int) bool {
	return c.loop.Take(now, &r.community.crowded.loop, &r.budget.crowded.loop, float64(loopCost+size))
}

// handled counts the time for something that has no edge to be counted for.
func (c *crowded) handled(now time.Time, size int) {
	if c.loop.Full() {
		c.loop.Force(now, float64(loopCost+size))
	}
}

// carries reports whether there is room for a packet of size bytes on the line, which has a
// limit.
func (c *crowded) carries(now time.Time, r *registration, size int) bool {
	return c.line.Take(now, &r.community.crowded.line, &r.budget.crowded.line, float64(lineCost+size))
}

// copied counts further copies of a packet that is handled and carried.
func (c *crowded) copied(r *registration, size, copies int) {
	if copies <= 0 {
		return
	}
	if c.line != nil {
		c.line.Add(&r.community.crowded.line, &r.budget.crowded.line, float64((lineCost+size)*copies))
	}
	if c.loop.Full() {
		c.loop.Add(&r.community.crowded.loop, &r.budget.crowded.loop, float64((loopCost+size)*copies))
	}
}

// lineFull returns the limit of an edge for which the line has no room.
func (c *crowded) lineFull(r *registration) limit {
	return limit{protocol.LimitedLine, c.line.Share(&r.community.crowded.line)}
}

// loopFull is the limit of an edge for which the loop has no time.
var loopFull = limit{what: protocol.LimitedLoad}
