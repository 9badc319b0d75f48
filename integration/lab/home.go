//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// bridgeMAC is the hardware address of every router on its home's segment.
var bridgeMAC = net.HardwareAddr{0x02, 0x00, 0x5e, 0x00, 0x00, 0x01}

// firstHost is the number within a home's network of its first host.
const firstHost = 10

// hostOf returns the address with this number in a network whose first address,
// the router's, is given.
func hostOf(router netip.Prefix, number int) netip.Addr {
	a := router.Addr()
	for range number - 1 {
		a = a.Next()
	}
	return a
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
	n, err := r.lab.namespace(name)
	if err != nil {
		return nil, fmt.Errorf("router %s: host %s: %w", r.name, name, err)
	}
	h := &Host{Namespace: n}
	if err := r.Plug(h); err != nil {
		return nil, err
	}
	return h, nil
}

// Plug connects an unplugged host to the home. Its programs see a link appear,
// with addresses: those that the next new host would have got.
func (r *Router) Plug(h *Host) error {
	addrs, err := r.plug(end{h.Namespace, HostLink})
	if err != nil {
		return fmt.Errorf("router %s: host %s: %w", r.name, h.name, err)
	}
	h.moved(addrs)
	return nil
}

// plug connects a machine to the bridge, gives it addresses and routes, and
// returns the addresses.
func (r *Router) plug(inside end) (addrs []netip.Addr, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	port := end{r.Namespace, inside.space.name}
	if err := r.lab.connect(inside, port); err != nil {
		return nil, err
	}
	if err := r.enslave(port); err != nil {
		return nil, err
	}
	number := firstHost + r.hosts
	r.hosts++
	for _, p := range r.lan {
		a := hostOf(p, number)
		if err := inside.address(netip.PrefixFrom(a, p.Bits())); err != nil {
			return nil, err
		}
		all, gateway := everywhere4, p.Addr()
		if a.Is6() {
			all, gateway = everywhere6, gateway6
		}
		if err := inside.route(all, gateway); err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// enslave makes a link a port of the bridge.
func (r *Router) enslave(port end) error {
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
	if err := r.links.LinkSetIsolated(link, r.isolated); err != nil {
		return fmt.Errorf("bridge port: %w", err)
	}
	// A bridge has a carrier from its first port on.
	return lan.ready()
}

// SetIsolation keeps the hosts of the home from each other, as a Wi-Fi access
// point with client isolation does, or no longer: frames pass between a host
// and the router only. It is also for hosts to come.
func (r *Router) SetIsolation(on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isolated = on
	links, err := r.links.LinkList()
	if err != nil {
		return fmt.Errorf("router %s: isolation: %w", r.name, err)
	}
	for _, link := range links {
		if link.Attrs().MasterIndex == 0 {
			continue
		}
		if err := r.links.LinkSetIsolated(link, on); err != nil {
			return fmt.Errorf("router %s: isolation of %s: %w", r.name, link.Attrs().Name, err)
		}
	}
	return nil
}
