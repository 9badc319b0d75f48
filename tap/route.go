package tap

import "net/netip"

// RouteMetric is the metric of a route that SetRoutes sets: others' routes to the same
// network, which have a lower one as a rule, go first.
const RouteMetric = 7655

// A Route is a network whose packets go by the device.
type Route struct {
	Prefix netip.Prefix // masked
	Via    netip.Addr   // the next hop, on a network of the device; IPv6 will do for IPv4 (RFC 8950)
	Table  int          // of the kernel; 0: main
}
