package adversary

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// PairMessages returns what a hostile member says in a pair session.
func (k *Knowledge) PairMessages() []Value {
	var list []Value
	for _, of := range []func() []Value{k.pings, k.candidates, k.calls, k.salts, k.forwards, k.descriptions, k.stations, unknownMessages} {
		list = append(list, of()...)
	}
	return list
}

func (k *Knowledge) pings() []Value {
	return []Value{
		value("PING, longest pad", protocol.Ping{Nonce: [8]byte{1}, Pad: 1200}),
		value("PING, no pad", protocol.Ping{Nonce: [8]byte{2}}),
		value("PING, last generation", protocol.Ping{Gen: 1<<32 - 1, Path: 255, Pad: protocol.MinPingPad}),
		value("PONG to nobody", protocol.Pong{Nonce: [8]byte{3}, Seen: k.Stranger, Highest: 1<<64 - 1, Received: 1<<32 - 1}),
		value("PONG, group address", protocol.Pong{Seen: netip.MustParseAddrPort("224.0.0.1:0")}),
		value("PONG, loopback", protocol.Pong{Seen: netip.MustParseAddrPort("[::1]:1")}),
	}
}

// lists are lists of candidates of every kind of address and of kind.
func (k *Knowledge) lists() (lists [][]protocol.Candidate) {
	for i, chunk := range chunks(k.Addresses(), protocol.MaxCandidates) {
		var list []protocol.Candidate
		for j, a := range chunk {
			list = append(list, protocol.Candidate{Kind: uint8(i + j), Addr: a})
		}
		lists = append(lists, list)
	}
	same := make([]protocol.Candidate, protocol.MaxCandidates)
	near := make([]protocol.Candidate, protocol.MaxCandidates) // one port each of one stranger
	for i := range same {
		same[i] = protocol.Candidate{Kind: 2, Addr: k.Stranger}
		near[i] = protocol.Candidate{Kind: 255, Addr: netip.AddrPortFrom(k.Stranger.Addr(), uint16(2000+i))}
	}
	return append(lists, nil, same, near)
}

func (k *Knowledge) candidates() []Value {
	var list []Value
	for i, c := range k.lists() {
		list = append(list, value("CAND of generation 0", protocol.Candidates{List: c}))
		list = append(list, value("CAND, newer", protocol.Candidates{Gen: uint32(i) << 8, List: c}))
	}
	return append(list, value("CAND of the last generation", protocol.Candidates{Gen: 1<<32 - 1, List: k.lists()[0]}))
}

// Ports are lists of ports as NATs do not give them.
func Ports() [][]uint16 {
	same, low := make([]uint16, 16), make([]uint16, 16)
	for i := range same {
		same[i], low[i] = 40000, uint16(1+i)
	}
	return [][]uint16{
		nil, {0}, {0, 0, 0}, {1}, {1, 2, 3}, {1023, 1022, 1021}, low, {65535}, {65535, 65534, 65533}, {65535, 0, 1}, same,
		{1, 900, 30, 700, 5, 1000, 17, 333}, {7, 1500, 60, 1100, 1, 1200, 90, 1023}, {5353, 5353, 5353},
		{1720, 1719, 1720, 1719}, {5061, 5060, 5061, 5060}, {5353, 5351, 5350, 5353},
		{40000, 40001, 40002}, {40000, 20000, 60000}, {19, 53, 123, 389, 1900, 11211, 5353, 3702},
	}
}

