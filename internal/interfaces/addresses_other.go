//go:build !linux

package interfaces

import (
	"net"
	"net/netip"
)

// addressesOf returns the addresses of interfaces by their index.
func addressesOf(all []net.Interface) (map[int][]Address, error) {
	byIndex := make(map[int][]Address)
	for _, x := range all {
		list, err := x.Addrs()
		if err != nil {
			continue // the interface went away meanwhile
		}
		for _, a := range list {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				byIndex[x.Index] = append(byIndex[x.Index], Address{Prefix: plain(p)})
			}
		}
	}
	return byIndex, nil
}
