package bridge

import (
	"encoding/binary"
	"testing"
	"time"

	"hedgerow/protocol"
)

// host is the hardware address of a host by its number.
func host(n int) protocol.MAC {
	m := protocol.MAC{2, 0xaa}
	binary.BigEndian.PutUint32(m[2:], uint32(n))
	return m
}

// mills is a clock in milliseconds.
func mills(n int) int64 { return int64(n) * int64(time.Millisecond) }

// TestStormOfOneHost floods 100,000 frames a second from one host for ten seconds, among
// hosts that send little: the budget of that host passes, and all of the others' frames.
func TestStormOfOneHost(t *testing.T) {
	s, e := NewStorm(0, false), NewEdgeStorm([32]byte{1})
	passed, others, asked, told := 0, 0, 0, 0
	for ms := range 10_000 {
		for range 100 {
			ok, x, tell := s.Passes(mills(ms), e, host(0), Data, 1)
			if ok {
				passed++
			}
			if tell {
				told++
				if x.Source != host(0) || x.Class != Data || x.Limit != DefaultStorm {
					t.Fatalf("told of %+v", x)
				}
			}
		}
		if ms%10 != 0 {
			continue
		}
		for _, c := range []Class{Data, Control} { // 30 hosts, each 3 frames a second
			asked++
			if ok, x, _ := s.Passes(mills(ms), e, host(1+ms/10%30), c, 1); ok {
				others++
			} else if x.Source == host(0) {
				t.Fatal("the storm was told of for another's frame")
			}
		}
	}
	if want := 10*DefaultStorm + dataBurst*DefaultStorm; passed > want || passed < want-2 {
		t.Errorf("%d frames of the storm passed, want %d", passed, want)
	}
	// A host that shares the bucket of the storm by chance (1 of 2048) would lose its data
	// frames and its control frames would pass all the same.
	if others < asked-2*asked/60 {
		t.Errorf("%d of %d frames of the others passed", others, asked)
	}
	if told != 2 {
		t.Errorf("told %d times within ten seconds, want every five", told)
	}
	if got := e.Limited(); got != uint64(10_000*100-passed+asked-others) {
		t.Errorf("%d counted", got)
	}
}

// TestStormOfInvented floods from one source address after another: the edge's own
// share passes, and another edge's hosts lose nothing.
func TestStormOfInvented(t *testing.T) {
	s := NewStorm(0, true)
	hostile, honest := NewEdgeStorm([32]byte{1}), NewEdgeStorm([32]byte{2})
	passed, whole, n := 0, 0, 0
	for ms := range 5000 {
		for range 100 {
			n++
			ok, x, tell := s.Passes(mills(ms), hostile, host(n), Data, 1)
			if ok {
				passed++
			}
			if tell && x.Source.IsZero() {
				whole++
			}
		}
		if ms%2 != 0 {
			continue
		}
		for _, c := range []Class{Data, Control} { // 500 hosts, a frame of each a second
			if ok, _, _ := s.Passes(mills(ms), honest, host(ms/2%500), c, 1); !ok {
				t.Fatal("a frame of another edge was limited")
			}
		}
	}
	edge := DefaultStorm * edgeShare / ofShares * patience / ofPatience
	if most := edge * (5 + dataBurst); passed > most || passed < most-edge/10 {
		t.Errorf("%d frames passed, want %d", passed, most)
	}
	if whole == 0 {
		t.Error("nobody was told that it is the edge")
	}
}

// TestStormOfHonestLAN has 500 hosts wake up at once behind one edge, and their router
// ask for all of them: nothing is limited, at the sender and at a receiver who gets it
// all in bursts.
func TestStormOfHonestLAN(t *testing.T) {
	send, receive := NewStorm(0, false), NewStorm(0, true)
	ours, theirs := NewEdgeStorm([32]byte{}), NewEdgeStorm([32]byte{1})
	limited := 0
	flood := func(ms int, src protocol.MAC, c Class) {
		if ok, _, _ := send.Passes(mills(ms), ours, src, c, 1); !ok {
			limited++
		}
		if ok, _, _ := receive.Passes(mills(ms/100*100), theirs, src, c, 1); !ok {
			limited++
		}
	}
	for n := range 500 { // within five seconds each asks for a lease, probes and looks for names
		for at := range 3 {
			flood(n*10+at, host(n), Control)
		}
		flood(n*10+5, host(n), Data)
		flood(n*10+6, host(n), Data)
	}
	for n := range 500 {
		flood(6000+n/10, host(1000), Control)
	}
	for ms := range 60_000 { // a minute later: 100 ARP and 150 other frames a second
		if ms%10 == 0 {
			flood(7000+ms, host(ms/10%500), Control)
		}
		if ms%20 < 3 {
			flood(7000+ms, host(ms%500), Data)
		}
	}
	if limited > 0 {
		t.Errorf("%d frames of an honest LAN were limited", limited)
	}
}

