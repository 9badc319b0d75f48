//go:build linux

package lab

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names of a router's tables.
const (
	natTable  = "nat"
	fwTable   = "fw"
	fw6Table  = "fw6"
	doorTable = "door"
)

// translate installs the rules of a kind in a router's namespace.
func (k Kind) translate(n *Namespace, wan netip.Addr) error {
	if err := k.translateTo(n, wan); err != nil {
		return err
	}
	if k.lifetime > 0 {
		seconds := strconv.Itoa(int(k.lifetime / time.Second))
		for _, name := range []string{"nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"} {
			if err := n.Sysctl("net/netfilter/"+name, seconds); err != nil {
				return err
			}
		}
	}
	if k.udp != passes {
		if err := k.closeDoor(n); err != nil {
			return err
		}
	}
	if k.openInput {
		return nil
	}
	if err := closeInput(n); err != nil {
		return err
	}
	return closeHome6(n)
}

// translateTo makes the table ip nat, or replaces it:
//
//	postrouting: oifname "wan" meta l4proto udp snat ip to WAN:port
//	             oifname "wan" masquerade [random,fully-random]
//
// The first rule is for kinds that choose the port (it is not masquerade because
// the library cannot set that one); mappings adds the rules of kinds that remember
// their mappings.
func (k Kind) translateTo(n *Namespace, wan netip.Addr) error {
	r, err := n.rules(nftables.TableFamilyIPv4, natTable)
	if err != nil {
		return err
	}
	// Adding an existing table is no error, so that there is one to delete.
	r.AddTable(r.table)
	r.DelTable(r.table)
	r.AddTable(r.table)
	post := r.base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting,
		*nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept)
	if k.choosesPort() {
		r.rule(post, oifname(WANLink), l4proto(unix.IPPROTO_UDP), k.source(wan))
	}
	random := k.ports == byChance
	r.rule(post, oifname(WANLink), []expr.Any{&expr.Masq{Random: random, FullyRandom: random}})
	if k.remembers() {
		if err := r.mappings(k); err != nil {
			return err
		}
	}
	if k.hairpin {
		r.hairpin(k, post, wan)
	}
	return r.Flush()
}

// choosesPort reports whether the rules choose the port of a mapping, and not
// the kernel.
func (k Kind) choosesPort() bool { return k.ports != preserved && k.ports != byChance }

// source is "snat ip to wan", and to the port that the kind allocates.
func (k Kind) source(wan netip.Addr) []expr.Any {
	snat := &expr.NAT{
		Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: unix.NFT_REG32_04,
		Random: k.ports == byChance, FullyRandom: k.ports == byBlock || k.ports == byChance,
	}
	var ports []expr.Any
	switch k.ports {
	case byNumber:
		ports = concat([]expr.Any{
			&expr.Numgen{Register: 1, Modulus: numberPorts, Type: unix.NFT_NG_INCREMENTAL, Offset: firstPort},
		}, portOrder())
		snat.RegProtoMin = 1
	case byHash:
		ports = k.hash()
		snat.RegProtoMin = 1
	case byBlock:
		port := func(p int) []byte { return binaryutil.BigEndian.PutUint16(uint16(p)) }
		ports = []expr.Any{
			&expr.Immediate{Register: unix.NFT_REG32_00, Data: port(k.first)},
			&expr.Immediate{Register: unix.NFT_REG32_01, Data: port(k.first + k.block - 1)},
		}
		snat.RegProtoMin, snat.RegProtoMax = unix.NFT_REG32_00, unix.NFT_REG32_01
	}
	return concat(ports, []expr.Any{&expr.Immediate{Register: unix.NFT_REG32_04, Data: wan.AsSlice()}, snat})
}

// hash computes a port in register 1 from the fields that the mapping depends
// on: "jhash ip saddr . udp sport [. ip daddr] mod 16384 seed 1 offset 40000".
func (k Kind) hash() []expr.Any {
	// The registers of 4 bytes from REG32_00 on are register 1 and what follows.
	from := addressAndPort(12, 0)
	if k.mapping == onAddress {
		from = append(from, &expr.Payload{
			DestRegister: unix.NFT_REG32_02, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4,
		})
	}
	return concat(from, []expr.Any{&expr.Hash{
		SourceRegister: unix.NFT_REG32_00, DestRegister: 1, Length: uint32(4 * len(from)),
		Modulus: hashPorts, Seed: 1, Offset: firstPort, Type: expr.HashTypeJenkins,
	}}, portOrder())
}

// hton32 is a number as a register holds it after hostOrder.
func hton32(v uint32) []byte { return binaryutil.BigEndian.PutUint32(v) }
