//go:build !linux

package netwatch

import (
	"net"
	"net/netip"
)

// read asks the system for interfaces, their addresses, and default routes
// where it is known how.
func read() (*reading, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	r := &reading{interfaces: make(map[int]string)}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagRunning == 0 {
			continue
		}
		r.interfaces[i.Index] = i.Name
		addresses, err := i.Addrs()
		if err != nil {
			continue // the interface went away meanwhile
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				r.addresses = append(r.addresses, placed{i.Index, p.Addr().Unmap()})
			}
		}
	}
	r.routes, err = defaultRoutes()
	return r, err
}
