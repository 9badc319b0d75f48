package transport

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message makes one control message as the kernel does, with room behind it.
func message(level, kind int32, payload []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(payload)))
	var h unix.Cmsghdr
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(payload)))
	copy(b, (*[unix.SizeofCmsghdr]byte)(unsafe.Pointer(&h))[:])
	copy(b[unix.CmsgLen(0):], payload)
	return b
}

func number(v int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

func TestParseControl(t *testing.T) {
	gro := message(unix.IPPROTO_UDP, unix.UDP_GRO, number(1400))
	ttl := message(unix.IPPROTO_IP, unix.IP_TTL, number(64))
	huge := slices.Clone(gro)
	for i := range unsafe.Sizeof(unix.Cmsghdr{}.Len) {
		huge[i] = 0xff
	}
	for name, tt := range map[string]struct {
		control []byte
		want    int
	}{
		"nothing":         {nil, 0},
		"GRO":             {gro, 1400},
		"behind another":  {slices.Concat(ttl, gro), 1400},
		"behind an odd":   {slices.Concat(message(1, 2, []byte{1, 2, 3}), gro), 1400},
		"of another kind": {ttl, 0},
		"negative":        {message(unix.IPPROTO_UDP, unix.UDP_GRO, number(-1)), 0},
		"too short":       {message(unix.IPPROTO_UDP, unix.UDP_GRO, []byte{1, 2}), 0},
		"cut":             {gro[:len(gro)-8], 0},
		"header cut":      {gro[:unix.SizeofCmsghdr-1], 0},
		"length 0":        {make([]byte, 64), 0},
		"length huge":     {huge, 0},
		"at the very end": {gro[:unix.CmsgLen(4)], 1400},
	} {
		if got := parseControl(tt.control).seg; got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add(message(unix.IPPROTO_UDP, unix.UDP_GRO, number(1400)))
	f.Add(slices.Concat(message(unix.IPPROTO_IP, unix.IP_TTL, number(64)), message(unix.IPPROTO_UDP, unix.UDP_GRO, number(7))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size := parseControl(b).seg; size < 0 || size > 0 && len(b) < unix.CmsgLen(4) {
			t.Errorf("%d of %x", size, b)
		}
	})
}

// TestPut has the standard parser read what put writes.
func TestPut(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	near := netip.MustParseAddr("fe80::7%left")
	for _, want := range []envelope{
		{}, {ttl: 5}, {seg: 1400}, {ttl: 255, seg: 65507}, {tos: 2}, {tos: 0xff, four: true, ttl: 5, seg: 1400}, {local: six, tos: 1, seg: 9},
		{local: four}, {local: four, ttl: 5, four: true, seg: 1400}, {local: six, seg: 9}, {local: near, ifindex: 3, ttl: 1, seg: 1400},
	} {
		var c control
		pinned, alone, all := c.put(&want)
		if got := readBack(t, c.bytes()[:all]); got != bare(want) {
			t.Errorf("%+v is read as %+v", want, got)
		}
		single := want
		single.seg = 0
		if got := readBack(t, c.bytes()[:alone]); got != bare(single) {
			t.Errorf("%+v alone is read as %+v", want, got)
		}
		single.local, single.ifindex = netip.Addr{}, 0
		if got := readBack(t, c.bytes()[pinned:alone]); got != single {
			t.Errorf("%+v alone, from any address, is read as %+v", want, got)
		}
	}
}

// bare is an envelope without the name of a zone, which the kernel does not know.
func bare(e envelope) envelope {
	e.local = e.local.WithZone("")
	return e
}

// readBack parses control messages into an envelope.
func readBack(t *testing.T, b []byte) (e envelope) {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		switch level, kind, n := m.Header.Level, m.Header.Type, len(m.Data); {
		case level == unix.IPPROTO_IP && kind == unix.IP_TTL && n == 4:
			e.ttl, e.four = uint8(binary.NativeEndian.Uint32(m.Data)), true
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT && n == 4:
			e.ttl = uint8(binary.NativeEndian.Uint32(m.Data))
		case level == unix.IPPROTO_IP && kind == unix.IP_TOS && n == 4:
			e.tos, e.four = uint8(binary.NativeEndian.Uint32(m.Data)), true
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_TCLASS && n == 4:
			e.tos = uint8(binary.NativeEndian.Uint32(m.Data))
		case level == unix.IPPROTO_UDP && kind == unix.UDP_SEGMENT && n == 2:
			e.seg = int(binary.NativeEndian.Uint16(m.Data))
		case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && n == unix.SizeofInet4Pktinfo:
			e.local = netip.AddrFrom4([4]byte(m.Data[4:8]))
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && n == unix.SizeofInet6Pktinfo:
			e.local, e.ifindex = netip.AddrFrom16([16]byte(m.Data)), binary.NativeEndian.Uint32(m.Data[16:])
		default:
			t.Errorf("a strange message %+v", m)
		}
	}
	return e
}

// The address that a datagram was sent to is read whichever message tells it, and none
// is made of what no datagram can leave from.
func TestParseLocal(t *testing.T) {
	info6 := func(a string) []byte {
		b := netip.MustParseAddr(a).As16()
		return message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(b[:], number(77)...))
	}
	info4 := message(unix.IPPROTO_IP, unix.IP_PKTINFO, slices.Concat(number(2), []byte{192, 0, 2, 7}, []byte{192, 0, 2, 255}))
	gro := message(unix.IPPROTO_UDP, unix.UDP_GRO, number(1400))
	var z zones
	for name, tt := range map[string]struct {
		control []byte
		want    string
	}{
		"IPv6":            {info6("2001:db8::1"), "2001:db8::1"},
		"IPv4, mapped":    {info6("::ffff:192.0.2.1"), "192.0.2.1"},
		"IPv4":            {info4, "192.0.2.7"},
		"behind GRO":      {slices.Concat(gro, info6("2001:db8::1")), "2001:db8::1"},
		"link-local":      {info6("fe80::1"), "fe80::1%77"},
		"a group":         {info6("ff02::1"), ""},
		"an IPv4 group":   {info6("::ffff:224.0.0.1"), ""},
		"broadcast":       {info6("::ffff:255.255.255.255"), ""},
		"unspecified":     {info6("::"), ""},
		"none":            {gro, ""},
		"too short":       {message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 19)), ""},
		"too short, IPv4": {message(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 11)), ""},
	} {
		got, want := parseControl(tt.control), netip.Addr{}
		if tt.want != "" {
			want = netip.MustParseAddr(tt.want)
		}
		if a := got.local.addr(&z); a != want {
			t.Errorf("%s: %v, want %v", name, a, want)
		}
	}
}
