//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
)

// A Kind is how a home router translates and filters IPv4. The words of RFC
// 4787 say what a kind is; TestKinds measures it.
type Kind uint8

const (
	// PortRestricted is a Linux router with a closed input chain: mapping
	// endpoint-independent, filtering address-and-port-dependent, the port is
	// kept.
	PortRestricted Kind = iota + 1
	// EndpointIndependent is a full cone: mapping and filtering both
	// endpoint-independent, the port is kept.
	EndpointIndependent
	// OpenInput is PortRestricted without the input chain. A datagram that
	// comes in before ours goes out takes the tuple in the connection table,
	// and our mapping moves to another port: plain simultaneous punching fails.
	OpenInput
	// SymmetricRandom maps every destination to a random port of its own:
	// mapping and filtering both address-and-port-dependent.
	SymmetricRandom
)

func (k Kind) String() string {
	switch k {
	case PortRestricted:
		return "port-restricted"
	case EndpointIndependent:
		return "endpoint-independent"
	case OpenInput:
		return "open-input"
	case SymmetricRandom:
		return "symmetric-random"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Router is a home router: a WAN link to the internet, and a bridge with the
// home's hosts. IPv6 is routed, not translated; every kind but OpenInput lets
// in only what belongs to a flow that began inside.
type Router struct {
	*Namespace
	*Forwarding
	kind Kind
	wan  []netip.Addr
	lan  []netip.Prefix // the router's own address within each

	mu    sync.Mutex
	hosts int // made so far, for the next one's address
}

// DefaultLAN is the network of a home that names none: 192.168.1.0/24.
var DefaultLAN = netip.MustParsePrefix("192.168.1.0/24")

// bridgeMAC is the hardware address of every router on its home's segment.
var bridgeMAC = net.HardwareAddr{0x02, 0x00, 0x5e, 0x00, 0x00, 0x01}

// Router adds a home router. wan is its public IPv4 address. Of more, an
// address is a further one of the WAN link, and a prefix is a network of the
// home: an IPv4 one takes the place of DefaultLAN, an IPv6 one (of 64 bits) is
// routed to the router. The router is the first address of each network.
func (l *Lab) Router(name, wan string, kind Kind, more ...string) (*Router, error) {
	r, err := l.newRouter(name, kind, append([]string{wan}, more...))
	if err != nil {
		return nil, fmt.Errorf("lab %s: router %s: %w", l.name, name, err)
	}
	return r, nil
}

func (l *Lab) newRouter(name string, kind Kind, list []string) (*Router, error) {
	r := &Router{kind: kind}
	if err := r.parse(list); err != nil {
		return nil, err
	}
	n, err := l.namespace(name)
	if err != nil {
		return nil, err
	}
	r.Namespace = n
	if err := n.forward(); err != nil {
		return nil, err
	}
	if err := l.subscribe(end{n, WANLink}, r.wan); err != nil {
		return nil, err
	}
	if err := r.bridge(); err != nil {
		return nil, err
	}
	if r.Forwarding, err = newForwarding(n); err != nil {
		return nil, err
	}
	if err := translate(n, kind); err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return r, nil
}

// parse sorts the addresses and networks of Router.
func (r *Router) parse(list []string) error {
	for _, s := range list {
		if !strings.Contains(s, "/") {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return err
			}
			r.wan = append(r.wan, a)
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return err
		}
		r.lan = append(r.lan, netip.PrefixFrom(p.Masked().Addr().Next(), p.Bits()))
	}
	if len(r.wan) == 0 || !r.wan[0].Is4() {
		return fmt.Errorf("the WAN address %v is not IPv4", list[0])
	}
	for _, p := range r.lan {
		if p.Addr().Is4() {
			return nil
		}
	}
	r.lan = append(r.lan, netip.PrefixFrom(DefaultLAN.Addr().Next(), DefaultLAN.Bits()))
	return nil
}

// bridge makes the home's segment and routes its IPv6 networks to it.
func (r *Router) bridge() error {
	snooping := false
	br := &netlink.Bridge{
		// A bridge without an address of its own takes the lowest of its ports'
		// and changes it when a host is added.
		LinkAttrs:         netlink.LinkAttrs{Name: LANLink, MTU: linkMTU, HardwareAddr: bridgeMAC},
		MulticastSnooping: &snooping,
	}
	if err := r.links.LinkAdd(br); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	lan := end{r.Namespace, LANLink}
	if err := lan.up(); err != nil {
		return err
	}
	if err := lan.address(netip.PrefixFrom(gateway6, 64)); err != nil {
		return err
	}
	for _, p := range r.lan {
		if err := lan.address(p); err != nil {
			return err
		}
		if p.Addr().Is4() {
			continue
		}
		if err := (end{r.Namespace, WANLink}).route(everywhere6, gateway6); err != nil {
			return err
		}
		outside := end{r.lab.internet.Namespace, r.name}
		if err := outside.route(p.Masked(), subscriber6); err != nil {
			return err
		}
	}
	return nil
}

// Host adds a host to the home, with one address from each of its networks: the
// tenth for the first host, the eleventh for the second.
func (r *Router) Host(name string) (*Host, error) {
	r.mu.Lock()
	index := 10 + r.hosts
	r.hosts++
	r.mu.Unlock()
	n, err := r.lab.namespace(name)
	if err != nil {
		return nil, fmt.Errorf("router %s: host %s: %w", r.name, name, err)
	}
	h := &Host{Namespace: n}
	if err := r.plug(h, index); err != nil {
		return nil, fmt.Errorf("router %s: host %s: %w", r.name, name, err)
	}
	return h, nil
}

// plug connects a host to the bridge and gives it its addresses and routes.
func (r *Router) plug(h *Host, index int) error {
	inside, port := end{h.Namespace, HostLink}, end{r.Namespace, h.name}
	if err := r.lab.connect(inside, port); err != nil {
		return err
	}
	link, err := port.link()
	if err != nil {
		return err
	}
	lan := end{r.Namespace, LANLink}
	bridge, err := lan.link()
	if err != nil {
		return err
	}
	if err := r.links.LinkSetMaster(link, bridge); err != nil {
		return fmt.Errorf("bridge port: %w", err)
	}
	// A bridge has a carrier from its first port on.
	if err := lan.ready(); err != nil {
		return err
	}
	for _, p := range r.lan {
		a := p.Addr()
		for range index - 1 {
			a = a.Next()
		}
		if err := inside.address(netip.PrefixFrom(a, p.Bits())); err != nil {
			return err
		}
		all, gateway := everywhere4, p.Addr()
		if a.Is6() {
			all, gateway = everywhere6, gateway6
		}
		if err := inside.route(all, gateway); err != nil {
			return err
		}
		h.addrs = append(h.addrs, a)
	}
	return nil
}

// Kind returns the kind given to Lab.Router.
func (r *Router) Kind() Kind { return r.kind }

// WAN returns the router's public IPv4 address.
func (r *Router) WAN() netip.Addr { return r.wan[0] }

// Reboot forgets every mapping, as a router that loses power does: the
// connection table is flushed, and the maps of EndpointIndependent with it.
func (r *Router) Reboot() error {
	if err := forget(r.Namespace, r.kind); err != nil {
		return fmt.Errorf("router %s: reboot: %w", r.name, err)
	}
	if err := r.links.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		return fmt.Errorf("router %s: reboot: %w", r.name, err)
	}
	return nil
}

// Connections returns how many entries the connection table holds, of both
// families.
func (r *Router) Connections() (int, error) {
	total := 0
	for _, family := range []netlink.InetFamily{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		flows, err := r.links.ConntrackTableList(netlink.ConntrackTable, family)
		if err != nil {
			return 0, fmt.Errorf("router %s: connections: %w", r.name, err)
		}
		total += len(flows)
	}
	return total, nil
}
