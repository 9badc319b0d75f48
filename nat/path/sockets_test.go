package path

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/nattest"
	"hedgerow/transport"
)

// sidePrefix holds the addresses that stand for extra sockets.
var sidePrefix = netip.MustParsePrefix("100::/64")

// extraSockets is an edge's further sockets, as the edge's control loop keeps them.
type extraSockets struct {
	edge    *edge
	host    *nattest.Host
	sockets []*nattest.Conn
	sides   map[netip.AddrPort]far
	most    int // ever open at once
}

// far is what a side address stands for: a socket and an address beyond it.
type far struct {
	conn *nattest.Conn
	to   netip.AddrPort
}

// send sends through the socket with a number, which is opened if need be.
func (f *extraSockets) send(number int, d transport.Datagram) {
	for len(f.sockets) < number {
		c, err := f.host.Listen(0)
		if err != nil {
			f.edge.w.t.Error(err)
			return
		}
		f.sockets = append(f.sockets, c)
		f.most = max(f.most, len(f.sockets))
		go f.read(c)
	}
	f.sockets[number-1].WriteBatch([]transport.Datagram{d})
}

// read hands the edge what comes to a socket, under its side address.
func (f *extraSockets) read(c *nattest.Conn) {
	for {
		in := []transport.Datagram{{Buf: make([]byte, 2048)}}
		if !next(c, in) {
			return
		}
		select {
		case f.edge.calls <- func() {
			in[0].Addr = f.side(far{c, in[0].Addr})
			f.edge.handle(in[0])
		}:
		case <-f.edge.stopped:
			return
		}
	}
}

// side returns the address that stands for a socket and the far end.
func (f *extraSockets) side(w far) netip.AddrPort {
	for a, known := range f.sides {
		if known == w {
			return a
		}
	}
	b := sidePrefix.Addr().As16()
	binary.BigEndian.PutUint32(b[12:], uint32(len(f.sides)+1))
	a := netip.AddrPortFrom(netip.AddrFrom16(b), 1)
	f.sides[a] = w
	return a
}

// trim closes the sockets that are no longer wanted.
func (f *extraSockets) trim() {
	if f.edge.path.Sockets() > 0 {
		return
	}
	f.sockets = slices.DeleteFunc(f.sockets, func(c *nattest.Conn) bool {
		for a, w := range f.sides {
			if w.conn == c && f.edge.path.Knows(a) {
				return false
			}
		}
		c.Close()
		return true
	})
}

func (f *extraSockets) close() {
	for _, c := range f.sockets {
		c.Close()
	}
}

// send sends a datagram to an address of either sort.
func (e *edge) send(d transport.Datagram) error {
	c := e.conn
	if w, ok := e.extra.sides[d.Addr]; ok {
		c, d.Addr = w.conn, w.to
	}
	_, err := c.WriteBatch([]transport.Datagram{d})
	return err
}

// call is the exchange of CALL, CALLACK and GO: both edges learn the other's
// pattern and begin at one time.
func (w *world) call() {
	if !w.calling.CompareAndSwap(false, true) {
		return
	}
	defer w.calling.Store(false)
	var patterns [2]address.Pattern
	for i, e := range w.edges {
		patterns[i] = w.pattern(e)
	}
	for i, e := range w.edges {
		select {
		case e.calls <- func() { now := time.Now(); e.path.Arrange(now, now, patterns[i], patterns[1-i]) }:
		case <-e.stopped:
		}
	}
}

// pattern measures how an edge's NATs choose ports, by sockets of their own. The
// mapping behaviour is the test's word.
func (w *world) pattern(e *edge) address.Pattern {
	p := address.Pattern{Mapping: w.mapping[e.number]}
	if p.Mapping == address.MappingEndpointIndependent {
		return p
	}
	for range address.MaxPorts {
		c, err := e.extra.host.Listen(0)
		if err != nil {
			break
		}
		defer c.Close() // no other may get its port, and with it its mapping
		w.send(c, w.relay.LocalAddr(), []byte{letterWho, 0})
		in := []transport.Datagram{{Buf: make([]byte, 2048)}}
		if next(c, in) {
			p.Ports = append(p.Ports, netip.MustParseAddrPort(string(in[0].Payload()[2:])).Port())
		}
	}
	return p
}