func (k *Knowledge) calls() []Value {
	lists := k.lists()
	var list []Value
	for i, p := range Ports() {
		for _, mapping := range []uint8{0, 1, 2, 3, 255} {
			c := protocol.Call{Gen: uint32(1000 + i), Sent: 1<<32 - 1, Mapping: mapping, Ports: p, List: lists[i%len(lists)]}
			list = append(list, value("CALL", c), value("CALLACK", protocol.CallAck{Echo: uint32(i), Call: c}))
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 65535 * time.Millisecond} {
		list = append(list, value("GO", protocol.Go{Delay: d}), value("GO of the last generation", protocol.Go{Gen: 1<<32 - 1, Delay: d}))
	}
	return list
}

func (k *Knowledge) salts() []Value {
	var list []Value
	for _, xf := range []protocol.Transform{protocol.XFNull, protocol.XFGroupChaCha, protocol.XFGroupGCM, protocol.XFDataGCM, protocol.XFHop, 0x40, 0xff} {
		for _, ki := range []uint8{0, 1, 254, 255} {
			m := protocol.Salt{XF: xf, KI: ki}
			for _, at := range []byte{0, 0x7f, 0xff} {
				m.Salt = [protocol.SaltLen]byte{at, at, at, at, byte(xf), ki}
				for _, number := range []uint64{0, 1, 1<<64 - 1} {
					m.Lowest, m.Serial = number, number
					list = append(list, value("SALT", m))
				}
			}
		}
	}
	for _, ki := range []uint8{0, 1, 254, 255} {
		list = append(list, value("KEYUPDATE", protocol.KeyUpdate{Version: 1<<64 - 1, KI: ki, XF: protocol.XFGroupGCM, Until: 1<<64 - 1, Key: [32]byte{1}}))
	}
	return append(list, rosters()...)
}

// rosters are messages about lists of members that nobody has signed.
func rosters() []Value {
	var list []Value
	for _, n := range []uint64{0, 1, 1<<64 - 1} {
		for _, count := range []uint16{1, protocol.MaxListed} {
			h := protocol.ListHead{Serial: n, Made: n, Stale: n, Count: count}
			list = append(list, value("LIST", protocol.List{Keys: n, Head: &h}))
		}
		list = append(list, value("LIST without a head", protocol.List{Keys: n}))
	}
	for _, i := range []uint16{0, 1023, 1<<16 - 1} {
		want := protocol.ListWant{Indices: make([]uint16, protocol.MaxWanted)}
		for k := range want.Indices {
			want.Indices[k] = i
		}
		list = append(list, value("LISTWANT", want))
		for _, n := range []int{0, protocol.MaxProof} {
			list = append(list, value("LISTPART", protocol.ListPart{Index: i, Entries: make([]protocol.Listed, protocol.PieceEntries), Proof: make([][32]byte, n)}))
		}
	}
	return list
}

func (k *Knowledge) forwards() []Value {
	nothing, self := [32]byte{}, k.Self.Static
	inits := make([]byte, protocol.InitLen)
	var list []Value
	for _, key := range [][32]byte{nothing, {1}, self, k.Edge.Static, k.Honest.Static} {
		for _, packet := range [][]byte{{0}, inits, make([]byte, protocol.MaxForward), Repeated(value("", protocol.Ping{}))[:1000]} {
			list = append(list, value("FORWARD", protocol.Forward{To: key, Packet: packet}), value("FORWARDED", protocol.Forwarded{From: key, Packet: packet}))
		}
	}
	return list
}

func (k *Knowledge) descriptions() []Value {
	name := make([]byte, 256)
	for i := range name {
		name[i] = byte(i)
	}
	hosts := protocol.Hosts{Seq: 1<<32 - 1, First: true, Last: true}
	for i := range protocol.MaxHosts {
		hosts.List = append(hosts.List, protocol.Host{VLAN: uint16(i) * 20, Gone: i%3 == 0, Moves: uint16(i) << 9, MAC: protocol.MAC{2, 0, 0, 0, 0, byte(i)}})
	}
	hosts.List[0].MAC, hosts.List[1].MAC, hosts.List[2].MAC = k.Honest.MAC, k.Edge.MAC, protocol.MAC{}
	return []Value{
		value("ABOUT", protocol.About{Name: string(make([]rune, 0)), Prefixes: Prefixes()[:protocol.MaxAboutPrefixes]}),
		raw("ABOUT, control characters", protocol.MsgAbout, append([]byte{32}, name[:32]...)...),
		raw("ABOUT, longest name", protocol.MsgAbout, append([]byte{255}, name[:255]...)...),
		raw("ABOUT, no UTF-8", protocol.MsgAbout, 4, 0xff, 0xfe, 0xc0, 0x80),
		value("HOSTS", hosts), value("HOSTS, none", protocol.Hosts{First: true, Last: true}),
		value("CLOSE for a reason that there is not", protocol.Close{Reason: 255}),
	}
}

// stations are questions about stations that there are and are not, and answers that
// nobody asked for.
func (k *Knowledge) stations() []Value {
	var list []Value
	macs := []protocol.MAC{k.Honest.MAC, k.Edge.MAC, k.Self.MAC(k.Community.ID()), {}, {2, 0, 0, 0, 0, 1}, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}}
	for _, seq := range []uint32{0, 1, 2, 3, 1<<31 - 1, 1<<32 - 1} {
		ask, is := protocol.HostAsk{Seq: seq}, protocol.HostIs{Seq: seq}
		for i := range protocol.MaxHostAsk {
			mac, vlan := macs[i%len(macs)], []uint16{0, 1, 4094}[i%3]
			mac[5] += byte(i / len(macs))
			ask.List = append(ask.List, protocol.AskedHost{VLAN: vlan, MAC: mac, Since: time.Duration(i) << 20 * time.Millisecond})
			is.List = append(is.List, protocol.HostAnswer{
				VLAN: vlan, MAC: mac, Known: i&1 != 0, Since: i&2 != 0, Polled: i&4 != 0, Ago: (1<<32 - 1) * time.Millisecond,
			})
		}
		list = append(list, value("HOSTASK, longest", ask), value("HOSTIS to nobody", is))
	}
	return append(list, value("HOSTASK, none", protocol.HostAsk{}), value("HOSTIS, none", protocol.HostIs{}),
		raw("HOSTASK, VLAN 4095", protocol.MsgHostAsk, 0, 0, 0, 1, 0x0f, 0xff, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0),
		raw("HOSTIS, all flags", protocol.MsgHostIs, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff))
}

// unknownMessages are of types that version 1 does not have, or not in this session.
func unknownMessages() []Value {
	var list []Value
	for typ := range 256 {
		list = append(list, raw("any type", protocol.MsgType(typ)), raw("any type", protocol.MsgType(typ), make([]byte, 40)...))
	}
	return list
}
