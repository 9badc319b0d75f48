package nattest

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"time"

	"hedgerow/nat/nat64"
)

// Mapping is how a NAT gives external ports to flows (RFC 4787, section 4.1).
type Mapping uint8

// The mapping behaviours.
const (
	EndpointIndependentMapping     Mapping = iota // one port whatever the destination
	AddressDependentMapping                       // one for each destination address
	AddressAndPortDependentMapping                // one for each destination address and port: "symmetric"
)

// Filtering is whose datagrams a mapping lets in (RFC 4787, section 5).
type Filtering uint8

// The filtering behaviours.
const (
	EndpointIndependentFiltering     Filtering = iota // everybody's: "full cone"
	AddressDependentFiltering                         // of addresses that were sent to: "restricted"
	AddressAndPortDependentFiltering                  // of addresses and ports that were sent to: "port-restricted"
)

const (
	defaultTimeout = 2 * time.Minute // RFC 4787, REQ-5
	claimTimeout   = 30 * time.Second
	firstPort      = 1024
	sequentialFrom = 40000
	tableLen       = 4096 // entries after which a table is rid of expired ones
)

// Behavior is what a router does. The zero value maps and filters
// endpoint-independently with ports in sequence.
type Behavior struct {
	Mapping        Mapping
	Filtering      Filtering
	PortPreserving bool          // the internal port, when it is free outside
	RandomPorts    bool          // else random ones; else First, First+1, ...
	First          uint16        // 0 = 40000
	Block          uint16        // random ones of as many from 40000 on; 0 = all
	Hairpin        bool          // hosts inside reach each other at the external address, seen from there (REQ-9)
	OpenInput      bool          // as Linux without an input-drop policy: an early datagram from outside claims its flow, and ours moves to another port
	Timeout        time.Duration // of a mapping without datagrams either way, 0 = 2 min
}

// The routers that tests need most.
var (
	// FullCone is the kindest NAT.
	FullCone = Behavior{PortPreserving: true}
	// PortRestricted is what a Linux router with a firewall does.
	PortRestricted = Behavior{Filtering: AddressAndPortDependentFiltering, PortPreserving: true}
	// Symmetric is a Linux router with fully random ports, and many a carrier's.
	Symmetric = Behavior{Mapping: AddressAndPortDependentMapping, Filtering: AddressAndPortDependentFiltering, RandomPorts: true}
)

// Router is a router with a NAT: one address in its outer realm, a LAN of its
// own inside.
type Router struct {
	net      *Internet
	outer    *realm
	inner    *realm
	random   *rand.Rand
	addr     netip.Addr
	prefix   nat64.Prefix // of a NAT64, else not valid
	behavior Behavior
	nextPort uint16
	mappings map[flow]*mapping
	ports    map[uint16]*mapping
	claims   map[claim]time.Duration     // when
	maps     bool                        // takes requests for mappings
	asked    map[netip.AddrPort]*mapping // those that were asked for, by the internal address
}

// flow identifies a mapping. Of remote only what the mapping depends on is set.
type flow struct{ internal, remote netip.AddrPort }

// claim is a flow that a datagram from outside began at the router itself.
type claim struct {
	port   uint16
	remote netip.AddrPort
}

// mapping is an external port that stands for an internal address and port.
type mapping struct {
	flow    flow
	port    uint16
	used    time.Duration                    // when last
	permits map[netip.AddrPort]time.Duration // when the remote was last talked with; port 0 where only the address counts
	asked   bool                             // it was asked for, lets everybody in and does not end by itself
}

func newRouter(n *Internet, outer *realm, addr netip.Addr, b Behavior) *Router {
	if b.Timeout == 0 {
		b.Timeout = defaultTimeout
	}
	r := &Router{net: n, outer: outer, random: n.chances(), addr: addr, behavior: b, nextPort: cmp.Or(b.First, sequentialFrom)}
	r.inner = n.newLAN(r)
	r.maps = true
	r.forget()
	return r
}

// LAN returns the network inside.
func (r *Router) LAN() *LAN { return r.inner.lan }

// Host adds a host to the router's LAN. It panics when the address is taken.
func (r *Router) Host(addr netip.Addr) *Host { return r.net.host(r.inner, addr) }

// Router adds a router to the router's LAN, for example a home behind a
// carrier-grade NAT. It panics when the address is taken.
func (r *Router) Router(addr netip.Addr, b Behavior) *Router {
	return r.net.router(r.inner, addr, b)
}

// Reboot loses every mapping.
func (r *Router) Reboot() {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.forget()
}

// SetTimeout changes for how long a mapping lives without datagrams.
func (r *Router) SetTimeout(d time.Duration) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.behavior.Timeout = d
}

// SetAddr gives the router another outer address and loses every mapping, as a
// reconnection of the line does.
func (r *Router) SetAddr(addr netip.Addr) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	delete(r.outer.nodes, r.addr)
	r.outer.add(addr, r)
	r.addr = addr
	r.forget()
}

func (r *Router) forget() {
	r.mappings = make(map[flow]*mapping)
	r.ports = make(map[uint16]*mapping)
	r.claims = make(map[claim]time.Duration)
	r.asked = make(map[netip.AddrPort]*mapping)
	r.tellMappers()
}

