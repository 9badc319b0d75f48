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
// enough for the hundreds of probes that one peer may cost in a second. Where the system
// tells of every change an answer counts for freshTold: an edge that nobody uses pings
// some peer every second, and would have the kernel list all interfaces each time.
const (
	fresh     = time.Second
	freshTold = time.Minute
)

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
	device  int // the index of the interface
	from    source
	changes func() (number int64, told bool)

	mu     sync.Mutex
	links  links
	read   reading // of links
	routes map[netip.Addr]remembered
}

// reading is when something was asked of the system. The zero value is never.
type reading struct {
	at     time.Time
	told   bool  // the system told of changes then
	number int64 // of the last one
}

// Told has answers of the system count for longer while changes, as netwatch.Changes does,
// tells of none. It is called before all other methods.
func (s *Stack) Told(changes func() (number int64, told bool)) { s.changes = changes }

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
	reading
}

// New returns the stack of the device with an interface index. It belongs to the network
// namespace of the threads that call its methods.
func New(device int) *Stack {
	untold := func() (int64, bool) { return 0, false }
	return &Stack{device: device, changes: untold, routes: make(map[netip.Addr]remembered)}
}

// Forget has the next questions asked of the system: interfaces or routes have changed.
func (s *Stack) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = reading{}
	clear(s.routes)
}

// counts reports whether an answer of the system still counts.
func (s *Stack) counts(now time.Time, r reading) bool {
	age := now.Sub(r.at)
	if r.at.IsZero() || age < fresh {
		return !r.at.IsZero()
	}
	number, told := s.changes()
	return r.told && told && number == r.number && age < freshTold
}

// reading returns that of an answer which is asked for now.
func (s *Stack) reading(now time.Time) reading {
	number, told := s.changes()
	return reading{now, told, number}
}

// current returns the interfaces, read anew if need be; the lock is held.
func (s *Stack) current(now time.Time) *links {
	if !s.counts(now, s.read) {
		s.look(now)
	}
	return &s.links
}

// look reads the interfaces; the lock is held.
func (s *Stack) look(now time.Time) {
	s.read = s.reading(now)
	s.links = readLinks(s.device)
}

// knowing is current for a question about the interface of a name. One that is not among
// them is newer than they are: they are read anew.
func (s *Stack) knowing(ifname string) *links {
	now := time.Now()
	if _, known := s.current(now).tunnels[ifname]; !known {
		s.look(now)
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
	if r := s.routes[to]; s.counts(now, r.reading) {
		return r.egress
	}
	if len(s.routes) >= maxRemembered {
		clear(s.routes)
	}
	r := s.reading(now)
	egress := s.current(now).egress(to, s.from)
	s.routes[to] = remembered{egress, r}
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
