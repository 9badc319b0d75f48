//go:build linux

package lab

import (
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Directions of a connection: the kernel's IP_CT_DIR_ORIGINAL and _REPLY.
const (
	original = 0
	reply    = 1
)

// coneTimeout is how long a full cone keeps a mapping that no datagram of its
// host refreshes, and coneSize how many it keeps.
const (
	coneTimeout = 5 * time.Minute
	coneSize    = 65535
)

// translate installs the rules of a kind in a router's namespace.
func translate(n *Namespace, kind Kind) error {
	if err := masquerade(n, kind); err != nil {
		return err
	}
	if kind == OpenInput {
		return nil
	}
	if err := closeInput(n); err != nil {
		return err
	}
	return closeHome6(n)
}

// masquerade is the table ip nat:
//
//	postrouting: oifname "wan" masquerade [random,fully-random]
//
// and for the full cone the map of its chains learn and prerouting.
func masquerade(n *Namespace, kind Kind) error {
	r, err := n.rules(nftables.TableFamilyIPv4, "nat")
	if err != nil {
		return err
	}
	r.AddTable(r.table)
	post := r.base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting,
		*nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept)
	random := kind == SymmetricRandom
	r.rule(post, oifname(WANLink), []expr.Any{&expr.Masq{Random: random, FullyRandom: random}})
	if kind == EndpointIndependent {
		if err := r.cone(); err != nil {
			return err
		}
	}
	return r.Flush()
}

// coneMap is from the port that the internet sees to the host and port behind
// it: map eim { type inet_service : ipv4_addr . inet_service }.
func (r *ruleset) coneMap() *nftables.Set {
	return &nftables.Set{
		Table:      r.table,
		Name:       "eim",
		ID:         1, // within the transaction
		IsMap:      true,
		Dynamic:    true,
		HasTimeout: true,
		Timeout:    coneTimeout,
		Size:       coneSize,
		KeyType:    nftables.TypeInetService,
		DataType:   nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
}

// cone makes the filtering endpoint-independent: learn remembers every mapping
// as it is used, and prerouting sends what arrives at a mapped port to its
// host, whoever sent it.
func (r *ruleset) cone() error {
	eim := r.coneMap()
	if err := r.AddSet(eim, nil); err != nil {
		return err
	}
	// After srcnat, where a datagram carries its public port already; the host
	// behind it is known from the connection only. A flow that began outside
	// has its host in the tuple of the replies.
	learn := r.base("learn", nftables.ChainTypeFilter, nftables.ChainHookPostrouting,
		*nftables.ChainPriorityNATSource+10, nftables.ChainPolicyAccept)
	for _, d := range []byte{original, reply} {
		r.rule(learn, oifname(WANLink), l4proto(unix.IPPROTO_UDP), direction(d), []expr.Any{
			transport(0, 2),
			&expr.Ct{Key: expr.CtKeySRC, Direction: uint32(d), Register: unix.NFT_REG32_04},
			&expr.Ct{Key: expr.CtKeyPROTOSRC, Direction: uint32(d), Register: unix.NFT_REG32_05},
			&expr.Dynset{
				SrcRegKey: 1, SrcRegData: unix.NFT_REG32_04,
				SetName: eim.Name, SetID: eim.ID, Operation: unix.NFT_DYNSET_OP_UPDATE,
			},
		})
	}
	pre := r.base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting,
		*nftables.ChainPriorityNATDest, nftables.ChainPolicyAccept)
	r.rule(pre, iifname(WANLink), localDestination(), l4proto(unix.IPPROTO_UDP), []expr.Any{
		transport(2, 2),
		&expr.Lookup{SourceRegister: 1, DestRegister: unix.NFT_REG32_04, IsDestRegSet: true, SetName: eim.Name, SetID: eim.ID},
		&expr.NAT{
			Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4,
			RegAddrMin: unix.NFT_REG32_04, RegProtoMin: unix.NFT_REG32_05,
		},
	})
	return nil
}

// forget empties what a kind remembers beside the connection table.
func forget(n *Namespace, kind Kind) error {
	if kind != EndpointIndependent {
		return nil
	}
	r, err := n.rules(nftables.TableFamilyIPv4, "nat")
	if err != nil {
		return err
	}
	r.FlushSet(r.coneMap())
	return r.Flush()
}

// closeInput is the table ip fw: what no host of the home asked for is dropped
// before it can take a tuple in the connection table.
func closeInput(n *Namespace) error {
	r, err := n.rules(nftables.TableFamilyIPv4, "fw")
	if err != nil {
		return err
	}
	r.AddTable(r.table)
	in := r.base("input", nftables.ChainTypeFilter, nftables.ChainHookInput,
		*nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(in, iifname("lo"), accept())
	r.rule(in, iifname(LANLink), accept())
	r.rule(in, established(), accept())
	r.rule(in, l4proto(unix.IPPROTO_ICMP), []expr.Any{
		transport(0, 1),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{icmpEchoRequest}},
	}, accept())
	return r.Flush()
}

// icmpEchoRequest is the ICMP type of a ping (RFC 792).
const icmpEchoRequest = 8

// closeHome6 is the table ip6 fw6: a stateful firewall that lets out what the
// home begins and in what answers it. ICMPv6 reaches the router itself, which
// could not resolve a neighbour otherwise.
func closeHome6(n *Namespace) error {
	r, err := n.rules(nftables.TableFamilyIPv6, "fw6")
	if err != nil {
		return err
	}
	r.AddTable(r.table)
	in := r.base("input", nftables.ChainTypeFilter, nftables.ChainHookInput,
		*nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(in, iifname("lo"), accept())
	r.rule(in, iifname(LANLink), accept())
	r.rule(in, established(), accept())
	r.rule(in, l4proto(unix.IPPROTO_ICMPV6), accept())
	through := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward,
		*nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	r.rule(through, established(), accept())
	r.rule(through, iifname(LANLink), oifname(WANLink), accept())
	return r.Flush()
}

// hton32 is a number as it stands in a register after hostOrder.
func hton32(v uint32) []byte { return binaryutil.BigEndian.PutUint32(v) }
