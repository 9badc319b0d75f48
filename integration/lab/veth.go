//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkMTU is the MTU of every link, in bytes: Ethernet's.
const linkMTU = 1500

// An end is one end of a veth pair.
type end struct {
	space *Namespace
	name  string
}

// connect makes a veth pair between two namespaces, both ends up. Each end is
// made inside its own namespace.
func (l *Lab) connect(a, b end) error {
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: a.name, MTU: linkMTU},
		PeerName:      b.name,
		PeerMTU:       linkMTU,
		PeerNamespace: netlink.NsFd(int(b.space.handle)),
	}
	if err := a.space.links.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth %s-%s: %w", a.name, b.name, err)
	}
	if err := l.adopt(a, b); err != nil {
		return err
	}
	if err := errors.Join(a.up(), b.up()); err != nil {
		return err
	}
	return errors.Join(a.ready(), b.ready())
}

// adopt makes two new ends part of the lab, without offloads if its other links
// are without.
func (l *Lab) adopt(a, b end) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links = append(l.links, a, b)
	if !l.plain {
		return nil
	}
	return errors.Join(a.plain(), b.plain())
}

// disconnect removes a veth pair by one of its ends. The other end has
// disappeared when it returns.
func (l *Lab) disconnect(e end) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	// Locked throughout: DisableOffloads must not meet an end that is going.
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := e.space.links.LinkDel(link); err != nil {
		return fmt.Errorf("%s: remove link %s: %w", e.space.name, e.name, err)
	}
	// Ends are adopted in pairs.
	pair := slices.Index(l.links, e) &^ 1
	l.links = slices.Delete(l.links, pair, pair+2)
	return nil
}

func (e end) link() (netlink.Link, error) {
	link, err := e.space.links.LinkByName(e.name)
	if err != nil {
		return nil, fmt.Errorf("%s: link %s: %w", e.space.name, e.name, err)
	}
	return link, nil
}

func (e end) up() error {
	link, err := e.link()
	if err != nil {
		return err
	}
	return e.space.links.LinkSetUp(link)
}

// ready waits until the kernel has noticed that the link has a carrier. Until
// then it drops packets, and a neighbour solicitation that is lost costs a
// second.
func (e end) ready() error {
	return e.wait("come up", func() (bool, error) {
		link, err := e.link()
		return err == nil && link.Attrs().OperState == netlink.OperUp, err
	})
}

// Bounds of wait: the kernel does its part in another thread, mostly within a
// millisecond.
const (
	waitPoll  = 200 * time.Microsecond
	waitLimit = 5 * time.Second
)

func (e end) wait(what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(waitLimit); ; time.Sleep(waitPoll) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: link %s does not %s in %s", e.space.name, e.name, what, waitLimit)
		}
	}
}

// address adds an address to the end, and returns when it is usable. A
// link-local one gets the scope that keeps it from being chosen for other
// destinations.
func (e end) address(p netip.Prefix) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().IsLinkLocalUnicast() {
		a.Scope = int(netlink.SCOPE_LINK)
	}
	if err := e.space.links.AddrAdd(link, a); err != nil {
		return fmt.Errorf("%s: address %s on %s: %w", e.space.name, p, e.name, err)
	}
	if p.Addr().Is4() {
		return nil
	}
	return e.awaitAddresses(link)
}

// withdraw removes an address from the end.
func (e end) withdraw(p netip.Prefix) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	if err := e.space.links.AddrDel(link, &netlink.Addr{IPNet: ipNet(p)}); err != nil {
		return fmt.Errorf("%s: take address %s from %s: %w", e.space.name, p, e.name, err)
	}
	return nil
}

// awaitAddresses waits until no IPv6 address of the link is tentative. Duplicate
// address detection is off, but the kernel joins the group at which neighbours
// ask for the address in another thread, and clears the flag afterwards.
func (e end) awaitAddresses(link netlink.Link) error {
	return e.wait("get usable addresses", func() (bool, error) {
		addrs, err := e.space.links.AddrList(link, netlink.FAMILY_V6)
		for _, a := range addrs {
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				return false, err
			}
		}
		return true, err
	})
}

// route sends the destination out of the end: directly when via is the zero
// Addr, else through via, which need not be on a network of the end.
func (e end) route(destination netip.Prefix, via netip.Addr) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	err = e.space.links.RouteAdd(routeBy(link, destination, via))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: route %s by %s: %w", e.space.name, destination, e.name, err)
	}
	return nil
}

// local makes every address of a network one of the machine's own.
func (e end) local(p netip.Prefix) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL}
	if p.Addr().Is4() {
		r.Scope = netlink.SCOPE_HOST
	}
	if err := e.space.links.RouteAdd(r); err != nil {
		return fmt.Errorf("%s: all of %s as own addresses: %w", e.space.name, p, err)
	}
	return nil
}

// unroute removes the route that route made.
func (e end) unroute(destination netip.Prefix, via netip.Addr) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	if err := e.space.links.RouteDel(routeBy(link, destination, via)); err != nil {
		return fmt.Errorf("%s: no route %s by %s: %w", e.space.name, destination, e.name, err)
	}
	return nil
}

func routeBy(link netlink.Link, destination netip.Prefix, via netip.Addr) *netlink.Route {
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(destination)}
	if via.IsValid() {
		r.Gw = via.AsSlice()
		r.Flags = int(netlink.FLAG_ONLINK)
	} else if destination.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

// host is the prefix that holds one address only.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Default routes, and the addresses at either end of every public link. No host
// of this internet uses RFC 2544's benchmarking range otherwise.
var (
	everywhere4 = netip.MustParsePrefix("0.0.0.0/0")
	everywhere6 = netip.MustParsePrefix("::/0")
	gateway4    = netip.MustParseAddr("198.18.0.1")
	gateway6    = netip.MustParseAddr("fe80::1")
	subscriber6 = netip.MustParseAddr("fe80::2")
	// The internet's own address, that of its ICMPv6 errors.
	internet6 = netip.MustParseAddr("2001:db8:ffff::1")
)
