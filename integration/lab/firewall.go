//go:build linux

package lab

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// closeInput is the table ip fw: it drops packets that no host of the home asked
// for before they can get a tuple in the connection table.
func closeInput(n *Namespace) error {
	r, err := n.rules(nftables.TableFamilyIPv4, fwTable)
	if err != nil {
		return err
	}
	r.AddTable(r.table)
	in := r.closedInput()
	r.rule(in, l4proto(unix.IPPROTO_ICMP), []expr.Any{
		transport(0, 1),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{icmpEchoRequest}},
	}, accept())
	return r.Flush()
}

// closedInput is an input chain that accepts only flows that the home began.
func (r *ruleset) closedInput() *nftables.Chain {
	in := r.base("input", nftables.ChainTypeFilter, nftables.ChainHookInput,
		*nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(in, iifname("lo"), accept())
	r.rule(in, iifname(LANLink), accept())
	r.rule(in, established(), accept())
	return in
}

// icmpEchoRequest is the ICMP type of a ping (RFC 792).
const icmpEchoRequest = 8

// closeHome6 is the table ip6 fw6: a stateful firewall that accepts flows that
// the home begins, and their answers. ICMPv6 reaches the router itself, which
// could not resolve a neighbour otherwise.
func closeHome6(n *Namespace) error {
	r, err := n.rules(nftables.TableFamilyIPv6, fw6Table)
	if err != nil {
		return err
	}
	r.AddTable(r.table)
	in := r.closedInput()
	r.rule(in, l4proto(unix.IPPROTO_ICMPV6), accept())
	through := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward,
		*nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(through, established(), accept())
	r.rule(through, iifname(LANLink), oifname(WANLink), accept())
	return r.Flush()
}

// webPorts are the TCP ports that a home where UDP is blocked may use.
var webPorts = []uint16{80, 443}

// closeDoor is the table inet door: of the home's packets it accepts only TCP to
// the ports of the web.
//
//	forward: policy drop ; ct state established,related accept
//	         iifname "br0" oifname "wan" tcp dport { 80, 443 } accept
//	         [reject with icmpx type admin-prohibited]
func (k Kind) closeDoor(n *Namespace) error {
	r, err := n.rules(nftables.TableFamilyINet, doorTable)
	if err != nil {
		return err
	}
	r.AddTable(r.table)
	through := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward,
		*nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(through, established(), accept())
	for _, port := range webPorts {
		r.rule(through, iifname(LANLink), oifname(WANLink), l4proto(unix.IPPROTO_TCP), []expr.Any{
			transport(2, 2),
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		}, accept())
	}
	if k.udp == isRejected {
		r.rule(through, []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}})
	}
	return r.Flush()
}
