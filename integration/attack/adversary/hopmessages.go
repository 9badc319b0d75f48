package adversary

import (
	"net/netip"
	"strings"
	"time"

	"hedgerow/protocol"
)

// HopMessages returns what a hostile supernode says to an edge.
func (k *Knowledge) HopMessages() []Value {
	list := append(k.pings(), k.acks()...)
	list = append(append(list, k.naks()...), k.peerInfos()...)
	for _, handle := range k.handles() {
		for _, a := range k.Addresses() {
			list = append(list, value("PUNCH", protocol.Punch{Handle: handle, Seen: a}))
		}
		list = append(list, value("PUNCH, far in the future", protocol.Punch{Handle: handle, Seen: k.Stranger, Delay: 65535 * time.Millisecond}))
	}
	list = append(list,
		raw("LOAD", protocol.MsgLoad, 255, 255, 255, 255, 255, 255, 255, 255), raw("UNREGISTER", protocol.MsgUnregister),
		value("SEEN", protocol.Seen{Addr: k.Stranger}), value("WHOAMI", protocol.Whoami{Pad: 1200}), value("DIRECT", protocol.Direct{Handles: k.handles()}),
	)
	return append(append(list, rosters()...), unknownMessages()...)
}

// handles are some that mean somebody, and some that mean nobody or all.
func (k *Knowledge) handles() []uint32 {
	return []uint32{k.Honest.Handle, k.Edge.Handle, 0, 1, 12345, protocol.HandleAll, 1 << 31}
}

func (k *Knowledge) acks() []Value {
	ack := func(change func(*protocol.Ack)) protocol.Ack {
		a := protocol.Ack{Handle: 1 << 30, Seen: k.Edge.Addr, LeaseSeconds: 3600, Members: 3}
		change(&a)
		return a
	}
	var list []Value
	add := func(name string, change func(*protocol.Ack)) { list = append(list, value("ACK: "+name, ack(change))) }
	for _, p := range Prefixes() {
		for _, seconds := range []uint32{0, 1, 1<<32 - 1} {
			add("lease of "+p.String(), func(a *protocol.Ack) { a.Lease, a.LeaseSeconds = p, seconds })
		}
	}
	for _, h := range k.handles() {
		add("handle", func(a *protocol.Ack) { a.Handle = h })
	}
	for _, at := range k.Addresses() {
		add("seen at "+at.String(), func(a *protocol.Ack) { a.Seen = at })
		add("TURN server "+at.String(), func(a *protocol.Ack) {
			a.TURN = protocol.TURNServer{Addr: at, User: strings.Repeat("u", 64), Password: strings.Repeat("p", 64)}
		})
		add("supernodes "+at.String(), func(a *protocol.Ack) {
			for i := range byte(protocol.MaxSupernodes) {
				a.Supernodes = append(a.Supernodes, protocol.SupernodeRef{Addr: at, Key: [32]byte{i}})
			}
		})
	}
	add("all numbers at their end", func(a *protocol.Ack) {
		a.Members, a.NameInUse, a.Features, a.Code, a.Holder = 1<<32-1, 1<<32-1, 1<<32-1, 255, k.Honest.MAC
	})
	add("address taken by the edge itself", func(a *protocol.Ack) { a.Code, a.Holder = protocol.CodeIPTaken, k.Edge.MAC })
	return list
}

func (k *Knowledge) naks() []Value {
	var list []Value
	for _, code := range []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 255} {
		for _, retry := range []uint16{0, 1, 65535} {
			list = append(list, value("NAK", protocol.Nak{Code: code, Retry: retry, Holder: k.Honest.MAC, Prefix: netip.MustParsePrefix("0.0.0.0/0")}))
		}
	}
	return list
}

func (k *Knowledge) peerInfos() []Value {
	var list []Value
	add := func(name string, m protocol.PeerInfo) { list = append(list, value("PEER_INFO: "+name, m)) }
	cid := k.Community.ID()
	own, addresses := protocol.MAC(k.Self.MAC(cid)), k.Addresses()
	for _, st := range k.Statements() {
		for _, mac := range []protocol.MAC{k.Honest.MAC, own, {}, protocol.Broadcast} {
			add(st.Name, protocol.PeerInfo{CID: cid, MAC: mac, Handle: 77, Statement: st.Bytes})
		}
	}
	for i, chunk := range chunks(addresses, protocol.MaxCandidates) {
		for _, handle := range k.handles() {
			add("candidates", protocol.PeerInfo{CID: cid, MAC: k.Honest.MAC, Handle: handle, Statement: k.Honest.Statement, Seen: addresses[i], Candidates: chunk})
		}
	}
	for _, p := range Prefixes() {
		add("lease", protocol.PeerInfo{CID: cid, MAC: k.Honest.MAC, Handle: k.Honest.Handle, Statement: k.Honest.Statement, Prefix: p, Features: 1<<32 - 1})
	}
	add("another community", protocol.PeerInfo{MAC: k.Honest.MAC, Handle: k.Honest.Handle, Statement: k.Honest.Statement})
	add("the edge itself", protocol.PeerInfo{CID: cid, MAC: k.Edge.MAC, Handle: 78, Statement: k.Edge.Statement})
	return list
}
