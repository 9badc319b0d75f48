package netwatch

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// defaultRoutes reads the default routes from the routing table. Windows ranks a
// route by the sum of its own metric and that of its interface. Only the route's
// own metric is compared here; it is the same for all routes with automatic
// metrics.
func defaultRoutes() (list []candidate, err error) {
	var table *windows.MibIpForwardTable2
	if err := windows.GetIpForwardTable2(windows.AF_UNSPEC, &table); err != nil {
		return nil, err
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	for _, row := range table.Rows() {
		if row.DestinationPrefix.PrefixLength != 0 {
			continue
		}
		gateway, ok := address(&row.NextHop)
		if !ok {
			continue
		}
		c := candidate{
			Route:  Route{Interface: int(row.InterfaceIndex)},
			ipv6:   gateway.Is6(),
			metric: int(row.Metric),
		}
		if !gateway.IsUnspecified() {
			c.Gateway = gateway
		}
		list = append(list, c)
	}
	return list, nil
}

// address returns the IP address of a SOCKADDR_INET without its zone.
func address(a *windows.RawSockaddrInet) (netip.Addr, bool) {
	switch a.Family {
	case windows.AF_INET:
		return netip.AddrFrom4((*windows.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), true
	case windows.AF_INET6:
		return netip.AddrFrom16((*windows.RawSockaddrInet6)(unsafe.Pointer(a)).Addr), true
	}
	return netip.Addr{}, false
}
