package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

const (
	// barePrefix is the prefix length of an address given without one, as in
	// n2n.
	barePrefix = 24
	// stunPort is the default port of STUN (RFC 8489, section 18.6).
	stunPort = 3478
	// longestDevice is the longest name of a device in bytes (IFNAMSIZ less
	// the final zero); the kernel would cut a longer one silently.
	longestDevice = 15
	// longestName is the longest name of an edge in bytes.
	longestName = 63
)

// parseAddress reads the value of -a in all of its forms, n2n's "dhcp:0.0.0.0"
// included.
func parseAddress(s string) (edge.Address, error) {
	switch s {
	case "dhcp", "dhcp:0.0.0.0":
		return edge.Address{Mode: edge.AddressNone}, nil
	}
	mode := edge.AddressPrefer
	text := s
	if rest, ok := strings.CutPrefix(s, "static:"); ok {
		mode, text = edge.AddressStatic, rest
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return edge.Address{}, fmt.Errorf("-a %s is not an address: type an IPv4 address such as 10.1.2.1 or static:10.1.2.1/24, or dhcp", s)
		}
		prefix = netip.PrefixFrom(addr, min(barePrefix, addr.BitLen()))
	}
	if !prefix.Addr().Is4() {
		return edge.Address{}, fmt.Errorf("-a %s: choose an IPv4 address; the edge's IPv6 address follows from its identity", s)
	}
	if why := edge.AddressFault(prefix); why != "" {
		return edge.Address{}, fmt.Errorf("-a %s %s", s, why)
	}
	return edge.Address{Mode: mode, Prefix: prefix}, nil
}

// parseNetwork reads a value of --allow-lease: an IPv4 network, or an address inside it
// that stands for it.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Bits() < 8 {
		return netip.Prefix{}, fmt.Errorf("--allow-lease %s is not an IPv4 network from /8 on, such as 44.128.0.0/10", s)
	}
	return p.Masked(), nil
}

// parseSupernode reads HOST:PORT[#KEY]. The key is the one that "supernode id"
// prints, in hexadecimal or base64.
func parseSupernode(s string) (edge.Supernode, error) {
	where, key, pinned := strings.Cut(s, "#")
	host, port, err := hostPort(where, 0)
	if err != nil {
		return edge.Supernode{}, fmt.Errorf("-l %s: %w", s, err)
	}
	sn := edge.Supernode{Name: where, Host: host, Port: port}
	if pinned {
		k, ok := parseKey(key)
		if !ok || !crypto.UsableStatic(k) {
			return edge.Supernode{}, fmt.Errorf("-l %s: what follows the # is not a supernode's key; 'supernode id' prints it there", s)
		}
		sn.Key = &k
	}
	return sn, nil
}

// hostPort splits an address. fallback is the port of one without a port; 0
// means that a port must be there.
func hostPort(s string, fallback uint16) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		bare := strings.Trim(s, "[]")
		addr, notIP := netip.ParseAddr(bare)
		switch {
		case bare == "" || notIP != nil && strings.Contains(bare, ":"):
			return "", 0, fmt.Errorf("type HOST:PORT, such as vps.example:7654")
		case fallback != 0:
			return bare, fallback, nil
		case notIP == nil && addr.Is6():
			return "", 0, fmt.Errorf("the port is missing; type [%s]:7654", bare)
		}
		return "", 0, fmt.Errorf("the port is missing; type %s:7654", bare)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q is not a port from 1 to 65535", text)
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return "", 0, fmt.Errorf("the host is missing; type HOST:PORT, such as vps.example:7654")
	}
	return host, uint16(n), nil
}

// parseKey reads 32 bytes in hexadecimal, or in base64 of either alphabet with
// or without its padding.
func parseKey(s string) (key [32]byte, ok bool) {
	decoders := []func(string) ([]byte, error){
		hex.DecodeString,
		func(s string) ([]byte, error) { return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "=")) },
		func(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "=")) },
	}
	for _, decode := range decoders {
		if b, err := decode(s); err == nil && len(b) == len(key) {
			return [32]byte(b), true
		}
	}
	return key, false
}

