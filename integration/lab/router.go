//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
)

// A Router is a home router: a WAN link to the internet or to a carrier's
// router, and a bridge with the home's hosts. IPv6 is routed, not translated;
// every kind but OpenInput admits only packets of a flow that began inside.
type Router struct {
	*Namespace
	*Forwarding
	kind    Kind
	carrier *Router        // the router whose home the WAN link is in; nil: the internet
	lan     []netip.Prefix // the router's own address within each

	mu       sync.Mutex
	wan      []netip.Addr
	hosts    int // made so far, for the next one's address
	isolated bool
}

// DefaultLAN is the network of a home that names none: 192.168.1.0/24.
var DefaultLAN = netip.MustParsePrefix("192.168.1.0/24")

// CarrierLAN is the network between a carrier's router and those of its
// subscribers: 100.64.0.0/24, of the range for that (RFC 6598).
var CarrierLAN = netip.MustParsePrefix("100.64.0.0/24")

// Router adds a home router. wan is its public IPv4 address. In more, an address
// is a further one of the WAN link, and a prefix is a network of the home: an
// IPv4 one replaces DefaultLAN, an IPv6 one (of 64 bits) is routed to the
// router. The router is the first address of each network.
func (l *Lab) Router(name, wan string, kind Kind, more ...string) (*Router, error) {
	r, err := l.newRouter(name, kind, nil, append([]string{wan}, more...))
	if err != nil {
		return nil, fmt.Errorf("lab %s: router %s: %w", l.name, name, err)
	}
	return r, nil
}

// Carrier adds the router of a carrier that translates the addresses of its
// subscribers once more (carrier-grade NAT, RFC 6888). They are in CarrierLAN.
func (l *Lab) Carrier(name, wan string, kind Kind) (*Router, error) {
	return l.Router(name, wan, kind, CarrierLAN.String())
}

// Router adds a home router behind this one, a subscriber of a carrier: its WAN
// link is in this one's home and has the next address there. In more, an IPv4
// prefix replaces DefaultLAN; there is no IPv6.
func (r *Router) Router(name string, kind Kind, more ...string) (*Router, error) {
	inner, err := r.lab.newRouter(name, kind, r, more)
	if err != nil {
		return nil, fmt.Errorf("router %s: router %s: %w", r.name, name, err)
	}
	return inner, nil
}

func (l *Lab) newRouter(name string, kind Kind, carrier *Router, list []string) (*Router, error) {
	if err := kind.check(); err != nil {
		return nil, err
	}
	r := &Router{kind: kind, carrier: carrier}
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
	if err := r.subscribe(); err != nil {
		return nil, err
	}
	if err := r.bridge(); err != nil {
		return nil, err
	}
	if r.Forwarding, err = newForwarding(n); err != nil {
		return nil, err
	}
	if err := kind.translate(n, r.WAN()); err != nil {
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
	switch {
	case r.carrier != nil && (len(r.wan) > 0 || slices.ContainsFunc(r.lan, isIPv6)):
		return fmt.Errorf("behind another router it has the address that it gets, and no IPv6; not %v", list)
	case r.carrier == nil && (len(r.wan) == 0 || !r.wan[0].Is4()):
		return fmt.Errorf("the WAN address %v is not IPv4", list[0])
	}
	if slices.ContainsFunc(r.lan, isIPv4) {
		return nil
	}
	r.lan = append(r.lan, netip.PrefixFrom(DefaultLAN.Addr().Next(), DefaultLAN.Bits()))
	return nil
}

func isIPv4(p netip.Prefix) bool { return p.Addr().Is4() }
func isIPv6(p netip.Prefix) bool { return p.Addr().Is6() }

// Kind returns the kind given to Lab.Router.
func (r *Router) Kind() Kind { return r.kind }

// Reboot forgets every mapping, as a router that loses power does: it flushes
// the connection table, and the mappings that the kind keeps besides.
func (r *Router) Reboot() error {
	if err := r.forget(); err != nil {
		return fmt.Errorf("router %s: reboot: %w", r.name, err)
	}
	return nil
}

func (r *Router) forget() error {
	if err := r.kind.forget(r.Namespace); err != nil {
		return err
	}
	return r.links.ConntrackTableFlush(netlink.ConntrackTable)
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
