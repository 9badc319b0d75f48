//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// The Internet is the router that joins all public addresses. The datagrams that
// it forwards can be counted, lost and blocked.
type Internet struct {
	*Namespace
	*Forwarding
}

// A Host is a machine with one link, named eth0: on the internet, or in a home.
type Host struct {
	*Namespace

	mu    sync.Mutex
	addrs []netip.Addr
}

// HostLink is the name of a host's link, and WANLink and LANLink are those of a
// router.
const (
	HostLink = "eth0"
	WANLink  = "wan"
	LANLink  = "br0"
)

func newInternet(l *Lab) (*Internet, error) {
	n, err := l.namespace("internet")
	if err != nil {
		return nil, err
	}
	if err := n.forward(); err != nil {
		return nil, err
	}
	if err := (end{n, "lo"}).address(host(internet6)); err != nil {
		return nil, err
	}
	f, err := newForwarding(n)
	if err != nil {
		return nil, err
	}
	return &Internet{Namespace: n, Forwarding: f}, nil
}

// forward makes the namespace a router of both families.
func (n *Namespace) forward() error {
	if err := n.Sysctl("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	return n.Sysctl("net/ipv6/conf/all/forwarding", "1")
}

// Host adds a host with public addresses, at most one default route per family.
// The first address of each family is the one it sends from.
func (l *Lab) Host(name string, addresses ...string) (*Host, error) {
	addrs, err := parseAddrs(addresses)
	if err != nil {
		return nil, fmt.Errorf("lab %s: host %s: %w", l.name, name, err)
	}
	n, err := l.namespace(name)
	if err != nil {
		return nil, fmt.Errorf("lab %s: host %s: %w", l.name, name, err)
	}
	h := &Host{Namespace: n}
	if err := l.plug(h, addrs); err != nil {
		return nil, err
	}
	return h, nil
}

// Plug connects a host to the internet that has been unplugged from where it
// was; see Router.Plug.
func (l *Lab) Plug(h *Host, addresses ...string) error {
	addrs, err := parseAddrs(addresses)
	if err != nil {
		return fmt.Errorf("lab %s: host %s: %w", l.name, h.name, err)
	}
	return l.plug(h, addrs)
}

func (l *Lab) plug(h *Host, addrs []netip.Addr) error {
	if err := l.subscribe(end{h.Namespace, HostLink}, addrs); err != nil {
		return fmt.Errorf("lab %s: host %s: %w", l.name, h.name, err)
	}
	h.moved(addrs)
	return nil
}

// subscribe connects a machine to the internet by a link of its own and routes
// the addresses to it.
func (l *Lab) subscribe(inside end, addrs []netip.Addr) error {
	outside := end{l.internet.Namespace, inside.space.name}
	if err := l.connect(inside, outside); err != nil {
		return err
	}
	if err := outside.address(host(gateway4)); err != nil {
		return err
	}
	if err := outside.address(netip.PrefixFrom(gateway6, 64)); err != nil {
		return err
	}
	if err := inside.address(netip.PrefixFrom(subscriber6, 64)); err != nil {
		return err
	}
	for _, a := range addrs {
		if err := inside.address(host(a)); err != nil {
			return err
		}
		gateway, all, via := gateway4, everywhere4, netip.Addr{}
		if a.Is6() {
			gateway, all, via = gateway6, everywhere6, subscriber6
		}
		if err := outside.route(host(a), via); err != nil {
			return err
		}
		if err := inside.route(all, gateway); err != nil {
			return err
		}
	}
	return nil
}

// Delegate routes a whole network to a host of the internet, as a provider delegates a
// prefix. The host takes what comes for any address in it, and may send from any. It has
// an address of the network's family already.
func (l *Lab) Delegate(h *Host, network string) error {
	p, err := netip.ParsePrefix(network)
	if err != nil {
		return fmt.Errorf("lab %s: host %s: %w", l.name, h.name, err)
	}
	via := subscriber6
	if p.Addr().Is4() {
		via = h.Addr() // one neighbour, and not one for each address
	}
	if err := (end{l.internet.Namespace, h.name}).route(p, via); err != nil {
		return err
	}
	return (end{h.Namespace, "lo"}).local(p)
}

// Unplug removes the host's link, and with it its addresses and routes, as when
// a cable is pulled or a Wi-Fi network left. The host's programs go on. Plug
// connects it somewhere else.
func (h *Host) Unplug() error {
	link := end{h.Namespace, HostLink}
	if err := h.lab.disconnect(link); err != nil {
		return fmt.Errorf("host %s: unplug: %w", h.name, err)
	}
	h.moved(nil)
	return nil
}

// moved notes the addresses that the host has from now on.
func (h *Host) moved(addrs []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs = addrs
}

// Addr returns the host's first IPv4 address, or the zero Addr.
func (h *Host) Addr() netip.Addr { return first(h.Addrs(), netip.Addr.Is4) }

// Addr6 returns the host's first IPv6 address, or the zero Addr.
func (h *Host) Addr6() netip.Addr { return first(h.Addrs(), netip.Addr.Is6) }

// Addrs returns all addresses that the host has now, in the order given.
func (h *Host) Addrs() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.addrs)
}

func first(addrs []netip.Addr, family func(netip.Addr) bool) netip.Addr {
	for _, a := range addrs {
		if family(a) {
			return a
		}
	}
	return netip.Addr{}
}

func parseAddrs(list []string) (addrs []netip.Addr, err error) {
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}
