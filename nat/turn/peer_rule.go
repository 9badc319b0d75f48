package turn

import (
	"net"
	"net/netip"
	"time"
)

const (
	maxPeers = 256 // addresses that one allocation may talk to
	peerTime = channelTime
)

// notPublic are networks without hosts of the internet, besides those that netip
// recognises (RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// sharedSpace is the range of carrier-grade NATs (RFC 6598). Like private
// networks it is local.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func isLocal(a netip.Addr) bool { return a.IsPrivate() || sharedSpace.Contains(a) }

// permits says whether a client may talk to a peer: an IPv4 address that a host
// of the internet can have, that is none of this machine's, and that the
// identity may talk to. Private and shared addresses are refused, since this
// machine may reach by them what the client must not; but where the address that
// clients get is one itself, the whole site is behind one, and they are peers
// like any. Ports do not matter: a permission is for all ports of an address
// (RFC 8656, section 9).
func (s *Server) permits(client netip.AddrPort, peer netip.Addr) bool {
	r := s.allocations.of(client)
	ok := r != nil && s.reachable(peer) && s.cfg.Allowed(r.identity, peer) && r.mayTalkTo(time.Now(), peer)
	if !ok {
		s.counters.refused.Add(1)
	}
	return ok
}

// reachable is the part of permits that does not depend on the identity.
func (s *Server) reachable(peer netip.Addr) bool {
	if !peer.Is4() || peer.IsLoopback() || peer.IsUnspecified() || peer.IsMulticast() || peer.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(peer) {
			return false
		}
	}
	if isLocal(peer) && !isLocal(s.cfg.Address) {
		return false
	}
	return peer != s.cfg.Address && !ownAddress(peer)
}

// ownAddress says whether an address is this machine's now. It asks the system
// each time, since addresses come and go; if the system does not list them only
// the address that clients get is known.
func ownAddress(a netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, x := range list {
		n, ok := x.(*net.IPNet)
		if !ok {
			continue
		}
		if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == a {
			return true
		}
	}
	return false
}

// mayTalkTo bounds the addresses that an allocation has permissions for: pion
// keeps each until it ends by time.
func (r *relaySocket) mayTalkTo(now time.Time, peer netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.peers[peer]; !known && len(r.peers) >= maxPeers {
		for a, at := range r.peers {
			if now.Sub(at) >= peerTime {
				delete(r.peers, a)
			}
		}
		if len(r.peers) >= maxPeers {
			return false
		}
	}
	r.peers[peer] = now
	return true
}
