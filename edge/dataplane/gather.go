package dataplane

import (
	"net/netip"

	"hedgerow/transport"
)

// How much gathers before it is sent, and in how much room. A queue's lane has
// room for what makes it full and for the largest super-frame behind that,
// sealed; the control loop sends little at once.
const (
	gatherLanes = 4
	gatherFull  = 40 << 10
	queueLane   = 128 << 10
	controlLane = 16 << 10
)

// gather collects sealed packets in the order in which they were sealed, those
// of one size to one destination behind one another, so that they leave as one
// train. Packets for different destinations grow in different lanes, so that a
// burst that alternates between peers makes long trains, too; the order of the
// packets to one destination is kept always.
type gather struct {
	conn    Conn
	refused func(error, []transport.Datagram) // told what the network refused
	batch   []transport.Datagram              // by their first packet
	lanes   [gatherLanes]lane
	bytes   int // since the last flush
	next    struct {
		lane int   // that the next new destination gets
		tos  uint8 // of the packets that are put into slots
		// alone has those leave one by one, in no train.
		alone bool
	}
}

// lane is the room in which the trains to one destination grow.
type lane struct {
	buf  []byte
	used int
	addr netip.AddrPort
	open int // the place in batch of the train that may grow; -1: none
}

// newGather returns one with lanes of that many bytes each.
func newGather(conn Conn, lane int, refused func(error, []transport.Datagram)) *gather {
	g := &gather{conn: conn, refused: refused, batch: make([]transport.Datagram, 0, batchDatagrams)}
	for i := range g.lanes {
		g.lanes[i].buf, g.lanes[i].open = make([]byte, lane), -1
	}
	return g
}

// slot returns room for one packet of n bytes to an address, from an address of this
// host's if that is valid. It is the caller's to fill until the next slot or flush, and is
// sent by that flush. A TTL other than 0 is that datagram's own.
func (g *gather) slot(to netip.AddrPort, local netip.Addr, n int, ttl uint8) []byte {
	l := g.lane(to)
	if l.used+n > len(l.buf) || len(g.batch) == cap(g.batch) {
		g.flush()
	}
	g.bytes += n
	at := l.used
	l.used += n
	single := ttl != 0 || g.next.alone
	if single || !g.grow(l, local, n) {
		if l.open = len(g.batch); single {
			l.open = -1
		}
		g.batch = append(g.batch, transport.Datagram{Buf: l.buf[at : at+n], N: n, Addr: to, Local: local, TTL: ttl, TOS: g.next.tos})
	}
	return l.buf[at : at+n : at+n]
}

// reserve makes room for that many packets of up to n bytes each: none of their slots
// causes a flush, so that what is in one may be copied to the next.
func (g *gather) reserve(packets, n int) {
	short := len(g.batch)+packets > cap(g.batch)
	for i := range g.lanes {
		short = short || g.lanes[i].used+packets*n > len(g.lanes[i].buf)
	}
	if short {
		g.flush()
	}
}

// grow adds n bytes to the lane's train if they may be its next datagram.
func (g *gather) grow(l *lane, local netip.Addr, n int) bool {
	if l.open < 0 {
		return false
	}
	d := &g.batch[l.open]
	if local != d.Local || g.next.tos != d.TOS || !d.Grow(n) {
		return false
	}
	if n < d.Seg {
		l.open = -1 // a shorter one is the last
	}
	return true
}

// lane returns the lane of an address, or gives it one.
func (g *gather) lane(to netip.AddrPort) *lane {
	for i := range g.lanes {
		if g.lanes[i].addr == to {
			return &g.lanes[i]
		}
	}
	l := &g.lanes[g.next.lane]
	g.next.lane = (g.next.lane + 1) % gatherLanes
	l.addr, l.open = to, -1
	return l
}

// full reports whether enough has gathered to be sent before more is added.
func (g *gather) full() bool { return g.bytes >= gatherFull }

// gatherTail is how long a train may be in bytes to wait for the next frame of its burst.
const gatherTail = 32 << 10

// flushTrains is flush in the middle of a burst: if the last train may still grow and is
// short, it stays. A super-frame of 64 KiB fills a train and leaves a few datagrams, which
// would cost as much to send as a whole one; so the next super-frame goes on with them.
func (g *gather) flushTrains() {
	last := len(g.batch) - 1
	if last < 1 || g.batch[last].N > gatherTail {
		g.flush()
		return
	}
	for i := range g.lanes {
		if g.lanes[i].open == last {
			tail := g.batch[last]
			g.batch = g.batch[:last]
			g.flush()
			g.keep(&g.lanes[i], tail)
			return
		}
	}
	g.flush()
}

// keep begins a lane anew with a train that was not sent, and that may still grow.
func (g *gather) keep(l *lane, tail transport.Datagram) {
	copy(l.buf, tail.Buf)
	tail.Buf = l.buf[:tail.N]
	l.used, l.open = tail.N, 0
	g.batch, g.bytes = append(g.batch, tail), tail.N
}

// flush sends what has gathered. A datagram that the network refuses is
// reported; its path is found dead by its missing pongs.
func (g *gather) flush() {
	if len(g.batch) > 0 {
		if _, err := g.conn.WriteBatch(g.batch); err != nil {
			g.refused(err, g.batch)
		}
	}
	g.batch, g.bytes = g.batch[:0], 0
	for i := range g.lanes {
		g.lanes[i].used, g.lanes[i].open = 0, -1
	}
}
