package netcheck

import (
	"net/netip"

	"hedgerow/edge/control"
	"hedgerow/nat/address"
)

// Advice, the most effective first.
const (
	helpUDP     = "let UDP out in the firewall"
	helpServer  = "check the server's address, its firewall, that it runs, and whether it has an obfuscation key (--obfs-key-file FILE)"
	helpMapping = "port mapping in the router (PCP, NAT-PMP or UPnP), or a port forwarded there and --public-address ADDRESS:PORT"
	helpIPv6    = "IPv6: it needs no NAT"
	helpTURN    = "a TURN server nearby, which relays in the place of the supernode"
	helpSTUN    = "a second server (-l or --stun): with one it cannot be seen whether each gets a port of its own"
)

// judge derives from the rest of a report what to expect of direct paths
// (docs/nat-matrix.md has the matrix of NATs).
func judge(r *control.Netcheck, mapping address.MappingBehavior) {
	r.Advice = []string{}
	help := func(list ...string) { r.Advice = append(r.Advice, list...) }
	hard := changes(mapping)
	switch {
	case !r.Reachable() && r.TLSTried():
		r.Verdict = "no server answers, neither by UDP nor by TLS, so nothing can be said"
		help(helpServer)
	case !r.Reachable():
		r.Verdict = "no server answers by UDP, and no supernode was tried by TLS, so nothing can be said"
		help(helpServer)
	case !r.UDPWorks():
		r.Verdict = "UDP is blocked: everything goes by TLS through the supernode, and there are no direct paths"
		help(helpUDP)
	case r.NAT == nil:
		r.Verdict = "only IPv6 works: direct paths with peers that have IPv6, the others by relay"
	case !r.NAT.Present && r.NAT.Filtering == control.FilteringOpen:
		r.Verdict = "no NAT: direct paths with every peer whose UDP is not blocked"
	case mapped(r) != "":
		r.Verdict = "the router maps a port by " + mapped(r) + ": direct paths with every peer whose UDP is not blocked"
	case !r.NAT.Present:
		r.Verdict = "no NAT, but a firewall that lets in answers only: direct paths should work with most peers"
	case hard && r.NAT.Ports == control.PortsSequential:
		r.Verdict = "the NAT gives every destination another port, in sequence: direct paths with most peers, by relay where the other NAT chooses at random"
		help(pastNAT(r)...)
	case hard:
		r.Verdict = "the NAT gives every destination another port: direct paths with peers whose NAT keeps one port, by relay with the others"
		help(pastNAT(r)...)
	case r.NAT.Filtering == control.FilteringOpen:
		r.Verdict = "the NAT keeps one port and lets others in: direct paths should work with every peer whose UDP is not blocked"
	default:
		r.Verdict = "the NAT keeps one port: direct paths should work with most peers"
	}
	if r.NAT != nil && r.NAT.Present && mapping == address.MappingUnknown {
		help(helpSTUN)
	}
}

// pastNAT lists what would help against a NAT that is hard to traverse.
func pastNAT(r *control.Netcheck) []string {
	list := []string{helpMapping}
	if len(r.IPv6.Public) == 0 {
		list = append(list, helpIPv6)
	}
	return append(list, helpTURN)
}

// mapped returns the protocol by which the router maps a port at an address that
// servers see us at, or nothing. One that maps at another is not the only NAT.
func mapped(r *control.Netcheck) string {
	if r.PortMapping == nil {
		return ""
	}
	for _, m := range r.PortMapping.Protocols {
		external, err := netip.ParseAddrPort(m.External)
		for _, public := range r.IPv4.Public {
			if err == nil && external.Addr().String() == public {
				return m.Name
			}
		}
	}
	return ""
}
