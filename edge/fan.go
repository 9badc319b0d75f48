package edge

import (
	"net/netip"
	"slices"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// fan are the sockets that the path of one peer has of its own: each has a
// mapping of its own in our NATs, of which the peer may find one (docs/NAT.md).
type fan []*fanSocket

// mostWays is how many addresses count that packets come from to one socket.
const mostWays = 4

// fanSocket is one of them.
type fanSocket struct {
	*sideWays
	conn Socket
}

// openFan opens one more socket.
func (e *Edge) openFan() (*fanSocket, error) {
	s := &fanSocket{}
	s.sideWays = newSideWays(e.cfg.Ways.Sides, mostWays, func(far netip.AddrPort, pkt []byte) { s.conn.Send(far, 0, pkt) })
	ready := make(chan struct{})
	conn, err := e.cfg.Ways.Open(func(from netip.AddrPort, pkt []byte) {
		<-ready // what comes at once may be answered at once
		s.deliver(from, pkt)
	})
	if err != nil {
		return nil, err
	}
	s.conn = conn
	close(ready)
	return s, nil
}

// close closes the socket and takes its addresses back.
func (s *fanSocket) close() {
	_ = s.conn.Close()
	s.end()
}

// fanOut sends a ping through the socket with a number, which is opened if need
// be. A system that has no socket left ends it there.
func (e *Edge) fanOut(p *peer, probe path.Probe) {
	for len(p.fan) < probe.Socket {
		s, err := e.openFan()
		if err != nil {
			e.drops.Drop(dataplane.DropSend)
			return
		}
		p.fan = append(p.fan, s)
	}
	m := protocol.Ping{Nonce: probe.Nonce, Gen: probe.Gen, Path: probe.Path, Pad: max(probe.Pad, pongPad)}
	if pkt := e.send.SealAlone(p.sessions.sealing(), m.Append); pkt != nil {
		p.fan[probe.Socket-1].conn.Send(probe.To, probe.TTL, pkt)
	}
}

// trimFan closes the sockets of a peer that its path needs no longer.
func (e *Edge) trimFan(p *peer) {
	if len(p.fan) == 0 || p.path != nil && p.path.Sockets() > 0 {
		return
	}
	p.fan = slices.DeleteFunc(p.fan, func(s *fanSocket) bool {
		if p.path != nil && s.some(p.path.Knows) {
			return false
		}
		s.close()
		return true
	})
}

// closeFans closes the sockets of all peers.
func (e *Edge) closeFans() {
	for _, p := range e.peers.byStatic {
		for _, s := range p.fan {
			s.close()
		}
		p.fan = nil
	}
}
