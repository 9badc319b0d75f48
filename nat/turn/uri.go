package turn

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is the UDP port of a TURN server (RFC 8656, section 19).
const DefaultPort = 3478

// ParseURI reads the URI of a TURN server (RFC 7065), as in
// "turn:turn.example:3478?transport=udp". The port is DefaultPort if the URI has
// none, and the transport is UDP. host is a name, an IPv4 address, or an IPv6
// address without its brackets. Errors are sentences that name what is expected;
// TCP and TLS are not supported.
func ParseURI(s string) (host string, port uint16, err error) {
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case ok && strings.EqualFold(scheme, "turns"):
		return "", 0, fmt.Errorf("%s: TURN over TLS is not supported; give a server that is reached over UDP, as in turn:HOST:3478", s)
	case !ok || !strings.EqualFold(scheme, "turn"):
		return "", 0, fmt.Errorf("%s is not a TURN server; give one as in turn:HOST:3478", s)
	}
	rest, query, _ := strings.Cut(rest, "?")
	if query != "" {
		transport, ok := strings.CutPrefix(query, "transport=")
		switch {
		case !ok:
			return "", 0, fmt.Errorf("%s: %q is not understood; only ?transport=udp may stand there", s, query)
		case !strings.EqualFold(transport, "udp"):
			return "", 0, fmt.Errorf("%s: TURN over %q is not supported; give a server that is reached over UDP, as in turn:HOST:3478", s, transport)
		}
	}
	return parseAuthority(s, rest)
}

// parseAuthority reads host and port of s.
func parseAuthority(s, authority string) (host string, port uint16, err error) {
	host, number := authority, strconv.Itoa(DefaultPort)
	inner, bracketed := strings.CutPrefix(authority, "[")
	if bracketed && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	} else if strings.Contains(authority, ":") {
		if host, number, err = net.SplitHostPort(authority); err != nil {
			return "", 0, fmt.Errorf("%s: %q is not a host and a port; an IPv6 address stands in brackets", s, authority)
		}
	}
	if addr, bad := netip.ParseAddr(host); bracketed && (bad != nil || !addr.Is6() || addr.Zone() != "") {
		return "", 0, fmt.Errorf("%s: %q is not an IPv6 address", s, host)
	}
	if host == "" || strings.ContainsAny(host, "/@%# \t") {
		return "", 0, fmt.Errorf("%s: %q is not a host", s, host)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%s: %q is not a port from 1 to 65535", s, number)
	}
	return host, uint16(n), nil
}
