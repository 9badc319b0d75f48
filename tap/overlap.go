package tap

import (
	"net"
	"net/netip"
)

// shortestRoute is the shortest prefix of a route that counts as one to a network.
// Shorter ones are default routes, whole or in halves as some VPNs set them.
const shortestRoute = 8

// Overlap looks for a local network, or on Linux for one that the main routing table
// has a route to, that shares addresses with prefix, since traffic for one of the two
// would then leave by the wrong interface. It returns the first interface that leads
// to one and its network, masked. It ignores interfaces that are down, which have no
// routes, those for which except returns true (the device itself), default routes, and
// link-local networks, which every interface shares. It reports nothing when the
// system does not list its interfaces.
//
// On Linux the interfaces are those of the calling thread's network namespace.
func Overlap(prefix netip.Prefix, except func(ifindex int) bool) (ifname string, other netip.Prefix, ok bool) {
	prefix = prefix.Masked()
	if !prefix.IsValid() || prefix.Addr().IsLinkLocalUnicast() {
		return "", netip.Prefix{}, false
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", netip.Prefix{}, false
	}
	names, addrs := make(map[int]string, len(interfaces)), interfaceAddrs(interfaces)
	for _, ifi := range interfaces {
		if ifi.Flags&net.FlagUp == 0 || except != nil && except(ifi.Index) {
			continue
		}
		names[ifi.Index] = ifi.Name
		if other, ok := firstOverlap(prefix, addrs[ifi.Index]); ok {
			return ifi.Name, other, true
		}
	}
	return overlappingRoute(prefix, names)
}

// firstOverlap returns the first network of addrs that shares addresses with
// prefix, masked.
func firstOverlap(prefix netip.Prefix, addrs []net.Addr) (netip.Prefix, bool) {
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(ipnet.IP)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		ones, size := ipnet.Mask.Size()
		if size != addr.BitLen() || addr.IsLinkLocalUnicast() {
			continue
		}
		if network := netip.PrefixFrom(addr, ones).Masked(); network.Overlaps(prefix) {
			return network, true
		}
	}
	return netip.Prefix{}, false
}
