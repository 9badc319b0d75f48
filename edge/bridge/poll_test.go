package bridge

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"hedgerow/protocol"
)

// TestPollFrames holds the bytes of the frames that ask for a station, and that say
// where one is.
func TestPollFrames(t *testing.T) {
	self, ip := protocol.MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("192.0.2.7")
	solicits := "6000000000203aff fe80000000000000000000fffe000001 ff020000000000000000000000000001 8700 4b5d 00000000 20010db8000000000000000000000007 0101020000000001"
	for _, c := range []struct {
		what string
		got  []byte
		want string
	}{
		{"asks", AppendPoll([]byte{}, self, 0, ip), "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c0000207 000000000000000000000000000000000000"},
		{"asks in a VLAN", AppendPoll(nil, self, 10, ip), "ffffffffffff 020000000001 8100 000a 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c0000207 0000000000000000000000000000"},
		{"asks by IPv6", AppendPoll(nil, self, 0, netip.MustParseAddr("2001:db8::7")), "333300000001 020000000001 86dd " + solicits},
		{"asks by IPv6 in a VLAN", AppendPoll(nil, self, 10, netip.MustParseAddr("2001:db8::7")), "333300000001 020000000001 8100 000a 86dd " + solicits},
		{"has moved", AppendMoved(nil, hostKey(7)), "ffffffffffff 525400000007 8035 0001 0800 06 04 0003 525400000007 00000000 525400000007 00000000 000000000000000000000000000000000000"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if string(c.got) != string(want) {
			t.Errorf("%s:\n%x, want\n%x", c.what, c.got, want)
		}
	}
}

// asksFor returns a frame of a station that has an address, and asks for another one.
func asksFor(key Key, addr netip.Addr) protocol.Frame {
	b := AppendPoll(nil, key.MAC, key.VLAN, netip.MustParseAddr("192.0.2.99"))
	at := len(b) - minFrame + protocol.EthernetLen + 14
	if key.VLAN != 0 {
		at += protocol.VLANLen
	}
	copy(b[at:], addr.AsSlice())
	return b
}

// TestSenderIP reads the address of whoever sent ARP or neighbour discovery in its
// own name, and nothing else.
func TestSenderIP(t *testing.T) {
	ip, key := netip.MustParseAddr("192.0.2.7"), hostKey(7)
	tagged := Key{VLAN: 10, MAC: key.MAC}
	link := netip.AddrFrom16([16]byte(linkLocal(key.MAC)))
	advert := advertises(key.MAC, link)
	for what, c := range map[string]struct {
		frame protocol.Frame
		want  netip.Addr
	}{
		"ARP":                    {asksFor(key, ip), ip},
		"ARP in a VLAN":          {asksFor(tagged, ip), ip},
		"an ARP probe":           {AppendPoll(nil, key.MAC, 0, ip), netip.Addr{}},
		"solicitation":           {AppendPoll(nil, key.MAC, 0, netip.MustParseAddr("fe80::1")), link},
		"solicitation in a VLAN": {AppendPoll(nil, key.MAC, 10, netip.MustParseAddr("fe80::1")), link},
		"advertisement":          {advert, link},
		"RARP":                   {AppendMoved(nil, key), netip.Addr{}},
	} {
		if got := parsed(t, c.frame).SenderIP(); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
		for n := protocol.EthernetLen; n < len(c.frame); n++ {
			if f := new(Parsed); f.Parse(c.frame[:n]) {
				if got := f.SenderIP(); got != c.want && got.IsValid() {
					t.Errorf("%s, %d bytes: %v", what, n, got)
				}
			}
		}
		c.frame[6] ^= 0x10 // another one's name
		if got := parsed(t, c.frame).SenderIP(); got.IsValid() {
			t.Errorf("%s in another name: %v", what, got)
		}
	}
}

// advertises returns a neighbour advertisement of a station.
func advertises(mac protocol.MAC, addr netip.Addr) protocol.Frame {
	b := protocol.Frame(AppendPoll(nil, mac, 0, addr))
	p := b.Payload()
	p[ipv6Len], p[ipv6Len+24] = icmpNeighborAdvertisement, optTarget
	return b
}

// TestTargetIP reads the address that a frame for one station is for.
func TestTargetIP(t *testing.T) {
	ipv4 := func(to string) protocol.Frame {
		f := append(make(protocol.Frame, 12, 60), 8, 0, 0x45)
		return append(append(f, make([]byte, 15)...), netip.MustParseAddr(to).AsSlice()...)
	}
	ipv6 := func(to string) protocol.Frame {
		f := append(make(protocol.Frame, 12, 60), 0x86, 0xdd, 0x60)
		return append(append(f, make([]byte, 23)...), netip.MustParseAddr(to).AsSlice()...)
	}
	for what, c := range map[string]struct {
		frame protocol.Frame
		want  string
	}{
		"IPv4": {ipv4("192.0.2.7"), "192.0.2.7"}, "IPv6": {ipv6("fe80::7"), "fe80::7"},
		"ARP":          {AppendPoll(nil, hostKey(1).MAC, 0, netip.MustParseAddr("192.0.2.7")), "192.0.2.7"},
		"ARP in a tag": {AppendPoll(nil, hostKey(1).MAC, 4, netip.MustParseAddr("192.0.2.7")), "192.0.2.7"},
		"none":         {ipv4("0.0.0.0"), ""}, "loopback": {ipv4("127.0.0.1"), ""}, "broadcast": {ipv4("255.255.255.255"), ""}, "group": {ipv4("224.0.0.5"), ""},
		"IPv6 group": {ipv6("ff02::1"), ""}, "IPv4 in IPv6": {ipv6("::ffff:192.0.2.7"), ""}, "RARP": {AppendMoved(nil, hostKey(1)), ""},
	} {
		got := parsed(t, c.frame).TargetIP()
		if want, _ := netip.ParseAddr(c.want); got != want {
			t.Errorf("%s: %v", what, got)
		}
		for n := protocol.EthernetLen; n < len(c.frame); n++ {
			if f := new(Parsed); f.Parse(c.frame[:n]) {
				f.TargetIP()
			}
		}
	}
}
