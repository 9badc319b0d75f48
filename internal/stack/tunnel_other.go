//go:build !linux

package stack

import "strings"

// tunnelNames are the beginnings of the names that tunnels' interfaces usually have, for
// systems that do not tell what an interface is: feth is ZeroTier's on macOS.
var tunnelNames = [...]string{"tun", "tap", "wg", "n2n", "utun", "zt", "feth", "tailscale", "nebula", "gif", "gre", "ipsec", "wireguard", "zerotier"}

// namedTunnel reports whether an interface is a tunnel's by its name.
func namedTunnel(name string) bool {
	name = strings.ToLower(name)
	for _, t := range tunnelNames {
		if strings.HasPrefix(name, t) {
			return true
		}
	}
	return false
}

// IsTunnel reports whether the interface of this name is a tunnel, by its name.
func IsTunnel(ifname string) bool { return namedTunnel(ifname) }
