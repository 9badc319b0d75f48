package stack

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// NeedsSource reports whether a packet of the underlay to an address has to be made to
// leave from local, an address of this host: the kernel would choose another one, and the
// route from local leads out of the interface that has it, or that is one of no wire
// (loopback, dummy).
func (s *Stack) NeedsSource(to, local netip.Addr) bool {
	if local.Zone() != "" { // its link is known by the other end's zone
		return false
	}
	how := s.from.how()
	chosen, ok := routeTo(to.WithZone(""), how)
	if !ok || sameAddr(chosen.Src, local) {
		return false
	}
	how.SrcAddr = local.AsSlice()
	back, ok := routeTo(to.WithZone(""), how)
	if !ok {
		return false
	}
	owner := ownerOf(local)
	if owner == 0 || owner == back.LinkIndex {
		return owner != 0
	}
	link, err := netlink.LinkByIndex(owner)
	return err == nil && (link.Attrs().Flags&net.FlagLoopback != 0 || link.Type() == "dummy")
}

// sameAddr reports whether an address of package net is a.
func sameAddr(ip net.IP, a netip.Addr) bool {
	b, ok := netip.AddrFromSlice(ip)
	return ok && b.Unmap() == a
}

// ownerOf returns the index of the interface that has an address, 0 if none has.
func ownerOf(a netip.Addr) int {
	family := netlink.FAMILY_V6
	if a.Is4() {
		family = netlink.FAMILY_V4
	}
	list, _ := netlink.AddrList(nil, family)
	for _, x := range list {
		if sameAddr(x.IP, a) {
			return x.LinkIndex
		}
	}
	return 0
}
