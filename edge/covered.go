package edge

import (
	"net/netip"
	"slices"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
)

// covered returns transports whose further sockets hide the STUN messages between us and
// supernodes that have an obfuscation key, as the data socket does. Without such a supernode
// they are the same.
func covered(t underlay.Transports, supernodes []Supernode, covers *dataplane.Covers) underlay.Transports {
	open := t.Open
	if open == nil || !slices.ContainsFunc(supernodes, func(s Supernode) bool { return len(s.ObfsKey) > 0 }) {
		return t
	}
	t.Open = func(receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
		conn, err := open(func(from netip.AddrPort, pkt []byte) {
			if message := covers.Show(from, pkt); message != nil {
				pkt = message
			}
			receive(from, pkt)
		})
		if err != nil { // a nil socket in an interface would not be nil
			return nil, err
		}
		return coveredSocket{conn, covers}, nil
	}
	return t
}

// coveredSocket is a further socket that hides STUN messages.
type coveredSocket struct {
	underlay.Socket
	covers *dataplane.Covers
}

// Send sends a packet; of underlay.Socket.
func (s coveredSocket) Send(to netip.AddrPort, ttl uint8, pkt []byte) {
	s.Socket.Send(to, ttl, s.covers.Hide(to, pkt))
}
