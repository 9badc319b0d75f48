package bridge

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"hedgerow/protocol"
)

var (
	mine4 = [4]byte{10, 0, 0, 1}
	his4  = [4]byte{10, 0, 0, 2}
	mine6 = netip.MustParseAddr("fe80::1")
	his6  = netip.MustParseAddr("fe80::2")
)

// icmp6 puts the checksum into a message of neighbour discovery and makes a frame of it.
func icmp6(dst protocol.MAC, from, to netip.Addr, message []byte) protocol.Frame {
	p := ip6(from, to, protoICMPv6, message)
	binary.BigEndian.PutUint16(p[ipv6Len+2:], 0)
	binary.BigEndian.PutUint16(p[ipv6Len+2:], icmpv6Sum(p))
	return frame(dst, mine, protocol.EtherTypeIPv6, p)
}

// flagged sets the flags of an advertisement.
func flagged(message []byte, bits byte) []byte {
	message[4] = bits
	return message
}

// solicitedNode is where solicitations for an address go (RFC 4291, section 2.7.1).
func solicitedNode(a netip.Addr) (protocol.MAC, netip.Addr) {
	b := a.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], b[13:])
	return protocol.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}, netip.AddrFrom16(group)
}

func asks6(from, target netip.Addr, options ...byte) protocol.Frame {
	dst, group := solicitedNode(target)
	return icmp6(dst, from, group, append(solicitation(target, protocol.MAC{}), options...))
}

// sourceOption is a link-layer address option.
func sourceOption(kind byte, mac protocol.MAC) []byte { return append([]byte{kind, 1}, mac[:]...) }

// ask4 is a frame of mine that asks for an address.
func ask4(spa, tpa [4]byte) protocol.Frame {
	return frame(protocol.Broadcast, mine, etherTypeARP, arp(arpRequest, mine, spa, protocol.MAC{}, tpa))
}

