package control

import "fmt"

// ForbiddenSupernode is E58: this host's own firewall lets no datagram out to a
// supernode, so that nobody else is to blame. stream names what serves instead; empty:
// nothing does.
func ForbiddenSupernode(supernode, stream string) string {
	text := fmt.Sprintf("this host's own firewall lets nothing out to %s over UDP: look at its rules for what is sent ('nft list ruleset', 'iptables -L OUTPUT'), and for a full table of connections ('dmesg | grep conntrack').", supernode)
	if stream != "" {
		text += fmt.Sprintf(" %s serves, which is slower, and direct paths are off until it lets UDP out.", stream)
	}
	return text + " [E58]"
}
