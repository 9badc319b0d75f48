// Package interfaces lists the network interfaces of this host with their addresses.
//
// net.Interface.Addrs has the kernel list the addresses of all interfaces anew for each
// one of them. On a host with thousands of containers that is minutes of work; here it is
// two requests, however many there are.
package interfaces

import (
	"net"
	"net/netip"
)

// Interface is an interface of this host with its addresses, in the system's order.
type Interface struct {
	net.Interface
	Addresses []Address
}

// Address is an address of an interface.
type Address struct {
	// Prefix is the address with the length of its network, never an IPv4 address
	// written as an IPv6 one. It has no zone.
	netip.Prefix
	// Deprecated: the address should not be used for anything new (RFC 4862, section
	// 5.5.4), as a temporary address of yesterday, or one of a network that was
	// renumbered. Systems other than Linux do not tell.
	Deprecated bool
	// Unusable: nothing may be sent from the address, since its duplicate detection
	// still runs or has failed (RFC 4862, section 5.4). Systems other than Linux do not
	// tell.
	Unusable bool
}

// List returns the interfaces of the calling thread's network namespace. The error is
// the system's refusal.
func List() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	addresses, err := addressesOf(all)
	if err != nil {
		return nil, err
	}
	list := make([]Interface, len(all))
	for i, x := range all {
		list[i] = Interface{x, addresses[x.Index]}
	}
	return list, nil
}

// plain undoes the writing of an IPv4 address as an IPv6 one.
func plain(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return netip.PrefixFrom(p.Addr().WithZone(""), p.Bits())
}
