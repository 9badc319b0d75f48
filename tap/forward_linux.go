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
	f, ifname := &g.forwarding, g.device.netif.holderName()
	f.ip4, f.ip6 = forwards(ifname)
	if now.Sub(f.read) >= lookEvery {
		f.read = now
		f.chains, err = g.device.links.forwardChains(func(c *chain) bool { return familyNames[c.family] != "" })
		for i := range f.chains {
			if c := &f.chains[i]; err == nil && c.drops {
				c.names, err = g.device.links.mentions(c, ifname, g.watching.Behind)
			}
		}
	}
	s.forwarding = *f
	return ignoreMissing(err)
}

// forwards reports whether packets that come in by an interface are forwarded, or may be
// as far as the kernel tells.
func forwards(ifname string) (ip4, ip6 bool) {
	return switched("ipv4/conf/"+ifname+"/forwarding", true), switched("ipv6/conf/"+ifname+"/forwarding", true)
}

// switched reports whether a switch below /proc/sys/net is on, and otherwise if the kernel
// has none. It is that of the namespace of the calling thread.
func switched(name string, otherwise bool) bool {
	b, err := os.ReadFile("/proc/sys/net/" + name)
	if err != nil {
		return otherwise
	}
	return strings.TrimSpace(string(b)) != "0"
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

// familyNames are the families of tables that IP packets go through, as nft has them.
var familyNames = map[uint8]string{bothFamily: "inet", ip4Family: "ip", ip6Family: "ip6"}
