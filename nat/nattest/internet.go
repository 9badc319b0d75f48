package nattest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	defaultDelay = 5 * time.Millisecond
	lanDelay     = 200 * time.Microsecond
	defaultTTL   = 64
	coreHops     = 8 // between two customers' routers: where a TTL of 2 to 5 ends
)

// Internet is the public internet and everything that hangs on it.
type Internet struct {
	mu     sync.Mutex
	start  time.Time
	seed   uint64
	nodes  uint64 // hosts and routers made so far
	losses map[netip.Addr]*rand.Rand
	public *realm
	nat64  *Router // nil: there is none
	wires  wires
	flying flight
	timer  *time.Timer
	conns  map[*Conn]struct{}
	closed bool

	announcers []*Multicast // in the order in which they were opened
	lans       uint64       // LANs made so far
}

// wires are the properties of the public internet's lines.
type wires struct {
	delay time.Duration
	loss  float64
	mtu   int                   // bytes of the largest IP packet, 0 = any
	alone bool                  // trains are lost
	paths map[[2]netip.Addr]int // the same between two addresses, by source and destination
	drop  func(from, to netip.AddrPort, b []byte) bool
	tap   func(from, to netip.AddrPort, b []byte)
}

// realm is one address space: the public internet, or a LAN.
type realm struct {
	gateway *Router // nil on the public internet, and on a LAN without a router
	lan     *LAN    // nil on the public internet
	nodes   map[netip.Addr]node
}

// node is what has an address in a realm: a *Host or a *Router.
type node interface {
	// arrive takes a datagram that reached the node's address; the lock is
	// held. The packet is the node's from then on.
	arrive(p *packet)
}

// New returns an internet without hosts. Loss and random ports follow the seed:
// each host and router has chances of its own, by the order in which they are
// made, so that what others do at the same moment does not change them. Inside a
// synctest bubble it must be made there.
func New(seed uint64) *Internet {
	return &Internet{
		start:  time.Now(),
		seed:   seed,
		losses: make(map[netip.Addr]*rand.Rand),
		public: &realm{nodes: make(map[netip.Addr]node)},
		wires:  wires{delay: defaultDelay, paths: make(map[[2]netip.Addr]int)},
		conns:  make(map[*Conn]struct{}),
	}
}

// Seed returns the seed given to New.
func (n *Internet) Seed() uint64 { return n.seed }

// Close ends the internet: every Conn is closed and nothing is delivered any
// more.
func (n *Internet) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.timer != nil {
		n.timer.Stop()
	}
	for c := range n.conns {
		c.shut()
	}
	for _, m := range n.announcers {
		m.shut()
	}
	n.announcers = nil
}

// SetLoss sets the share of datagrams, 0 to 1, that the public internet loses.
func (n *Internet) SetLoss(p float64) { n.set(func(w *wires) { w.loss = p }) }

// SetDelay sets the time one way through the public internet, 5 ms at first. It
// holds for datagrams sent from now on.
func (n *Internet) SetDelay(d time.Duration) { n.set(func(w *wires) { w.delay = d }) }

// Delay returns the time one way through the public internet.
func (n *Internet) Delay() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wires.delay
}

// SetMTU makes the public internet silently drop IP packets of more than the
// given bytes, 0 for none. A datagram counts 28 bytes more than its payload,
// over IPv6 48.
func (n *Internet) SetMTU(bytes int) { n.set(func(w *wires) { w.mtu = bytes }) }

// SetTrains says whether datagrams that leave as one train get through; else they are
// lost, as by a network card that cuts trains apart and does it wrong.
func (n *Internet) SetTrains(carried bool) { n.set(func(w *wires) { w.alone = !carried }) }

// SetPathMTU is SetMTU for what goes from one address to another or back; 0 takes
// it away again. The addresses are the ones outside of all routers.
func (n *Internet) SetPathMTU(a, b netip.Addr, bytes int) {
	n.set(func(w *wires) {
		w.paths[[2]netip.Addr{a, b}], w.paths[[2]netip.Addr{b, a}] = bytes, bytes
	})
}

// SetDrop makes the public internet drop every datagram for which f returns
// true; nil drops none. The addresses are the ones outside of all routers. f
// must not call into this package.
func (n *Internet) SetDrop(f func(from, to netip.AddrPort, b []byte) bool) {
	n.set(func(w *wires) { w.drop = f })
}

