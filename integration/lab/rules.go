//go:build linux

package lab

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The words of a rule, named as the nft command names them. Every comparison
// goes through register 1, which it may overwrite.

func concat(parts ...[]expr.Any) (rule []expr.Any) {
	for _, p := range parts {
		rule = append(rule, p...)
	}
	return rule
}

func meta(key expr.MetaKey, want []byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want},
	}
}

// ifname is a link's name as the kernel compares it: 16 bytes, zero-filled.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func iifname(name string) []expr.Any { return meta(expr.MetaKeyIIFNAME, ifname(name)) }
func oifname(name string) []expr.Any { return meta(expr.MetaKeyOIFNAME, ifname(name)) }
func l4proto(proto byte) []expr.Any  { return meta(expr.MetaKeyL4PROTO, []byte{proto}) }
func nfproto(proto byte) []expr.Any  { return meta(expr.MetaKeyNFPROTO, []byte{proto}) }

// established is "ct state established,related".
func established() []expr.Any {
	bits := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// direction is "ct direction original" or "reply" (unix.IP_CT_DIR_*: 0 or 1).
func direction(d byte) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{d}},
	}
}

// localDestination is "fib daddr type local".
func localDestination() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// transport loads n bytes of the UDP or TCP header into register 1, and network
// those of the IP header.
func transport(offset, n uint32) *expr.Payload {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: n}
}

func network(offset, n uint32) *expr.Payload {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: n}
}

// hostOrder turns the number in register 1 into big-endian order, so that it
// compares as a number.
func hostOrder() *expr.Byteorder {
	return &expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4}
}

// portOrder converts the number in register 1, which is below 65536, to a port:
// two bytes in big-endian order. It uses the first two bytes of the register,
// where a little-endian machine has them.
func portOrder() []expr.Any {
	return []expr.Any{&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 2, Size: 2}}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() []expr.Any   { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// A ruleset collects one transaction for the rules of a namespace.
type ruleset struct {
	*nftables.Conn
	table *nftables.Table
}

func (n *Namespace) rules(family nftables.TableFamily, table string) (*ruleset, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.handle)))
	if err != nil {
		return nil, err
	}
	return &ruleset{Conn: conn, table: &nftables.Table{Family: family, Name: table}}, nil
}

// base adds a chain at a hook. The policy applies where no rule decides.
func (r *ruleset) base(name string, kind nftables.ChainType, hook *nftables.ChainHook,
	priority nftables.ChainPriority, policy nftables.ChainPolicy) *nftables.Chain {
	return r.AddChain(&nftables.Chain{
		Table: r.table, Name: name, Type: kind, Hooknum: hook, Priority: &priority, Policy: &policy,
	})
}

func (r *ruleset) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	r.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: concat(parts...)})
}
