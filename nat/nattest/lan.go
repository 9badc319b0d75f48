package nattest

import (
	"maps"
	"math/rand/v2"
	"net/netip"
)

// LAN is one broadcast domain: a switch, or a wireless network, with hosts on it.
// That of a Router is its inside; one of Internet.LAN leads nowhere else. What is
// set here holds for all that hosts send each other on it, by multicast too, and
// not for what comes in from outside.
type LAN struct {
	net    *Internet
	realm  *realm
	random *rand.Rand
	loss   float64
	copies float64
	apart  map[netip.Addr]bool // one side of a partition; empty: there is none
	tap    func(from netip.AddrPort, pkt []byte)
}

// newLAN returns the realm of a LAN behind a router, nil for none. Its chances
// are not counted among those of hosts and routers.
func (n *Internet) newLAN(gateway *Router) *realm {
	n.lans++
	r := &realm{gateway: gateway, nodes: make(map[netip.Addr]node)}
	r.lan = &LAN{net: n, realm: r, random: rand.New(rand.NewPCG(n.seed, n.lans<<32))}
	return r
}

// LAN returns a network without a router: its hosts reach each other only.
func (n *Internet) LAN() *LAN {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newLAN(nil).lan
}

// Host adds a host with the given addresses. It panics when one is taken.
func (l *LAN) Host(addr ...netip.Addr) *Host { return l.net.host(l.realm, addr...) }

// SetLoss sets the share of packets, 0 to 1, that get lost between two hosts.
func (l *LAN) SetLoss(p float64) { l.set(func() { l.loss = p }) }

// SetDuplication sets the share of packets, 0 to 1, that arrive twice.
func (l *LAN) SetDuplication(p float64) { l.set(func() { l.copies = p }) }

// Split takes the hosts with the given addresses apart from all others, the
// router too unless its hosts are named: nothing passes between the two sides.
// Without addresses the LAN is whole again.
func (l *LAN) Split(side ...netip.Addr) {
	l.set(func() {
		l.apart = make(map[netip.Addr]bool)
		for _, a := range side {
			l.apart[a] = true
		}
	})
}

// Overhear makes f see every packet that a host announces, with the address that
// it is announced from, before it gets lost. pkt is valid during the call; f must
// not call into this package. Nil ends it.
func (l *LAN) Overhear(f func(from netip.AddrPort, pkt []byte)) { l.set(func() { l.tap = f }) }

// Forge announces a packet as a host with any address would; Overhear does not
// see it.
func (l *LAN) Forge(from netip.AddrPort, pkt []byte) {
	l.set(func() { l.announce(nil, from, pkt) })
}

func (l *LAN) set(change func()) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	change()
}

// carry sends p on its way to a host of the LAN.
func (l *LAN) carry(p *packet) {
	if l.parts(p.from.Addr(), p.to.Addr()) || chance(l.random, l.loss) {
		l.net.release(p)
		return
	}
	if chance(l.random, l.copies) {
		l.net.launch(l.net.copy(p), lanDelay)
	}
	l.net.launch(p, lanDelay)
}

// parts reports whether a partition lies between two addresses.
func (l *LAN) parts(a, b netip.Addr) bool { return l.apart[a] != l.apart[b] }

// chance decides something that happens in a share of all cases. It asks for no
// random number where there is nothing to decide, so that a switch that is off
// changes nothing of what follows.
func chance(r *rand.Rand, share float64) bool { return share > 0 && r.Float64() < share }

// copy returns a second packet like p.
func (n *Internet) copy(p *packet) *packet {
	q := n.packet()
	*q = *p
	return q
}

// Move takes a host away from where it is and puts it here, with other
// addresses: a cable that is plugged in elsewhere, or another wireless network.
// Its ports stay open. It panics when an address is taken.
func (l *LAN) Move(h *Host, addr ...netip.Addr) { h.move(l.realm, addr) }

// Move takes a host away from where it is and gives it public addresses, as
// LAN.Move does.
func (n *Internet) Move(h *Host, addr ...netip.Addr) { h.move(n.public, addr) }

// SetAddresses gives the host other addresses where it is, or none.
func (h *Host) SetAddresses(addr ...netip.Addr) {
	h.net.mu.Lock()
	r := h.realm
	h.net.mu.Unlock()
	h.move(r, addr)
}

func (h *Host) move(to *realm, addr []netip.Addr) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	maps.DeleteFunc(h.realm.nodes, func(_ netip.Addr, x node) bool { return x == h })
	h.join(to, addr)
	for _, w := range h.watchers {
		signal(w)
	}
}

// join gives the host its addresses in a realm.
func (h *Host) join(r *realm, addr []netip.Addr) {
	h.realm = r
	h.addrs.Store(&addr)
	for _, a := range addr {
		r.add(a, h)
	}
}

// signal leaves a token in a channel unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
