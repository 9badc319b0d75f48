package render

import (
	"fmt"
	"io"
	"net"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
	"hedgerow/protocol"
)

// shownPorts is how many ports of a sample are listed.
const shownPorts = 6

// Netcheck writes what was found out about the network. The error is the writer's.
func Netcheck(w io.Writer, r control.Netcheck) error {
	var s sheet
	s.row("ipv4", "%s", underlayText(r.IPv4))
	s.row("ipv6", "%s", underlayText(r.IPv6))
	if n := r.NAT; n != nil {
		s.row("nat", "%s", natText(n))
		if n.Ports != "" {
			s.row("ports", "%s", portsText(n))
		}
	}
	s.router(r.PortMapping)
	s.servers(r.Servers)
	s.row("verdict", "%s", r.Verdict)
	label := "would help"
	for _, a := range r.Advice {
		s.row(label, "%s", a)
		label = ""
	}
	return s.writeTo(w)
}

func underlayText(u control.Underlay) string {
	switch {
	case u.Address == "":
		return "none"
	case len(u.Public) == 0:
		return fmt.Sprintf("%s (%s), no server answers", u.Address, u.Interface)
	}
	return fmt.Sprintf("%s (%s), public %s", u.Address, u.Interface, strings.Join(u.Public, " "))
}

func natText(n *control.NAT) string {
	if !n.Present {
		switch n.Filtering {
		case control.FilteringOpen:
			return "none, and no firewall"
		case control.FilteringClosed:
			return "none, but a firewall that lets in answers only"
		}
		return "none"
	}
	parts := []string{"mapping " + n.Mapping}
	if n.Filtering != "" {
		parts = append(parts, "filtering "+n.Filtering)
	}
	if n.Hairpin != nil {
		parts = append(parts, "hairpin "+yesNo(*n.Hairpin))
	}
	return strings.Join(parts, ", ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// portsText is what new sockets got, with an example.
func portsText(n *control.NAT) string {
	if n.Ports == control.PortsKept {
		return "new sockets keep their ports"
	}
	texts := make([]string, 0, shownPorts)
	for _, p := range n.Sample[:min(shownPorts, len(n.Sample))] {
		texts = append(texts, fmt.Sprint(p))
	}
	return fmt.Sprintf("new sockets get %s (%s ...)", n.Ports, strings.Join(texts, " "))
}

// router adds what the router does for us.
func (s *sheet) router(m *control.PortMapping) {
	if m == nil {
		return
	}
	if m.Problem != "" {
		s.row("router", "%s", m.Problem)
		return
	}
	var parts []string
	for _, p := range m.Protocols {
		switch {
		case p.External != "":
			parts = append(parts, p.Name+" maps to "+p.External)
		case p.Speaks:
			parts = append(parts, p.Name+" does not map: "+p.Problem)
		default:
			parts = append(parts, p.Name+" no")
		}
	}
	s.row("router", "%s: %s", m.Router, strings.Join(parts, ", "))
}

// servers adds how each server is reached.
func (s *sheet) servers(list []control.ServerReach) {
	label := "udp"
	for _, r := range list {
		if r.Problem != "" {
			s.row(label, "%s  %s", r.Name, r.Problem)
			label = ""
		}
		for _, e := range r.UDP {
			s.row(label, "%s", echoText(r.Name, e))
			label = ""
		}
	}
	label = "tls"
	for _, r := range list {
		for _, t := range r.TLS {
			text := "no: " + t.Problem
			if t.OpenMS != nil {
				text = rttText(*t.OpenMS)
			}
			s.row(label, "%s  %s", net.JoinHostPort(hostOf(r.Name), fmt.Sprint(t.Port)), text)
			label = ""
		}
	}
	label = "path mtu"
	for _, r := range list {
		for _, e := range r.UDP {
			if e.MTU > 0 {
				s.row(label, "%d to %s, which leaves %d for a relayed packet", e.MTU, e.Address, relayedPayload(e))
				label = ""
			}
		}
	}
}

func echoText(name string, e control.UDPReach) string {
	text := name
	if name != e.Address {
		text += " (" + e.Address + ")"
	}
	if e.RTTms == nil {
		return fmt.Sprintf("%s  no answer to %s", text, format.Count(e.Sent, "request"))
	}
	return fmt.Sprintf("%s  %s, %d/%d lost", text, rttText(*e.RTTms), e.Lost, e.Sent)
}

// relayedPayload is the longest IP packet of the overlay that fits the path to a
// supernode in one datagram.
func relayedPayload(e control.UDPReach) int {
	headers := 20 + 8 // IPv4 and UDP
	if isIPv6(e.Address) {
		headers = 40 + 8
	}
	return e.MTU - headers - protocol.RelayOverhead - protocol.HeaderLen - 1 - protocol.TagLen
}
