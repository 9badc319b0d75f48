package tap

import (
	"errors"
	"net"
	"net/netip"

	"hedgerow/internal/interfaces"
)

// shortestRoute is the shortest prefix of a route that counts as one to a network.
// Shorter ones are default routes, whole or in halves as some VPNs set them.
const shortestRoute = 8

// A Network is one that this host has, or that its main routing table leads to.
type Network struct {
	Interface string       // by which it is reached
	Prefix    netip.Prefix // masked
}

// Overlap looks for a local network, or on Linux for one that the main routing table
// has a route to, that shares addresses with prefix, since traffic for one of the two
// would then leave by the wrong interface. It returns the first interface that leads
// to one and its network, masked. It ignores interfaces that are down, which have no
// routes, those for which except returns true (the device itself), default routes, and
// link-local networks, which every interface shares. The error says that the system
// has not listed all interfaces or routes: what is found counts, and that nothing is does not.
//
// On Linux the interfaces are those of the calling thread's network namespace.
func Overlap(prefix netip.Prefix, except func(ifindex int) bool) (ifname string, other netip.Prefix, ok bool, err error) {
	prefix = prefix.Masked()
	if !prefix.IsValid() || prefix.Addr().IsLinkLocalUnicast() {
		return "", netip.Prefix{}, false, nil
	}
	err = eachNetwork(except, []bool{prefix.Addr().Is4()}, func(n Network) bool {
		if n.Prefix.Overlaps(prefix) {
			ifname, other, ok = n.Interface, n.Prefix, true
		}
		return !ok
	})
	return ifname, other, ok, err
}

// Networks returns all networks that Overlap looks at and that the system lists, a few thousand
// at most.
func Networks(except func(ifindex int) bool) (list []Network) {
	_ = eachNetwork(except, []bool{true, false}, func(n Network) bool {
		list = append(list, n)
		return len(list) < mostNetworks
	})
	return list
}

// mostNetworks bounds Networks.
const mostNetworks = 8192

// eachNetwork calls f with the networks of this host, and those of its routes of some
// families (true: IPv4), until it returns false. After an error it may have missed some.
func eachNetwork(except func(ifindex int) bool, families []bool, f func(Network) bool) error {
	all, err := interfaces.List()
	if err != nil {
		return err
	}
	names := make(map[int]string, len(all))
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp == 0 || except != nil && except(ifi.Index) {
			continue
		}
		names[ifi.Index] = ifi.Name
		for _, a := range ifi.Addresses {
			if p, ok := networkOf(a.Prefix); ok && !f(Network{ifi.Name, p}) {
				return nil
			}
		}
	}
	for _, is4 := range families {
		goes := true
		err = errors.Join(err, eachRoute(is4, names, func(n Network) bool {
			goes = f(n)
			return goes
		}))
		if !goes {
			break
		}
	}
	return err
}

// networkOf returns the network of an interface's address, masked.
func networkOf(a netip.Prefix) (netip.Prefix, bool) {
	if !a.IsValid() || a.Addr().IsLinkLocalUnicast() {
		return netip.Prefix{}, false
	}
	return a.Masked(), true
}
