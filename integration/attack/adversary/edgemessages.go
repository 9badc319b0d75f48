package adversary

import (
	"net/netip"
	"strings"
	"time"

	"hedgerow/protocol"
)

// EdgeMessages returns what a hostile edge says to a supernode. Its REGISTERs prove
// membership in the guest's present session.
func (k *Knowledge) EdgeMessages(g *Guest) []Value {
	list := append(k.pings(), k.registers(g)...)
	macs := []protocol.MAC{k.Honest.MAC, k.Edge.MAC, {}, protocol.Broadcast}
	for _, h := range k.handles() {
		list = append(list, value("QUERY", protocol.Query{Handle: h}), value("PUNCH", protocol.Punch{Handle: h}),
			value("PUNCH of a supernode", protocol.Punch{Handle: h, Seen: k.Stranger, Delay: time.Second}))
	}
	list = append(list, all("QUERY for", macs, func(name string, m protocol.MAC) Value { return value(name, protocol.Query{MAC: m}) })...)
	many := make([]uint32, protocol.MaxDirect)
	same := make([]uint32, protocol.MaxDirect)
	for i := range many {
		many[i], same[i] = uint32(i), k.Honest.Handle
	}
	list = append(list,
		value("DIRECT, none", protocol.Direct{}), value("DIRECT, one often", protocol.Direct{Handles: same[:300]}),
		value("DIRECT, many", protocol.Direct{Handles: many[:300]}), value("DIRECT, some", protocol.Direct{Handles: k.handles()}),
		value("WHOAMI, no pad", protocol.Whoami{}), value("WHOAMI", protocol.Whoami{Pad: 1200}),
		raw("LOAD", protocol.MsgLoad, make([]byte, 8)...), raw("LOAD, told", protocol.MsgLoad, 255, 255, 255, 255, 255, 255, 255, 255),
		value("ACK", protocol.Ack{Handle: 1}), value("NAK", protocol.Nak{Code: 1}), value("SEEN", protocol.Seen{Addr: k.Stranger}),
		value("PEER_INFO", protocol.PeerInfo{CID: k.Community.ID(), MAC: k.Honest.MAC, Handle: 5, Statement: k.Honest.Statement}),
	)
	return append(append(list, rosters()...), unknownMessages()...)
}

func (k *Knowledge) registers(g *Guest) []Value {
	var list []Value
	add := func(name string, m *protocol.Register) { list = append(list, value("REGISTER: "+name, *m)) }
	for _, p := range Prefixes() {
		m := g.Register(k.Community)
		m.Prefix = p
		add("wants "+p.String(), m)
		m.Features = protocol.FeatureStatic
		add("insists on "+p.String(), m)
	}
	for _, st := range k.Statements() {
		for _, mac := range []protocol.MAC{protocol.MAC(k.Self.MAC(k.Community.ID())), k.Honest.MAC, {}, protocol.Broadcast, {0x01, 0, 0x5e, 0, 0, 1}} {
			add(st.Name, g.Claim(k.Community, mac, st.Bytes))
		}
	}
	add("another's statement", g.Claim(k.Community, k.Honest.MAC, k.Honest.Statement))
	for _, chunk := range chunks(k.Addresses(), protocol.MaxCandidates) {
		m := g.Register(k.Community)
		m.Candidates = chunk
		add("candidates", m)
	}
	m := g.Register(k.Community)
	m.Name, m.Token, m.User, m.Password = strings.Repeat("n", 64), make([]byte, 512), strings.Repeat("u", 64), strings.Repeat("p", 128)
	m.Features, m.Prefix = 1<<32-1, netip.MustParsePrefix("10.64.0.0/10")
	add("all members at their longest", m)
	m = g.Register(k.Community)
	m.SigC = [64]byte{}
	add("no proof", m)
	m = g.Register(k.Community)
	m.CID = [16]byte{}
	add("another community's proof", m)
	return list
}