// Tap makes f see every datagram that enters the public internet, also those
// that get lost there, in order and one at a time. b is valid during the call;
// f must not call into this package.
func (n *Internet) Tap(f func(from, to netip.AddrPort, b []byte)) {
	n.set(func(w *wires) { w.tap = f })
}

// Inject puts a datagram on the public internet as somebody does who forges its
// source; Tap does not see it. What is longer than 2048 bytes is cut.
func (n *Internet) Inject(from, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.packet()
	p.from, p.to, p.ttl, p.realm = from, to, defaultTTL-coreHops, n.public
	p.n = copy(p.buf[:], b)
	n.launch(p, n.wires.delay)
}

func (n *Internet) set(change func(*wires)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.wires)
}

// Host adds a host with the given addresses to the public internet. It panics
// when one of them is taken.
func (n *Internet) Host(addr ...netip.Addr) *Host {
	return n.host(n.public, addr...)
}

// Router adds a router with the given public address. It panics when that is
// taken.
func (n *Internet) Router(addr netip.Addr, b Behavior) *Router {
	return n.router(n.public, addr, b)
}

func (n *Internet) host(r *realm, addr ...netip.Addr) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{net: n, random: n.chances(), ports: make(map[uint16]*Conn)}
	h.join(r, addr)
	return h
}

func (n *Internet) router(outer *realm, addr netip.Addr, b Behavior) *Router {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := newRouter(n, outer, addr, b)
	outer.add(addr, r)
	return r
}

// chances returns the random numbers of one more node.
func (n *Internet) chances() *rand.Rand {
	n.nodes++
	return rand.New(rand.NewPCG(n.seed, n.nodes))
}

// lost reports whether the public internet loses a datagram of from.
func (n *Internet) lost(from netip.Addr) bool {
	if n.wires.loss == 0 {
		return false
	}
	r := n.losses[from]
	if r == nil {
		a := from.As16()
		r = rand.New(rand.NewPCG(n.seed^binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])))
		n.losses[from] = r
	}
	return r.Float64() < n.wires.loss
}

func (r *realm) add(a netip.Addr, x node) {
	if _, taken := r.nodes[a]; taken || !a.IsValid() || a.Is4In6() {
		panic(fmt.Sprintf("nattest: address %v is taken or no address", a))
	}
	r.nodes[a] = x
}

// now returns the time since the internet began.
func (n *Internet) now() time.Duration { return time.Since(n.start) }

// route carries p, which stands in r, to the realm that has its destination and
// sends it on its way there; or drops it.
func (n *Internet) route(p *packet, r *realm) {
	for {
		if _, here := r.nodes[p.to.Addr()]; here {
			n.depart(p, r)
			return
		}
		gateway := r.gateway
		if r == n.public {
			gateway = n.translator(p)
		}
		if gateway == nil || !p.hop(1) || !gateway.outbound(p) {
			n.release(p)
			return
		}
		if p.to.Addr() == gateway.addr {
			gateway.hairpin(p)
			return
		}
		r = gateway.outer
	}
}

// depart puts p on the wires of realm r.
func (n *Internet) depart(p *packet, r *realm) {
	p.realm = r
	if r.lan != nil {
		r.lan.carry(p)
		return
	}
	w := &n.wires
	if w.tap != nil {
		w.tap(p.from, p.to, p.payload())
	}
	switch {
	case !w.carries(p),
		w.drop != nil && w.drop(p.from, p.to, p.payload()),
		n.lost(p.from.Addr()),
		!p.hop(coreHops):
		n.release(p)
	default:
		n.launch(p, w.delay)
	}
}

// carries reports whether p is not too large.
func (w *wires) carries(p *packet) bool {
	for _, mtu := range [...]int{w.mtu, w.paths[[2]netip.Addr{p.from.Addr(), p.to.Addr()}]} {
		if mtu > 0 && p.size() > mtu {
			return false
		}
	}
	return true
}

// land hands p to whoever has its destination address by now.
func (n *Internet) land(p *packet) {
	if p.group != nil {
		p.group.arrive(p)
		return
	}
	if x, ok := p.realm.nodes[p.to.Addr()]; ok {
		x.arrive(p)
		return
	}
	n.release(p)
}
