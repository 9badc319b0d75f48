package transport

import (
	"net/netip"
	"sync/atomic"

	"hedgerow/nat/nat64"
)

// NAT64 lets a host without IPv4 reach IPv4 addresses through the NAT64 of its network: to
// whoever sends and receives they are IPv4 addresses as ever, and on the wire those of RFC
// 6052. The zero value, and nil, translate nothing. Its methods may be called from any
// goroutine, and do not allocate, but for Use.
type NAT64 struct{ in atomic.Pointer[nat64Use] }

// nat64Use is a prefix, and which addresses are reached by it.
type nat64Use struct {
	prefix  nat64.Prefix
	reaches func(four netip.Addr) bool
}

// Use has the IPv4 addresses that reaches holds for reached by a prefix from now on; one that
// is not valid ends it.
func (n *NAT64) Use(p nat64.Prefix, reaches func(four netip.Addr) bool) {
	if !p.IsValid() {
		n.in.Store(nil)
		return
	}
	n.in.Store(&nat64Use{p, reaches})
}

// use returns what is in use, or nil.
func (n *NAT64) use() *nat64Use {
	if n == nil {
		return nil
	}
	return n.in.Load()
}

// Prefix returns the prefix in use; not valid: none is.
func (n *NAT64) Prefix() nat64.Prefix {
	if u := n.use(); u != nil {
		return u.prefix
	}
	return nat64.Prefix{}
}

// Outward returns the address on the wire of an IPv4 address that is reached through the
// NAT64, and any other address as it is.
func (n *NAT64) Outward(a netip.AddrPort) netip.AddrPort { return n.use().outward(a) }

// Inward undoes Outward: it returns the IPv4 address of one of the prefix.
func (n *NAT64) Inward(a netip.AddrPort) netip.AddrPort { return n.use().inward(a) }

func (u *nat64Use) outward(a netip.AddrPort) netip.AddrPort {
	if u == nil || !a.Addr().Is4() || !u.reaches(a.Addr()) {
		return a
	}
	return netip.AddrPortFrom(u.prefix.Embed(a.Addr()), a.Port())
}

func (u *nat64Use) inward(a netip.AddrPort) netip.AddrPort {
	if u == nil {
		return a
	}
	if four, ok := u.prefix.Extract(a.Addr()); ok {
		return netip.AddrPortFrom(four, a.Port())
	}
	return a
}

// write sends a batch by a socket, what is reached through the NAT64 by that. The addresses
// of the batch are as before when it returns.
func (n *NAT64) write(socket Batch, ds []Datagram) (sent int, err error) {
	u := n.use()
	if u == nil {
		return socket.WriteBatch(ds)
	}
	for i := range ds {
		ds[i].Addr = u.outward(ds[i].Addr)
	}
	sent, err = socket.WriteBatch(ds)
	for i := range ds {
		ds[i].Addr = u.inward(ds[i].Addr)
	}
	return sent, err
}
