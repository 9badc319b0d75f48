//go:build linux

package lab

import (
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A Linux router that admits more than answers, or hosts of its home by their
// public addresses, has to know its mappings: the connection table finds a
// packet by all of its addresses only. So it keeps a map from public ports to
// hosts, learnt from every outgoing datagram.

// Directions of a connection: the kernel's IP_CT_DIR_ORIGINAL and _REPLY.
const (
	original = 0
	reply    = 1
)

// mappingTimeout is how long a mapping is kept that no datagram of its host
// refreshes, if the kind does not say, and mappingSize how many are kept. One more
// is not learnt: nothing comes in by it.
const (
	mappingTimeout = 5 * time.Minute
	mappingSize    = 65535
)

func (k Kind) mappingTimeout() time.Duration {
	if k.lifetime > 0 {
		return k.lifetime
	}
	return mappingTimeout
}

// coneMap is from the port that the internet sees to the host and port behind
// it: map eim { type inet_service : ipv4_addr . inet_service }.
func (r *ruleset) coneMap(k Kind) *nftables.Set {
	return &nftables.Set{
		Table:      r.table,
		Name:       "eim",
		ID:         1, // within the transaction
		IsMap:      true,
		Dynamic:    true,
		HasTimeout: true,
		Timeout:    k.mappingTimeout(),
		Size:       mappingSize,
		KeyType:    nftables.TypeInetService,
		DataType:   nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
}

// permitSet holds which address has been sent to from which public port:
// set permit { type ipv4_addr . inet_service }.
func (r *ruleset) permitSet(k Kind) *nftables.Set {
	return &nftables.Set{
		Table:      r.table,
		Name:       "permit",
		ID:         2,
		Dynamic:    true,
		HasTimeout: true,
		Timeout:    k.mappingTimeout(),
		Size:       mappingSize,
		KeyType:    nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
}

// mappings makes the sets of a kind and the chains that fill and use them.
//
//	learn: oifname "wan" udp, ct direction original: update @eim
//	       { udp sport : ct original ip saddr . ct original proto-src }
//	       (and the same of replies) ; update @permit { ip daddr . udp sport }
//	prerouting: iifname "wan" fib daddr type local udp
//	       [ip saddr . udp dport @permit] dnat ip to udp dport map @eim
func (r *ruleset) mappings(k Kind) error {
	eim := r.coneMap(k)
	if err := r.AddSet(eim, nil); err != nil {
		return err
	}
	// After srcnat, where a datagram carries its public port already; the host
	// behind it is known from the connection only. A flow that began outside
	// has its host in the tuple of the replies.
	learn := r.base("learn", nftables.ChainTypeFilter, nftables.ChainHookPostrouting,
		*nftables.ChainPriorityNATSource+10, nftables.ChainPolicyAccept)
	r.learn(learn, eim, oifname(WANLink))
	if k.hairpin {
		r.learn(learn, eim, iifname(LANLink), oifname(LANLink))
	}
	pre := r.base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting,
		*nftables.ChainPriorityNATDest, nftables.ChainPolicyAccept)
	arrived := concat(iifname(WANLink), localDestination(), l4proto(unix.IPPROTO_UDP))
	switch k.filtering {
	case onNothing:
		r.rule(pre, arrived, toHost(eim))
	case onAddress:
		permit := r.permitSet(k)
		if err := r.AddSet(permit, nil); err != nil {
			return err
		}
		r.rule(learn, oifname(WANLink), l4proto(unix.IPPROTO_UDP), addressAndPort(16, 0), []expr.Any{
			&expr.Dynset{SrcRegKey: unix.NFT_REG32_00, SetName: permit.Name, SetID: permit.ID, Operation: unix.NFT_DYNSET_OP_UPDATE},
		})
		r.rule(pre, arrived, addressAndPort(12, 2), []expr.Any{
			&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: permit.Name, SetID: permit.ID},
		}, toHost(eim))
	}
	return nil
}

// learn remembers the mappings of the UDP datagrams that match.
func (r *ruleset) learn(chain *nftables.Chain, eim *nftables.Set, match ...[]expr.Any) {
	for _, d := range []byte{original, reply} {
		r.rule(chain, concat(match...), l4proto(unix.IPPROTO_UDP), direction(d), []expr.Any{
			transport(0, 2),
			&expr.Ct{Key: expr.CtKeySRC, Direction: uint32(d), Register: unix.NFT_REG32_04},
			&expr.Ct{Key: expr.CtKeyPROTOSRC, Direction: uint32(d), Register: unix.NFT_REG32_05},
			&expr.Dynset{
				SrcRegKey: 1, SrcRegData: unix.NFT_REG32_04,
				SetName: eim.Name, SetID: eim.ID, Operation: unix.NFT_DYNSET_OP_UPDATE,
			},
		})
	}
}

// addressAndPort puts an IPv4 address and a port, from these offsets in their
// headers, into REG32_00 and REG32_01.
func addressAndPort(inNetwork, inTransport uint32) []expr.Any {
	return []expr.Any{
		network(inNetwork, 4),
		&expr.Payload{DestRegister: unix.NFT_REG32_01, Base: expr.PayloadBaseTransportHeader, Offset: inTransport, Len: 2},
	}
}

// toHost is "dnat ip to udp dport map @eim", and does nothing with a datagram
// to a port that is not in the map.
func toHost(eim *nftables.Set) []expr.Any {
	return []expr.Any{
		transport(2, 2),
		&expr.Lookup{SourceRegister: 1, DestRegister: unix.NFT_REG32_04, IsDestRegSet: true, SetName: eim.Name, SetID: eim.ID},
		&expr.NAT{
			Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4,
			RegAddrMin: unix.NFT_REG32_04, RegProtoMin: unix.NFT_REG32_05,
		},
	}
}

// hairpin redirects the home's packets to the router's public address to the
// host that has the port, from the sender's public address and port.
func (r *ruleset) hairpin(k Kind, post *nftables.Chain, wan netip.Addr) {
	pre := &nftables.Chain{Table: r.table, Name: "prerouting"}
	r.rule(pre, iifname(LANLink), []expr.Any{
		network(16, 4),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: wan.AsSlice()},
	}, l4proto(unix.IPPROTO_UDP), toHost(r.coneMap(k)))
	r.rule(post, iifname(LANLink), oifname(LANLink), l4proto(unix.IPPROTO_UDP), k.source(wan))
}

// forget empties the mappings of a kind beside the connection table.
func (k Kind) forget(n *Namespace) error {
	if !k.remembers() {
		return nil
	}
	r, err := n.rules(nftables.TableFamilyIPv4, natTable)
	if err != nil {
		return err
	}
	r.FlushSet(r.coneMap(k))
	if k.filtering == onAddress {
		r.FlushSet(r.permitSet(k))
	}
	return r.Flush()
}
