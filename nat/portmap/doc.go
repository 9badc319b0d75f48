// Package portmap asks the home router to map our UDP data port to a public one
// (the candidates named "mapped" in NAT.md, section 1.1). Through such a mapping
// every peer can reach us without hole punching.
//
// There are three protocols for that, and a router speaks some of them: PCP (RFC
// 6887), its predecessor NAT-PMP (RFC 6886), and UPnP (the Internet Gateway
// Device). The mapper first asks by all three whether they are there, which
// leaves nothing behind, and then makes a mapping by the best that answered: to
// many routers two mappings of one port are one, so that deleting one deletes
// both. If one refuses, the mapper tries the next.
//
// The mapper talks to the default gateway only, except for the search of UPnP,
// which many routers hear by multicast only. It ignores answers of other hosts,
// and does not follow a UPnP description that leads to another host.
//
// It is about IPv4. IPv6 has nothing to map, and our own packets open a router's
// firewall there.
package portmap