// parseSTUN reads HOST[:PORT] and returns it with a port.
func parseSTUN(s string) (string, error) {
	host, port, err := hostPort(s, stunPort)
	if err != nil {
		return "", fmt.Errorf("--stun %s: %w", s, err)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}

// parseMAC reads the value of -m; the word "random" is the caller's.
func parseMAC(s string) ([6]byte, error) {
	mac, err := protocol.ParseMAC(s)
	if err != nil {
		return [6]byte{}, fmt.Errorf("-m %s is not a hardware address: type one such as 02:5c:1e:9a:40:11, or random", s)
	}
	if mac.IsGroup() || mac.IsZero() {
		return [6]byte{}, fmt.Errorf("-m %s is not an address that a device can have: the first byte must be even and not all may be zero", s)
	}
	return mac, nil
}

// parseVLANs reads the value of --vlan.
func parseVLANs(list string) (*bridge.VLANs, error) {
	vlans := new(bridge.VLANs)
	for text := range strings.SplitSeq(list, ",") {
		id, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
		if err != nil || id > maxVLAN {
			return nil, fmt.Errorf("--vlan %s: %q is no VLAN from 1 to %d, nor 0 for frames without a tag; separate several with commas, such as 0,10,20", list, text, maxVLAN)
		}
		vlans.Add(uint16(id))
	}
	return vlans, nil
}

// maxVLAN is the highest VLAN identifier (IEEE 802.1Q, table 9-2).
const maxVLAN = 4094

// parseMTU reads the value of -M in bytes.
func parseMTU(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < edge.MinMTU || n > edge.MaxMTU {
		return 0, fmt.Errorf("-M %s is not an MTU from %d to %d bytes", s, edge.MinMTU, edge.MaxMTU)
	}
	return n, nil
}

// parsePort reads the value of -p; 0 means any free port.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("-p %s is not a port from 0 to 65535", s)
	}
	return uint16(n), nil
}

// checkDevice reports what the kernel would refuse, or silently cut.
func checkDevice(s string) error { return checkDeviceOf("-d", s) }

// checkDeviceOf is checkDevice for the name in any option.
func checkDeviceOf(option, s string) error {
	switch {
	case s == "" || len(s) > longestDevice:
		return fmt.Errorf("%s %s: the name of a device has 1 to %d bytes", option, s, longestDevice)
	case s == "." || s == "..", strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ':' || r == '%' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}):
		return fmt.Errorf("%s %q is not a name that a device can have: use letters and digits", option, s)
	}
	return nil
}

// edgeName returns what peers see: the name as typed, or the host's, which is
// cut to what fits.
func edgeName(typed, host string) (string, error) {
	if typed != "" {
		if len(typed) > longestName || !printable(typed) {
			return "", fmt.Errorf("--name %q: use up to %d bytes of printable characters", typed, longestName)
		}
		return typed, nil
	}
	host, _, _ = strings.Cut(host, ".")
	if len(host) > longestName || !printable(host) {
		return "", nil // the identity's short form takes its place
	}
	return host, nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// parseFDBSize reads the value of --fdb-size: how many stations, and how many behind
// one edge.
func parseFDBSize(s string) (bridge.Size, error) {
	all, behind, both := strings.Cut(s, ",")
	size := bridge.Size{}
	var err, other error
	size.All, err = strconv.Atoi(all)
	size.Behind = min(size.All, bridge.DefaultSize.Behind)
	if both {
		size.Behind, other = strconv.Atoi(behind)
	}
	if err != nil || other != nil {
		return bridge.Size{}, fmt.Errorf("--fdb-size %s is not one number, or two with a comma: type one such as %d,%d [E27]",
			s, bridge.DefaultSize.All, bridge.DefaultSize.Behind)
	}
	if err := size.Check(); err != nil {
		return bridge.Size{}, fmt.Errorf("--fdb-size %s: %w; type one such as %d,%d [E27]", s, err, bridge.DefaultSize.All, bridge.DefaultSize.Behind)
	}
	return size, nil
}
