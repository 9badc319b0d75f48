package edge

import (
	"slices"

	"hedgerow/edge/underlay"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// The path of a peer behind a hard NAT may have sockets of its own: each has a
// mapping of its own in our NATs, of which the peer may find one (docs/NAT.md).

// probeBySocket sends a ping through the socket with a number, which is opened if
// need be. A system that has no socket left ends it there.
func (r *routing) probeBySocket(p *peer, probe path.Probe, m protocol.Ping) {
	for len(p.reach.sockets) < probe.Socket {
		s, err := r.underlay.Sockets.Open()
		if err != nil {
			return // the underlay has counted it
		}
		p.reach.sockets = append(p.reach.sockets, s)
	}
	if pkt := r.pairs.seal(p, m.Append); pkt != nil {
		p.reach.sockets[probe.Socket-1].Send(probe.To, probe.TTL, pkt)
	}
}

// trimSockets closes the sockets of a peer that its path needs no longer.
func (r *routing) trimSockets(p *peer) {
	machine := p.reach.path
	if len(p.reach.sockets) == 0 || machine != nil && machine.Sockets() > 0 {
		return
	}
	p.reach.sockets = slices.DeleteFunc(p.reach.sockets, func(s *underlay.SideSocket) bool {
		if machine != nil && machine.Remotes().Any(s.Holds) {
			return false
		}
		s.Close()
		return true
	})
}

// closeSockets closes the sockets of all peers.
func (r *routing) closeSockets() {
	for _, p := range r.peers.byStatic {
		for _, s := range p.reach.sockets {
			s.Close()
		}
		p.reach.sockets = nil
	}
}