// TestStormVideo multicasts 5 Mbit/s with a limit that the user set, and without any.
func TestStormVideo(t *testing.T) {
	for limit, want := range map[int]bool{0: false, 500: true, -1: true} {
		s, e := NewStorm(limit, true), NewEdgeStorm([32]byte{})
		all := true
		for n := range 4750 { // ten seconds
			ok, _, _ := s.Passes(int64(n)*int64(time.Second)/475, e, host(1), Data, 1)
			all = all && ok
		}
		if all != want {
			t.Errorf("--storm %d: all passed is %v", limit, all)
		}
	}
}

// TestStormSuperFrame counts a super-frame as what it becomes.
func TestStormSuperFrame(t *testing.T) {
	s, e, passed := NewStorm(0, false), NewEdgeStorm([32]byte{}), 0
	for range 100 {
		if ok, _, _ := s.Passes(1, e, host(1), Data, 40); ok {
			passed += 40
		}
	}
	if passed != dataBurst*DefaultStorm {
		t.Errorf("%d frames at once", passed)
	}
}

func TestStormAllocations(t *testing.T) {
	s, e, now := NewStorm(0, true), NewEdgeStorm([32]byte{}), int64(1)
	if n := testing.AllocsPerRun(2000, func() { now++; s.Passes(now, e, host(1), Data, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestClass(t *testing.T) {
	dhcp := udp4([4]byte{}, [4]byte{255, 255, 255, 255}, 68, 67, dhcpBody(dhcpRequest, host(1), [4]byte{}))
	for _, c := range []struct {
		what string
		f    protocol.Frame
		want Class
	}{
		{"ARP", frame(protocol.Broadcast, host(1), etherTypeARP, make([]byte, 46)), Control},
		{"ARP in a VLAN", tagged(frame(protocol.Broadcast, host(1), etherTypeARP, make([]byte, 46))), Control},
		{"RARP", frame(protocol.Broadcast, host(1), etherTypeRARP, make([]byte, 46)), Control},
		{"DHCP", frame(protocol.Broadcast, host(1), 0x0800, dhcp), Control},
		{"a game", frame(protocol.Broadcast, host(1), 0x0800, udp4([4]byte{10}, [4]byte{255, 255, 255, 255}, 6112, 6112, nil)), Data},
		{"OSPF", frame(protocol.MAC{1, 0, 0x5e, 0, 0, 5}, host(1), 0x0800, nil), Control},
		{"mDNS", frame(protocol.MAC{1, 0, 0x5e, 0, 0, 251}, host(1), 0x0800, nil), Data},
		{"LLMNR", frame(protocol.MAC{1, 0, 0x5e, 0, 0, 252}, host(1), 0x0800, nil), Data},
		{"video", frame(protocol.MAC{1, 0, 0x5e, 1, 2, 3}, host(1), 0x0800, nil), Data},
		{"neighbour solicitation", frame(protocol.MAC{0x33, 0x33, 0xff, 1, 2, 3}, host(1), 0x86dd, nil), Control},
		{"all routers", frame(protocol.MAC{0x33, 0x33, 0, 0, 0, 2}, host(1), 0x86dd, nil), Control},
		{"DHCPv6", frame(protocol.MAC{0x33, 0x33, 0, 1, 0, 2}, host(1), 0x86dd, nil), Control},
		{"Babel", frame(protocol.MAC{0x33, 0x33, 0, 1, 0, 6}, host(1), 0x86dd, nil), Control},
		{"mDNS over IPv6", frame(protocol.MAC{0x33, 0x33, 0, 0, 0, 0xfb}, host(1), 0x86dd, nil), Data},
		{"LLMNR over IPv6", frame(protocol.MAC{0x33, 0x33, 0, 1, 0, 3}, host(1), 0x86dd, nil), Data},
		{"video over IPv6", frame(protocol.MAC{0x33, 0x33, 0x80, 1, 0, 3}, host(1), 0x86dd, nil), Data},
		{"spanning tree", frame(protocol.MAC{1, 0x80, 0xc2, 0, 0, 0}, host(1), 38, nil), Control},
		{"CDP", frame(protocol.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xcc}, host(1), 38, nil), Control},
		{"batman-adv", frame(protocol.Broadcast, host(1), 0x4305, nil), Data},
		{"a host that nobody knows", frame(host(7), host(1), 0x0800, udp4([4]byte{10}, [4]byte{10, 1}, 5, 6, nil)), Data},
	} {
		if got := parsed(t, c.f).Class(); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func BenchmarkStorm(b *testing.B) {
	s, e := NewStorm(0, true), NewEdgeStorm([32]byte{})
	b.ReportAllocs()
	for now := int64(1); b.Loop(); now += int64(time.Second) / DefaultStorm { // all of them pass
		s.Passes(now, e, host(1), Data, 1)
	}
}