// TestResolution reads what frames say of addresses and ask for.
func TestResolution(t *testing.T) {
	has4, asks4 := netip.AddrFrom4(mine4), netip.AddrFrom4(his4)
	all := netip.MustParseAddr("ff02::1")
	allMAC := protocol.MAC{0x33, 0x33, 0, 0, 0, 1}
	mineOption, hisOption := sourceOption(optSource, mine), sourceOption(optSource, his)
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	bad := asks6(mine6, his6, mineOption...)
	bad[len(bad)-1] ^= 1
	routed := asks6(mine6, his6, mineOption...)
	routed[protocol.EthernetLen+7] = 64
	for _, c := range []struct {
		name string
		f    protocol.Frame
		want Resolution
	}{
		{"ARP request", ask4(mine4, his4), Resolution{Has: has4, Asks: asks4, Proxied: true}},
		{"one to its owner", frame(his, mine, etherTypeARP, arp(arpRequest, mine, mine4, his, his4)), Resolution{Has: has4, Asks: asks4}},
		{"ARP reply", frame(his, mine, etherTypeARP, arp(arpReply, mine, mine4, his, his4)), Resolution{Has: has4}},
		{"gratuitous request", ask4(mine4, mine4), Resolution{Has: has4}},
		{"gratuitous reply", frame(protocol.Broadcast, mine, etherTypeARP, arp(arpReply, mine, mine4, mine, mine4)), Resolution{Has: has4}},
		{"ARP probe", ask4([4]byte{}, his4), Resolution{}},
		{"in another name", frame(protocol.Broadcast, mine, etherTypeARP, arp(arpRequest, his, mine4, his, his4)), Resolution{}},
		{"for a group", ask4(mine4, [4]byte{224, 0, 0, 1}), Resolution{Has: has4}},
		{"for everybody", ask4(mine4, [4]byte{255, 255, 255, 255}), Resolution{Has: has4}},
		{"RARP", frame(protocol.Broadcast, mine, etherTypeRARP, arp(rarpRequest, mine, mine4, mine, his4)), Resolution{}},
		{"ARP, cut", ask4(mine4, his4)[:protocol.EthernetLen+27], Resolution{}},
		{"behind two tags", qinq(ask4(mine4, his4), 2), Resolution{}},
		{"a reverse question", frame(protocol.Broadcast, mine, etherTypeARP, arp(8, mine, mine4, his, his4)), Resolution{}},
		{"solicitation", asks6(mine6, his6, mineOption...), Resolution{Has: mine6, Asks: his6, Proxied: true}},
		{"duplicate address detection", asks6(none6, his6), Resolution{}},
		{"one with a nonce", asks6(mine6, his6, slices.Concat(mineOption, nonce)...), Resolution{Has: mine6, Asks: his6}},
		{"one without an address", asks6(mine6, his6), Resolution{Asks: his6}},
		{"in another name", asks6(mine6, his6, hisOption...), Resolution{}},
		{"an option of no length", asks6(mine6, his6, 1, 0, 0, 0, 0, 0, 0, 0), Resolution{}},
		{"an option that is cut", asks6(mine6, his6, mineOption[:7]...), Resolution{}},
		{"with a wrong checksum", bad, Resolution{}},
		{"from behind a router", routed, Resolution{}},
		{"for a group", icmp6(allMAC, mine6, all, solicitation(all, mine)), Resolution{}},
		{"to its owner", icmp6(his, mine6, his6, solicitation(his6, mine)), Resolution{Has: mine6, Asks: his6}},
		{"advertisement", icmp6(his, mine6, his6, flagged(advertisement(mine6, mine), 0x60)), Resolution{Has: mine6, Flags: FlagTold | FlagOverride}},
		{"a router's", icmp6(his, mine6, his6, flagged(advertisement(mine6, mine), 0xe0)), Resolution{Has: mine6, Flags: FlagTold | FlagOverride | FlagRouter}},
		{"anycast", icmp6(his, mine6, his6, flagged(advertisement(mine6, mine), 0x40)), Resolution{Has: mine6, Flags: FlagTold}},
		{"without an option", icmp6(his, mine6, his6, flagged(advertisement(mine6, protocol.MAC{}), 0x40)), Resolution{Has: mine6, Flags: FlagTold}},
		{"unasked", icmp6(allMAC, mine6, all, flagged(advertisement(mine6, mine), 0x20)), Resolution{Has: mine6, Flags: FlagTold | FlagOverride}},
		{"for another", icmp6(allMAC, mine6, all, flagged(advertisement(mine6, his), 0x20)), Resolution{}},
		{"router advertisement", icmp6(allMAC, mine6, all, make16(134)), Resolution{}},
		{"echo", icmp6(his, mine6, his6, make16(128)), Resolution{}},
		{"IPv4", frame(his, mine, protocol.EtherTypeIPv4, ip4(mine4, his4, protoICMPv6, 0, make16(136))), Resolution{}},
	} {
		f := parsed(t, c.f)
		if got := f.Resolution(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if c.want != (Resolution{}) && !f.Resolves() {
			t.Errorf("%s is not looked at", c.name)
		}
	}
}

// TestAnswer answers questions, and reads the answers as the asker's host does: they are
// whole, from the owner, to the asker alone, in its VLAN, and keep the router's flag.
func TestAnswer(t *testing.T) {
	for _, flags := range []Flags{FlagTold, FlagTold | FlagOverride, FlagTold | FlagOverride | FlagRouter} {
		for _, q := range []protocol.Frame{
			ask4(mine4, his4), tagged(ask4(mine4, his4)),
			asks6(mine6, his6, sourceOption(optSource, mine)...), tagged(asks6(mine6, his6, sourceOption(optSource, mine)...)),
		} {
			question := parsed(t, q)
			r := question.Resolution()
			b := question.AppendAnswer(nil, &r, his, flags)
			got := parsed(t, b)
			if got.Dst() != mine || got.Src() != his || got.VLAN() != question.VLAN() || len(b) > AnswerLen || len(b) < minFrame {
				t.Errorf("%x: from %v to %v, VLAN %d", b, got.Src(), got.Dst(), got.VLAN())
			}
			want := Resolution{Has: r.Asks, Flags: flags}
			if r.Asks.Is4() {
				want.Flags = 0
				if p := got.Payload(); [4]byte(p[24:]) != mine4 || protocol.MAC(p[18:]) != mine {
					t.Errorf("%x is not for the asker", p)
				}
			} else if p := got.Payload(); netip.AddrFrom16([16]byte(p[24:])) != mine6 || p[ipv6Len+4]&naSolicited == 0 || len(p) != ipv6Len+32 {
				t.Errorf("%x is not for the asker", p)
			}
			if back := got.Resolution(); back != want {
				t.Errorf("%+v, want %+v", back, want)
			}
		}
	}
}

// FuzzResolution reads any frame of ARP or IPv6, and answers what may be answered.
func FuzzResolution(f *testing.F) {
	for _, q := range []protocol.Frame{
		ask4(mine4, his4), asks6(mine6, his6, sourceOption(optSource, mine)...),
		icmp6(his, mine6, his6, advertisement(mine6, mine)), asks6(none6, his6),
	} {
		f.Add([]byte(q))
		f.Add([]byte(tagged(q)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Parsed
		if !p.Parse(b) {
			return
		}
		r := p.Resolution()
		if r != (Resolution{}) && !p.Resolves() || r.Proxied && (!r.Has.IsValid() || !r.Asks.IsValid() || !p.Dst().IsGroup()) {
			t.Fatalf("%+v", r)
		}
		if !r.Proxied {
			return
		}
		answer := p.AppendAnswer(nil, &r, his, FlagTold)
		if got := parsed(t, answer).Resolution(); got.Has != r.Asks || len(answer) > AnswerLen {
			t.Errorf("the answer says %+v", got)
		}
	})
}
