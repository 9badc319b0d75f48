package tap

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// forwarding is what the kernel does with packets that are not for this host.
type forwarding struct {
	read     time.Time
	ip4, ip6 bool // they are forwarded
	chains   []chain
}

// holderName returns the name of the interface that packets for networks behind this host
// come in by.
func (d *Device) holderName() string {
	d.netif.mu.Lock()
	defer d.netif.mu.Unlock()
	return d.netif.holderName()
}

// seeForwarding looks at what keeps packets from the networks behind this host.
func (g *guard) seeForwarding(now time.Time, s *sight) (err error) {
	if now.Sub(g.forwarding.read) < lookEvery {
		s.forwarding = g.forwarding
		s.forwarding.ip4, s.forwarding.ip6 = forwards(g.device.netif.holderName())
		return nil
	}
	f := &g.forwarding
	f.read = now
	f.ip4, f.ip6 = forwards(g.device.netif.holderName())
	f.chains, err = g.device.links.forwardChains(func(c *chain) bool { return c.family == ip4Family || c.family == ip6Family || c.family == bothFamily })
	for i := range f.chains {
		if c := &f.chains[i]; err == nil && c.drops {
			c.names, err = g.device.links.mentions(c, g.device.netif.holderName(), g.watching.Behind)
		}
	}
	s.forwarding = *f
	return ignoreMissing(err)
}

// forwards reports whether packets that come in by an interface are forwarded. The files
// are those of the namespace of the calling thread.
func forwards(ifname string) (ip4, ip6 bool) {
	on := func(name string) bool {
		b, err := os.ReadFile("/proc/sys/net/" + name)
		return err != nil || strings.TrimSpace(string(b)) != "0"
	}
	return on("ipv4/conf/" + ifname + "/forwarding"), on("ipv6/conf/" + ifname + "/forwarding")
}

// mentions reports whether a rule of a chain's table is about an interface or one of some
// networks: then somebody has thought of them, in this chain or in one that it jumps to.
func (l *links) mentions(c *chain, ifname string, networks []netip.Prefix) (found bool, err error) {
	wanted := [][]byte{append([]byte(ifname), 0)}
	for _, n := range networks {
		if b := n.Addr().AsSlice()[:(n.Bits()+7)/8]; len(b) > 0 {
			wanted = append(wanted, b)
		}
	}
	seen := 0
	err = l.tables(unix.NFT_MSG_GETRULE, c.family, func(family uint8, b []byte) bool {
		table, _, _, _ := parseRule(b)
		if family == c.family && table == c.table {
			compared, looksUp := comparisons(b)
			found = found || looksUp || slices.ContainsFunc(compared, func(data []byte) bool {
				return slices.ContainsFunc(wanted, func(w []byte) bool { return bytes.HasPrefix(data, w) })
			})
		}
		seen++
		return !found && seen < mostRules
	}, nl.NewRtAttr(unix.NFTA_RULE_TABLE, nl.ZeroTerminated(c.table)))
	return found, err
}

// comparisons returns what the expressions "cmp" of a rule compare with, and whether it
// looks something up in a set, which may be anything.
func comparisons(rule []byte) (list [][]byte, looksUp bool) {
	_ = eachAttribute(rule, func(kind uint16, b []byte) {
		if kind != unix.NFTA_RULE_EXPRESSIONS {
			return
		}
		_ = eachAttribute(b, func(_ uint16, b []byte) {
			name, data := parseExpression(b)
			looksUp = looksUp || name == "lookup"
			if name != "cmp" {
				return
			}
			_ = eachAttribute(data, func(kind uint16, b []byte) {
				if kind != unix.NFTA_CMP_DATA {
					return
				}
				_ = eachAttribute(b, func(kind uint16, b []byte) {
					if kind == unix.NFTA_DATA_VALUE {
						list = append(list, b)
					}
				})
			})
		})
	})
	return list, looksUp
}

// unforwarded says what keeps packets from networks behind this host, each with the
// command to type: E41.
func (s *sight) unforwarded(networks []netip.Prefix, ifname string) (list []string) {
	if len(networks) == 0 || s.device == nil {
		return nil
	}
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)+" [E41]") }
	has := func(is4 bool) bool {
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Addr().Is4() == is4 })
	}
	f := &s.forwarding
	if has(true) && !f.ip4 {
		note("this host does not forward IPv4 packets of %s, so the networks of -r are not reached. Type: sysctl -w net.ipv4.ip_forward=1.", ifname)
	}
	if has(false) && !f.ip6 {
		note("this host does not forward IPv6 packets of %s, so the networks of -r are not reached. Type: sysctl -w net.ipv6.conf.all.forwarding=1.", ifname)
	}
	for _, c := range f.chains {
		if !c.drops || c.names || c.family == ip4Family && !has(true) || c.family == ip6Family && !has(false) {
			continue
		}
		note("the firewall drops what no rule accepts, in the chain %q of its table %q, and no rule there is about %s: the networks of -r are not reached. Type: nft insert rule %s %s %s iifname %s accept; nft insert rule %[4]s %[5]s %[6]s oifname %[7]s accept.",
			c.name, c.table, ifname, familyNames[c.family], c.table, c.name, ifname)
	}
	return list
}

// familyNames are the families of tables as nft has them.
var familyNames = map[uint8]string{bothFamily: "inet", ip4Family: "ip", ip6Family: "ip6"}
