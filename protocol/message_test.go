package protocol

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMAC(t *testing.T) {
	for _, s := range []string{"02:00:5e:10:00:ff", "02-00-5E-10-00-FF"} {
		m, err := ParseMAC(s)
		if err != nil || m.String() != "02:00:5e:10:00:ff" {
			t.Errorf("%s: %s, %v", s, m, err)
		}
	}
	for _, s := range []string{
		"", "02:00:5e:10:00", "02:00:5e:10:00:fg", "02:00:5e:10:00-ff", "02.00.5e.10.00.ff",
		"02:00:5e:10:00:ff:", "0200.5e10.00ff", "02:00:5e:10:00:+f",
	} {
		if m, err := ParseMAC(s); !errors.Is(err, ErrMAC) || !m.IsZero() {
			t.Errorf("%q: %s, %v", s, m, err)
		}
	}
	if !Broadcast.IsGroup() || !(MAC{1, 0, 0x5e}).IsGroup() || testSelf.IsGroup() || testSelf.IsZero() {
		t.Error("group or zero")
	}
}

func TestRelayCTR(t *testing.T) {
	if h, c := SplitRelayCTR(RelayCTR(0x01020304, 0xfffffffe)); h != 0x01020304 || c != 0xfffffffe {
		t.Errorf("%x %x", h, c)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		TypeInit.String():              "INIT",
		TypeWelcome.String():           "WELCOME",
		Type(0).String():               "TYPE-0",
		Type(11).String():              "TYPE-11",
		XFNull.String():                "null",
		XFGroupChaCha.String():         "group-chacha20-poly1305",
		XFGroupGCM.String():            "group-aes-256-gcm",
		XFDataChaCha.String():          "chacha20-poly1305",
		XFDataGCM.String():             "aes-256-gcm",
		XFHop.String():                 "hop",
		Transform(0x41).String():       "transform-0x41",
		MsgPeerInfo.String():           "PEER_INFO",
		MsgType(0x7f).String():         "MESSAGE-0x7f",
		CodeString(CodeOldStatement):   "statement is old",
		CodeString(99):                 "code 99",
		MAC{0xff, 0, 1, 2, 3}.String(): "ff:00:01:02:03:00",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for code := range uint8(CodePool + 1) {
		if strings.HasPrefix(CodeString(code), "code") {
			t.Errorf("code %d has no name", code)
		}
	}
}

func TestCheckControl(t *testing.T) {
	body := (&Close{}).Append((&Ping{}).Append(nil))
	body = append(body, 0x7f, 0, 1, 9) // unknown, to be skipped
	if err := CheckControl(body); err != nil {
		t.Error(err)
	}
	if err := CheckControl(append(body, 0xff, 0, 0)); !errors.Is(err, ErrCritical) {
		t.Errorf("critical: %v", err)
	}
	if err := CheckControl(append(body, 1, 0, 1)); !errors.Is(err, ErrShort) {
		t.Errorf("cut: %v", err)
	}
	if err := CheckControl(nil); err != nil {
		t.Errorf("keepalive: %v", err)
	}
}

// TestUnknownMembers checks that a member from the future is skipped, even
// twice, in every message that has members.
func TestUnknownMembers(t *testing.T) {
	future := []byte{0x7f, 0, 2, 1, 2, 26, 0, 0, 0x7f, 0, 0}
	for _, v := range vectors(t, "good.txt") {
		switch v.codec {
		case "register", "ack", "nak", "query", "peerinfo":
		default:
			continue
		}
		b := endTLV(append(v.bytes, future...), 1)
		value, again, err := codecs[v.codec](b)
		if err != nil || len(again) != len(v.bytes) {
			t.Errorf("%s: %+v, %v", v.name, value, err)
		}
	}
}

// TestAppendBounds checks that what is over a bound is left out, so that no
// message is sent that a receiver refuses.
func TestAppendBounds(t *testing.T) {
	addrs := make([]netip.AddrPort, 20)
	candidates := make([]Candidate, 20)
	for i := range addrs {
		addrs[i] = netip.AddrPortFrom(netip.MustParseAddr("::ffff:192.0.2.1"), uint16(i))
		candidates[i].Addr = addrs[i]
	}
	st := make([]byte, StatementLen)
	long := strings.Repeat("ä", 200)
	tests := map[string][]byte{
		"cand":    (&Candidates{List: candidates}).Append(nil),
		"call":    (&Call{List: candidates, Ports: make([]uint16, 9)}).Append(nil),
		"hosts":   (&Hosts{List: make([]Host, 300)}).Append(nil),
		"hostask": (&HostAsk{List: make([]AskedHost, 300)}).Append(nil),
		"hostis":  (&HostIs{List: make([]HostAnswer, 300)}).Append(nil),
		"segment": (&Segment{Members: make([]SegmentMember, 300)}).Append(nil),
		"routes":  (&Routes{List: slices.Repeat([]netip.Prefix{netip.MustParsePrefix("fd00::/8")}, 300)}).Append(nil),
		"about":   (&About{Name: long, Prefixes: make9(prefix)}).Append(nil),
		"direct":  (&Direct{Handles: make([]uint32, 5000)}).Append(nil),
		"ping":    (&Ping{Pad: 1 << 20}).Append(nil),
		"pong":    (&Pong{Pad: 1 << 20}).Append(nil),
		"whoami":  (&Whoami{Pad: -1}).Append(nil),
		"go":      (&Go{Delay: time.Hour}).Append(nil),

		"forward":   (&Forward{Packet: make([]byte, 5000)}).Append(nil),
		"forwarded": (&Forwarded{Packet: make([]byte, 5000)}).Append(nil),

		"punch": (&Punch{Handle: 1, Seen: addr4, Delay: -time.Hour}).Append(nil),
		"ack": (&Ack{
			Handle: 1, Supernodes: manySupernodes(20),
			TURN: TURNServer{Addr: addr6, User: long[:MaxTURNUser], Password: long[:MaxTURNPassword]},
		}).Append(nil),
		"notice":   (&Notice{Indices: run(0, 20)}).Append(nil),
		"peerinfo": (&PeerInfo{Handle: 1, Candidates: addrs, Statement: st}).Append(nil),
		"register": (&Register{
			Candidates: addrs, Statement: st, Name: long, Token: make([]byte, 2000), User: long, Password: long,
			Listing: &Listing{Head: &ListHead{Count: 1}},
		}).Append(nil),
	}
	for name, b := range tests {
		if _, _, err := codecs[name](b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b := (&About{Name: "a\x1b[31m"}).Append(nil); len(b) != tlvLen+1 {
		t.Errorf("a name with an escape sequence is sent: %q", b)
	}
	for _, name := range []string{"register", "ack", "peerinfo", "cand", "call", "hosts", "segment", "direct"} {
		if n := len(tests[name]); n > MaxDatagram-HeaderLen-1-TagLen {
			t.Errorf("%s: %d bytes do not fit a datagram", name, n)
		}
	}
}

func make9(p netip.Prefix) []netip.Prefix {
	list := make([]netip.Prefix, 9)
	for i := range list {
		list[i] = p
	}
	return list
}

func manySupernodes(n int) []SupernodeRef {
	list := make([]SupernodeRef, n)
	for i := range list {
		list[i].Addr = addr6
	}
	return list
}

// TestAddressForms checks that an address has one form on the wire.
func TestAddressForms(t *testing.T) {
	for in, want := range map[string]string{
		"[::ffff:192.0.2.1]:7": "192.0.2.1:7",
		"[fe80::1%eth0]:7":     "[fe80::1]:7",
	} {
		m := Seen{Addr: netip.MustParseAddrPort(in)}
		got, err := ParseSeen(m.Append(nil)[tlvLen:])
		if err != nil || got.Addr.String() != want {
			t.Errorf("%s: %s, %v", in, got.Addr, err)
		}
	}
	m := Nak{Code: 1, Prefix: netip.PrefixFrom(netip.MustParseAddr("::ffff:10.1.2.3"), 120)}
	got, err := ParseNak(m.Append(nil)[tlvLen:])
	if err != nil || got.Prefix.String() != "10.1.2.3/24" {
		t.Errorf("%s, %v", got.Prefix, err)
	}
}

// TestAnswersNotLonger checks the sizes by which answers stay within what was
// asked.
func TestAnswersNotLonger(t *testing.T) {
	for _, seen := range []netip.AddrPort{addr4, addr6, {}} {
		for pad := range 60 {
			ping := Ping{Pad: pad}
			room := PongRoom(ping, seen)
			if room < 0 {
				continue
			}
			pong := Pong{Seen: seen, Pad: room}
			if a, q := len(pong.Append(nil)), len(ping.Append(nil)); a != q {
				t.Errorf("seen %s, pad %d: answer of %d bytes to %d", seen, pad, a, q)
			}
		}
	}
	whoami, seen := Whoami{Pad: SeenPad}, Seen{Addr: addr6}
	if a, q := len(seen.Append(nil)), len(whoami.Append(nil)); a > q {
		t.Errorf("answer of %d bytes to %d", a, q)
	}
	if HelloLen < WelcomeLen || InitLen < RespLen || InitLen < CookieLen || InitLen < NoticeLen {
		t.Error("an answer is longer than what it answers")
	}
}

// TestLongestPad holds that a ping and its answer may be as long as MaxPad says,
// and no longer.
func TestLongestPad(t *testing.T) {
	ping, pong := Ping{Pad: MaxPad + 1}, Pong{Pad: MaxPad + 1}
	for name, b := range map[string][]byte{"ping": ping.Append(nil), "pong": pong.Append(nil)} {
		_, value, rest, err := NextTLV(b)
		if err != nil || len(rest) > 0 {
			t.Fatal(name, err, len(rest))
		}
		parse := func(value []byte) (pad int, err error) {
			if name == "ping" {
				m, err := ParsePing(value)
				return m.Pad, err
			}
			m, err := ParsePong(value)
			return m.Pad, err
		}
		if pad, err := parse(value); pad != MaxPad || err != nil {
			t.Errorf("%s: %d, %v", name, pad, err)
		}
		if _, err := parse(append(value, 0)); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
