package stack

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// fresh is for how long an answer of the system counts, unless Forget is called. It is
// short, since an interface may be renamed or a route be set at any time, and long
// enough for the hundreds of probes that one peer may cost in a second.
const fresh = time.Second

// maxRemembered bounds the routes that are remembered.
const maxRemembered = 1024

// Alias is the alias of an edge's device (IFLA_IFALIAS), by which edges on one host know
// each other's.
const Alias = "hedgerow edge"

// An Egress is where packets to an address go.
type Egress uint8

const (
	// Outside is past the overlay, or nowhere.
	Outside Egress = iota
	// Above is by an interface above the device, such as its bridge: into the overlay,
	// unless the address is at another port.
	Above
	// Into is by the device itself.
	Into
)

// A Stack is that of one device. Its methods may be called from any goroutine.
type Stack struct {
	device int // the index of the interface
	from   source

	mu     sync.Mutex
	links  links
	read   time.Time // when links were read; zero: never
	routes map[netip.Addr]remembered
}

// source is what packets of the underlay have, by which this host routes them.
type source struct {
	mark   uint32
	ifname string
}

// From has the routes looked up of packets with a firewall mark, and that leave by an
// interface, as those of the underlay do; 0 and "" are those of any other. It is called
// before all other methods.
func (s *Stack) From(mark uint32, ifname string) { s.from = source{mark, ifname} }

// links are the interfaces of this host.
type links struct {
	names    map[int]string // of the stack, by index
	roots    map[int]bool   // devices of edges
	tunnels  map[string]bool
	stations []net.HardwareAddr
	inner    func() map[string]bool // interfaces that lead to nothing but what runs on this host; asks the kernel once
}

// holds reports whether an interface is in the stack.
func (l *links) holds(ifindex int) bool {
	_, held := l.names[ifindex]
	return held
}

// remembered is an answer about a route.
type remembered struct {
	egress Egress
	until  time.Time
}

// New returns the stack of the device with an interface index. It belongs to the network
// namespace of the threads that call its methods.
func New(device int) *Stack {
	return &Stack{device: device, routes: make(map[netip.Addr]remembered)}
}

// Forget has the next questions asked of the system: interfaces or routes have changed.
func (s *Stack) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
	clear(s.routes)
}

// current returns the interfaces, read anew if need be; the lock is held.
func (s *Stack) current(now time.Time) *links {
	if s.read.IsZero() || now.Sub(s.read) >= fresh {
		s.links, s.read = readLinks(s.device), now
	}
	return &s.links
}

// knowing is current for a question about the interface of a name. One that is not among
// them is newer than they are: they are read anew.
func (s *Stack) knowing(ifname string) *links {
	now := time.Now()
	if _, known := s.current(now).tunnels[ifname]; !known {
		s.links, s.read = readLinks(s.device), now
	}
	return &s.links
}

// Named reports whether the interface of this name is in the stack.
func (s *Stack) Named(ifname string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.knowing(ifname).names {
		if name == ifname {
			return true
		}
	}
	return false
}

// Underlay reports whether packets that leave by the interface of this name travel outside
// the overlay and every other tunnel.
func (s *Stack) Underlay(ifname string) bool {
	if s.Named(ifname) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.knowing(ifname).tunnels[ifname]
}

// Inner reports whether the interface of this name leads to nothing but containers and
// virtual machines of this host: no other host reaches its addresses, or only by an overlay
// of the containers' own.
func (s *Stack) Inner(ifname string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knowing(ifname).inner()[ifname]
}

// Holds reports whether the interface with this index is in the stack.
func (s *Stack) Holds(ifindex int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current(time.Now()).holds(ifindex)
}

// Stations returns the hardware addresses of all interfaces of this host, which its own
// frames have as their source wherever they come from.
func (s *Stack) Stations() []net.HardwareAddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current(time.Now()).stations
}

// Egress returns where packets to an address go now.
func (s *Stack) Egress(to netip.Addr) Egress {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if r, known := s.routes[to]; known && now.Before(r.until) {
		return r.egress
	}
	if len(s.routes) >= maxRemembered {
		clear(s.routes)
	}
	egress := s.current(now).egress(to, s.from)
	s.routes[to] = remembered{egress: egress, until: now.Add(fresh)}
	return egress
}

// internet4 and internet6 are addresses that belong to no network of a host, so that a route
// there is one to the internet: the anycast addresses of the Port Control Protocol (RFC
// 7723), by which default routes are found, and that of a root name server, for routers that
// have all the internet's routes instead. Nothing is sent there.
var (
	internet4 = [...]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 9}), netip.AddrFrom4([4]byte{193, 0, 14, 129})}
	internet6 = [...]netip.Addr{netip.MustParseAddr("2001:1::1"), netip.MustParseAddr("2001:7fd::1")}
)

// Internet reports whether this host has a route to the internet of an IP version, 4 or 6,
// that does not lead into the overlay.
func (s *Stack) Internet(version int) bool {
	list := internet4
	if version == 6 {
		list = internet6
	}
	return slices.ContainsFunc(list[:], func(a netip.Addr) bool { return s.routed(a) && s.Egress(a) == Outside })
}