// outbound translates the source of p, which leaves the LAN, and opens the
// filter for the answer. It reports false when no port is left.
func (r *Router) outbound(p *packet) bool {
	now := r.net.now()
	m := r.answering(now, p)
	if m == nil {
		m = r.mapping(now, flow{p.from, r.dependence(p.to)}, r.behavior.PortPreserving)
	}
	if m != nil && r.claimed(now, m.port, p.to) {
		// The outer flow exists already, as somebody else's: this one moves.
		m = r.mapping(now, flow{p.from, p.to}, false)
	}
	if m == nil {
		return false
	}
	m.used = now
	if r.behavior.Filtering != EndpointIndependentFiltering && !m.asked {
		if len(m.permits) >= tableLen {
			expire(m.permits, now-r.behavior.Timeout)
		}
		m.permits[r.permit(p.to)] = now
	}
	p.from = netip.AddrPortFrom(r.addr, m.port)
	return true
}

// arrive takes a datagram to the router's outer address: it goes on to the host
// inside whose mapping lets it in.
func (r *Router) arrive(p *packet) {
	now := r.net.now()
	m := r.ports[p.to.Port()]
	if m == nil || r.expired(now, m) || !r.admits(now, m, p.from) {
		if r.behavior.OpenInput {
			if len(r.claims) >= tableLen {
				expire(r.claims, now-claimTimeout)
			}
			r.claims[claim{p.to.Port(), p.from}] = now
		}
		r.net.release(p)
		return
	}
	m.used = now
	p.from, p.to = r.inward(p.from), m.flow.internal
	inside, ok := r.inner.nodes[p.to.Addr()]
	if !ok || !p.hop(1) {
		r.net.release(p)
		return
	}
	inside.arrive(p)
}

// hairpin takes p, translated, from the LAN to the router's own outer address.
func (r *Router) hairpin(p *packet) {
	if !r.behavior.Hairpin {
		r.net.release(p)
		return
	}
	p.realm = r.outer
	r.net.launch(p, lanDelay)
}

// dependence returns the part of a destination that mappings depend on.
func (r *Router) dependence(to netip.AddrPort) netip.AddrPort {
	switch r.behavior.Mapping {
	case AddressAndPortDependentMapping:
		return to
	case AddressDependentMapping:
		return netip.AddrPortFrom(to.Addr(), 0)
	}
	return netip.AddrPort{}
}

// permit returns the part of a remote that filtering depends on.
func (r *Router) permit(remote netip.AddrPort) netip.AddrPort {
	if r.behavior.Filtering == AddressDependentFiltering {
		return netip.AddrPortFrom(remote.Addr(), 0)
	}
	return remote
}

// admits reports whether m lets datagrams of remote in, and prolongs that.
func (r *Router) admits(now time.Duration, m *mapping, remote netip.AddrPort) bool {
	if m.asked {
		m.permits[remote] = now
		return true
	}
	if r.behavior.Filtering == EndpointIndependentFiltering {
		return true
	}
	key := r.permit(remote)
	last, ok := m.permits[key]
	if !ok || now-last >= r.behavior.Timeout {
		return false
	}
	m.permits[key] = now
	return true
}

func (r *Router) claimed(now time.Duration, port uint16, remote netip.AddrPort) bool {
	if !r.behavior.OpenInput {
		return false
	}
	at, ok := r.claims[claim{port, remote}]
	return ok && now-at < claimTimeout
}

func (r *Router) expired(now time.Duration, m *mapping) bool {
	return !m.asked && now-m.used >= r.behavior.Timeout
}

// mapping returns the mapping of f, a new one when there is none alive, or nil
// when every port is in use.
func (r *Router) mapping(now time.Duration, f flow, preserve bool) *mapping {
	if m := r.mappings[f]; m != nil {
		if !r.expired(now, m) {
			return m
		}
		r.remove(m)
	}
	if len(r.ports) >= tableLen {
		for _, m := range r.ports {
			if r.expired(now, m) {
				r.remove(m)
			}
		}
	}
	port, ok := r.port(now, f.internal.Port(), preserve)
	if !ok {
		return nil
	}
	m := &mapping{flow: f, port: port}
	if r.behavior.Filtering != EndpointIndependentFiltering {
		m.permits = make(map[netip.AddrPort]time.Duration)
	}
	r.mappings[f], r.ports[port] = m, m
	return m
}

func (r *Router) remove(m *mapping) {
	delete(r.mappings, m.flow)
	delete(r.ports, m.port)
}

// port chooses a free external port.
func (r *Router) port(now time.Duration, internal uint16, preserve bool) (uint16, bool) {
	if preserve && r.free(now, internal) {
		return internal, true
	}
	for range 65536 {
		port := r.nextPort
		if r.behavior.RandomPorts || r.behavior.PortPreserving {
			port = uint16(firstPort + r.random.IntN(65536-firstPort))
			if r.behavior.Block > 0 {
				port = sequentialFrom + uint16(r.random.IntN(int(r.behavior.Block)))
			}
		} else if r.nextPort++; r.nextPort == 0 {
			r.nextPort = firstPort
		}
		if r.free(now, port) {
			return port, true
		}
	}
	return 0, false
}

// free reports whether no live mapping has the port, and removes a dead one.
func (r *Router) free(now time.Duration, port uint16) bool {
	m := r.ports[port]
	if m != nil && r.expired(now, m) {
		r.remove(m)
		m = nil
	}
	return m == nil
}

// expire removes the entries of a table that were last used before the limit.
func expire[K comparable](table map[K]time.Duration, limit time.Duration) {
	for k, last := range table {
		if last <= limit {
			delete(table, k)
		}
	}
}
