//go:build !linux

package tap

import "net"

// interfaceAddrs returns the addresses of all interfaces by their index.
func interfaceAddrs(interfaces []net.Interface) map[int][]net.Addr {
	addrs := make(map[int][]net.Addr, len(interfaces))
	for _, ifi := range interfaces {
		addrs[ifi.Index], _ = ifi.Addrs() // none if it was deleted since it was listed
	}
	return addrs
}

// eachRoute finds nothing: routes are read on Linux alone.
func eachRoute(bool, map[int]string, func(Network) bool) {}
