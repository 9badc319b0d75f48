package bridge

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"hedgerow/protocol"
)

// parsed returns a frame that has to be valid.
func parsed(t testing.TB, b protocol.Frame) *Parsed {
	t.Helper()
	f := new(Parsed)
	if !f.Parse(b) {
		t.Fatalf("%x is not valid", b)
	}
	return f
}

// qinq returns a frame with n more tags around it, the outermost of VLAN 7 with a
// priority.
func qinq(f protocol.Frame, n int) protocol.Frame {
	for i := range n {
		tag := []byte{0x81, 0x00, 0x00, 0x05}
		if i == n-1 {
			tag = []byte{0x88, 0xa8, 0xa0, 0x07}
		}
		f = slices.Insert(slices.Clone(f), 2*protocol.MACLen, tag...)
	}
	return f
}

// TestParse parses frames of every kind with and without tags: whatever is asked is
// answered as without them, but for the VLAN, and as package protocol answers it.
func TestParse(t *testing.T) {
	for _, c := range claims {
		plain := parsed(t, c.f)
		for tags := range 4 {
			f := parsed(t, qinq(c.f, tags))
			if f.EtherType() != c.f.EtherType() || !bytes.Equal(f.Payload(), c.f.Payload()) || f.Src() != mine {
				t.Errorf("%s behind %d tags: type %04x, from %v, %x", c.name, tags, f.EtherType(), f.Src(), f.Payload())
			}
			if vlan := f.VLAN(); vlan != 7 && tags > 0 || f.Source() != (Key{vlan, mine}) || f.Destination() != (Key{vlan, c.f.Dst()}) {
				t.Errorf("%s behind %d tags: VLAN %d", c.name, tags, vlan)
			}
			if f.Claim() != plain.Claim() || f.Judged() != plain.Judged() || f.Class() != plain.Class() {
				t.Errorf("%s behind %d tags is another thing", c.name, tags)
			}
		}
	}
}

// TestParseUpper finds what is behind the headers of IP.
func TestParseUpper(t *testing.T) {
	body, padding := []byte("what is in it"), make([]byte, 20)
	options := append([]byte{0x46}, ip4([4]byte{10}, ours4, 99, 0, append([]byte{148, 4, 0, 0}, body...))[1:]...)
	for name, p := range map[string][]byte{
		"IPv4": ip4([4]byte{10}, ours4, 99, 0, body), "IPv4 with an option": options,
	} {
		proto, got, more, ok := parsed(t, frame(his, mine, protocol.EtherTypeIPv4, append(p, padding...))).IPv4()
		if proto != 99 || !bytes.Equal(got, body) || more || !ok {
			t.Errorf("%s: protocol %d, %q, %v %v", name, proto, got, more, ok)
		}
	}
	if _, got, more, ok := parsed(t, frame(his, mine, protocol.EtherTypeIPv4, ip4([4]byte{10}, ours4, 99, 0x2000, body))).IPv4(); !more || !ok || !bytes.Equal(got, body) {
		t.Errorf("first fragment: %q, %v %v", got, more, ok)
	}
	for name, p := range map[string][]byte{
		"later fragment": ip4([4]byte{10}, ours4, 99, 1, body), "short header": append([]byte{0x44}, make([]byte, 40)...), "IPv4, cut": make([]byte, 19),
	} {
		if proto, got, _, ok := parsed(t, frame(his, mine, protocol.EtherTypeIPv4, p)).IPv4(); ok {
			t.Errorf("%s: protocol %d, %q", name, proto, got)
		}
	}
	for _, c := range []struct {
		name   string
		next   byte
		body   []byte
		extent Extent
		found  bool
	}{
		{"IPv6", 99, body, Whole, true},
		{"behind an option", extHopByHop, extension(99, body), Whole, true},
		{"first fragment", extFragment, fragment6(99, 0, true, body), First, true},
		{"later fragment", extFragment, fragment6(99, 1, true, body), Later, false},
		{"first fragment without it", extFragment, fragment6(extDestination, 0, true, []byte{99, 9, 0, 0, 0, 0, 0, 0}), First, false},
		{"cut", extDestination, []byte{99, 9, 0, 0, 0, 0, 0, 0}, Short, false},
		{"endless", extDestination, many(9, body), Endless, false},
	} {
		proto, got, e := parsed(t, frame(his, mine, protocol.EtherTypeIPv6, append(ip6(local, nodes, c.next, c.body), padding...))).IPv6()
		if e != c.extent || got != nil != c.found || c.found && (proto != 99 || !bytes.Equal(got, body)) {
			t.Errorf("%s: protocol %d, %q, extent %d", c.name, proto, got, e)
		}
	}
}

// FuzzParse parses any bytes: what is valid is what package protocol says, and has the
// same type, VLAN and payload there.
func FuzzParse(f *testing.F) {
	for _, c := range claims {
		f.Add([]byte(qinq(c.f, 1)))
	}
	f.Add([]byte(asksFor(Key{VLAN: 10, MAC: hostKey(7).MAC}, netip.MustParseAddr("192.0.2.7"))))
	f.Add([]byte(advertises(hostKey(7).MAC, netip.MustParseAddr("fe80::7"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, got := protocol.Frame(b), new(Parsed)
		if valid := got.Parse(b); valid != (frame.Valid() == nil) {
			t.Fatalf("valid: %v", valid)
		} else if !valid {
			return
		}
		vlan := uint16(0)
		if protocol.IsTag(binary.BigEndian.Uint16(b[12:])) {
			vlan = binary.BigEndian.Uint16(b[14:]) & 0xfff
		}
		if got.EtherType() != frame.EtherType() || got.VLAN() != vlan || !bytes.Equal(got.Payload(), frame.Payload()) {
			t.Errorf("type %04x, VLAN %d, %x", got.EtherType(), got.VLAN(), got.Payload())
		}
		if _, body, _, ok := got.IPv4(); ok && len(body)+ipv4Len > len(got.Payload()) {
			t.Errorf("%d bytes in %d", len(body), len(got.Payload()))
		}
		if _, body, e := got.IPv6(); body != nil && (e > First || len(body)+ipv6Len > len(got.Payload())) {
			t.Errorf("%d bytes in %d, extent %d", len(body), len(got.Payload()), e)
		}
		if addr := got.SenderIP(); addr.IsValid() && (addr.IsUnspecified() || addr.IsMulticast() || got.EtherType() != etherTypeARP && got.EtherType() != protocol.EtherTypeIPv6) {
			t.Errorf("%v of type %04x", addr, got.EtherType())
		}
		if addr := got.TargetIP(); addr.IsValid() {
			AppendPoll(nil, protocol.MAC{}, got.VLAN(), addr)
		}
		got.Class()
	})
}
