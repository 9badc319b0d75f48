package adversary

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Somebody is a member as others know it.
type Somebody struct {
	Static    [32]byte
	MAC       protocol.MAC
	Handle    uint32
	Addr      netip.AddrPort
	Statement []byte
}

// Knowledge is what hostile values are made of.
type Knowledge struct {
	Community *crypto.Community
	Self      *crypto.Identity // who speaks
	Edge      Somebody         // the edge that is spoken to
	Honest    Somebody         // a member that has done nothing to anybody
	Supernode netip.AddrPort
	Stranger  netip.AddrPort // somebody who has nothing to do with the community
}

// Value is one message, or part of one, that was chosen to hurt.
type Value struct {
	Name  string
	Bytes []byte // of a message: type, length and value
}

// Append appends the message to a body.
func (v Value) Append(b []byte) []byte { return append(b, v.Bytes...) }

// value makes a Value of a message.
func value[T any, P interface {
	*T
	Append([]byte) []byte
}](name string, m T) Value {
	return Value{name, P(&m).Append(nil)}
}

// raw makes a Value of any type and bytes.
func raw(name string, typ protocol.MsgType, b ...byte) Value {
	v := binary.BigEndian.AppendUint16([]byte{uint8(typ)}, uint16(len(b)))
	return Value{name, append(v, b...)}
}

// Variants returns values and what becomes of each when it is damaged as a whole:
// without its value, cut, longer than it says, of another type.
func Variants(list []Value) []Value {
	var all []Value
	for _, v := range list {
		all = append(all, v)
		typ, body := protocol.MsgType(v.Bytes[0]), v.Bytes[3:]
		all = append(all, raw(v.Name+", empty", typ), raw(v.Name+", a byte more", typ, append(append([]byte(nil), body...), 0)...))
		if len(body) > 0 {
			all = append(all, raw(v.Name+", a byte less", typ, body[:len(body)-1]...), raw(v.Name+", half", typ, body[:len(body)/2]...))
		}
		unfinished := append([]byte(nil), v.Bytes...)
		unfinished[1] = 0xff
		all = append(all, Value{v.Name + ", longer than its body", unfinished})
	}
	return all
}

// Repeated returns a body of as many copies of a message as one datagram carries.
func Repeated(v Value) []byte {
	const most = 1300
	var b []byte
	for b = v.Append(b); len(b)+len(v.Bytes) <= most; {
		b = v.Append(b)
	}
	return b
}

// Addresses returns underlay addresses that nobody should be made to talk to, and
// some of others.
func (k *Knowledge) Addresses() []netip.AddrPort {
	list := []netip.AddrPort{
		k.Stranger, netip.AddrPortFrom(k.Stranger.Addr(), 0), netip.AddrPortFrom(k.Stranger.Addr(), 1), netip.AddrPortFrom(k.Stranger.Addr(), 53),
		k.Edge.Addr, k.Honest.Addr, k.Supernode, netip.AddrPortFrom(k.Supernode.Addr(), 65535),
	}
	for _, text := range []string{
		"0.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.169.254", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1",
		"10.0.0.1", "192.168.1.255", "100.64.0.1", "::", "::1", "fe80::1", "ff02::1", "100::1", "2001:db8::1", "64:ff9b::7f00:1", "2002:7f00:1::1",
	} {
		for _, port := range []uint16{0, 7, 5353, 40000} {
			list = append(list, netip.AddrPortFrom(netip.MustParseAddr(text), port))
		}
	}
	return list
}

// Prefixes returns overlay addresses that no edge should take.
func Prefixes() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/0", "0.0.0.0/32", "129.1.1.1/1", "8.8.8.1/24", "127.0.0.1/8", "224.0.0.1/4", "239.1.1.1/32", "255.255.255.255/32", "255.255.255.255/0",
		"10.0.0.0/8", "10.255.255.255/8", "10.0.0.1/0", "10.0.0.1/31", "10.0.0.1/32", "169.254.1.1/16", "192.168.0.0/16", "198.51.100.1/24",
		"203.0.113.1/24", "::/0", "::1/128", "ff00::1/8", "ff02::1/128", "fe80::1/64", "2001:db8::1/32", "fd00::1/8", "2000::1/3", "8000::1/1",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// Statements returns statements that are true of nobody: of another's key under one's
// own signature, of another's hardware address, of numbers at their ends.
func (k *Knowledge) Statements() []Value {
	cid, own := k.Community.ID(), k.Self.MAC(k.Community.ID())
	claim := func(static [32]byte, mac protocol.MAC, seq, expiry uint64) []byte {
		liar := *k.Self // signs that another's static key is its own
		liar.Static = static
		return liar.SignStatement(crypto.Statement{CID: cid, MAC: mac, Seq: seq, Expiry: expiry})
	}
	group := protocol.MAC{0x01, 0, 0x5e, 0, 0, 1}
	return []Value{
		{"another's static key", claim(k.Honest.Static, own, 1<<40, 1<<40)},
		{"another's static and hardware", claim(k.Honest.Static, k.Honest.MAC, 1<<40, 1<<40)},
		{"another's static, highest number", claim(k.Honest.Static, own, 1<<64-1, 1<<64-1)},
		{"the edge's static key", claim(k.Edge.Static, own, 1<<64-1, 1<<40)},
		{"another's hardware address", claim(k.Self.Static, k.Honest.MAC, 1<<40, 1<<40)},
		{"the edge's hardware address", claim(k.Self.Static, k.Edge.MAC, 1<<40, 1<<40)},
		{"group address", claim(k.Self.Static, group, 2, 1<<40)},
		{"broadcast", claim(k.Self.Static, protocol.Broadcast, 2, 1<<40)},
		{"no address", claim(k.Self.Static, protocol.MAC{}, 2, 1<<40)},
		{"number 0", claim(k.Self.Static, own, 0, 0)},
		{"highest number", claim(k.Self.Static, own, 1<<64-1, 1<<64-1)},
		{"static key 0", claim([32]byte{}, own, 2, 1<<40)},
		{"static key of low order", claim([32]byte{1}, own, 2, 1<<40)},
		{"garbage", make([]byte, protocol.StatementLen)},
	}
}

// all makes a value of each element of a list.
func all[T any](name string, list []T, f func(name string, e T) Value) (values []Value) {
	for _, e := range list {
		values = append(values, f(fmt.Sprintf("%s %v", name, e), e))
	}
	return values
}

// chunks cuts a list into pieces of n.
func chunks[T any](list []T, n int) (pieces [][]T) {
	for len(list) > 0 {
		n := min(n, len(list))
		pieces, list = append(pieces, list[:n]), list[n:]
	}
	return pieces
}
