//go:build !linux

package tap

import "net/netip"

// overlappingRoute finds nothing: routes are read on Linux alone.
func overlappingRoute(netip.Prefix, map[int]string) (ifname string, other netip.Prefix, ok bool) {
	return "", netip.Prefix{}, false
}
